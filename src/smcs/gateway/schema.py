"""The tables of keys and ledger, in portable SQL, and the number that names their layout.

Money is kept as whole nano-USD, so that sums are exact in any order. Moments that are shown or sorted by are ISO 8601
texts in UTC with milliseconds, all of one length; leases are Unix seconds.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

__all__ = (
    "SCHEMA_VERSION",
    "daily",
    "feedback",
    "key_states",
    "keys",
    "meta",
    "metadata",
    "records",
    "reservations",
    "runs",
    "shares",
    "switches",
    "writers",
)

SCHEMA_VERSION = 2
"""Raised by every change to the tables below; version 2 added shares and switches."""

metadata = MetaData()

meta = Table(
    "gateway_meta",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("created", Text, nullable=False),
    # Counts changes to `gateway_keys`: other processes read the keys again when it has grown.
    Column("keys_version", BigInteger, nullable=False),
)

keys = Table(
    "gateway_keys",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", Text, nullable=False),
    # SHA-256 of the whole key; the key itself is kept nowhere.
    Column("digest", LargeBinary(32), nullable=False),
    Column("created", Text, nullable=False),
    Column("revoked", Text),
    # JSON of `KeyLimits`.
    Column("limits", Text, nullable=False),
)
# The name of a revoked key may be given again.
_live = keys.c.revoked.is_(None)
Index("gateway_keys_by_name", keys.c.name, unique=True, sqlite_where=_live, postgresql_where=_live)

# What a key with limits has used up: one row, which every reservation and settlement of the key locks.
key_states = Table(
    "gateway_key_states",
    metadata,
    Column("key_id", String(12), primary_key=True),
    # Unix minute, Unix day, and month as 12 x year + month - 1 that the figures after them belong to; all UTC.
    Column("minute", BigInteger, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("day", BigInteger, nullable=False),
    Column("day_nano", BigInteger, nullable=False),
    Column("month", BigInteger, nullable=False),
    Column("month_nano", BigInteger, nullable=False),
    # Sums over the key's rows in `gateway_reservations`.
    Column("held_nano", BigInteger, nullable=False),
    Column("held_tokens", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False),
)

reservations = Table(
    "gateway_reservations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key_id", String(12), nullable=False),
    Column("nano", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("created", Text, nullable=False),
    # Unix seconds after which the process that made it is taken for dead.
    Column("expires", Float, nullable=False),
)
Index("gateway_reservations_by_expiry", reservations.c.expires)

runs = Table(
    "gateway_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("strategy", Text, nullable=False),
    # Empty where the request came without a key.
    Column("key_id", String(12), nullable=False),
    Column("status", Text, nullable=False),
    Column("http_status", Integer, nullable=False),
    Column("streamed", Integer, nullable=False),
    Column("cached", Integer, nullable=False),
    # JSON array of reasons.
    Column("degraded", Text, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("nano", BigInteger),
    Column("known_nano", BigInteger, nullable=False),
    # What it took out of the key's budget: at least the known cost, and what was held where the cost is unknown.
    Column("charged_nano", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("question", Text),
    Column("error", Text),
    Column("user", Text),
    # JSON objects and an array.
    Column("stage_seconds", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("attempts", Text, nullable=False),
    # Unix seconds of the settlement: the windows of the key that it was charged to.
    Column("settled", Float, nullable=False),
)
Index("gateway_runs_by_time", runs.c.created, runs.c.id)
Index("gateway_runs_by_key", runs.c.key_id, runs.c.created, runs.c.id)
Index("gateway_runs_by_model", runs.c.model, runs.c.created, runs.c.id)
Index("gateway_runs_by_status", runs.c.status, runs.c.created, runs.c.id)

# Apart from the rows, so that lists do not read past them and they can be forgotten earlier.
records = Table(
    "gateway_records",
    metadata,
    Column("run_id", String(32), primary_key=True),
    # zlib over the JSON of `smcs.run.Run`.
    Column("record", LargeBinary, nullable=False),
)

feedback = Table(
    "gateway_feedback",
    metadata,
    Column("run_id", String(32), primary_key=True),
    # Empty where it came without a key; one verdict per key and run, the last one counts.
    Column("key_id", String(12), primary_key=True),
    Column("created", Text, nullable=False),
    Column("verdict", Text),
    Column("answer", Text),
    Column("comment", Text),
)

# Runs that every valid key may read.
shares = Table(
    "gateway_shares",
    metadata,
    Column("run_id", String(32), primary_key=True),
    # Whose word it was; empty without a key.
    Column("key_id", String(12), nullable=False),
    Column("created", Text, nullable=False),
)

# LLMs that somebody switched off: a row each, until they are switched on again.
switches = Table(
    "gateway_switches",
    metadata,
    Column("llm", Text, primary_key=True),
    Column("key_id", String(12), nullable=False),
    Column("created", Text, nullable=False),
    Column("why", Text, nullable=False),
)

# Sums by UTC day, which outlive the rows they were made of. The row with an empty `llm` counts whole runs, the others
# count the calls to one LLM; `unknown` is how many of those had no known cost.
daily = Table(
    "gateway_daily",
    metadata,
    Column("day", String(10), primary_key=True),
    Column("key_id", String(12), primary_key=True),
    Column("model", Text, primary_key=True),
    Column("strategy", Text, primary_key=True),
    Column("llm", Text, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("degraded", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("known_nano", BigInteger, nullable=False),
    Column("unknown", BigInteger, nullable=False),
)

# The last transaction of every writer, committed with it: after a lost connection it tells whether that one was kept.
writers = Table(
    "gateway_writers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("seen", Float, nullable=False),
)

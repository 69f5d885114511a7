"""The tables of a question bank, in portable SQL, and the number that names their layout.

`digest` columns hold the SHA-256 of a row's content (see `records`); the manifest keeps their sum, so the content
hash of a bank is known without reading the bank. Times of creation are Unix seconds, UTC, and no part of the content.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
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
    "answer_embeddings",
    "change_parts",
    "changes",
    "embedders",
    "embeddings",
    "llms",
    "manifest",
    "metadata",
    "outcomes",
    "questions",
)

SCHEMA_VERSION = 3
"""Raised by every change to the tables below, together with a step in `migrations`."""

metadata = MetaData()

manifest = Table(
    "bank_manifest",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("default_embedder", Text),
    # Sum of the digests of all questions, LLMs and outcomes, modulo 2**256, in hexadecimal.
    Column("content_sum", String(64), nullable=False),
)

questions = Table(
    "bank_questions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("choices", Text, nullable=False),
    Column("gold", Text),
    Column("grader", Text),
    Column("check_json", Text, nullable=False),
    # SHA-256 of `Question.prompt()`: an embedding made from another text is stale.
    Column("text_hash", String(64), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created", Float, nullable=False),
)

llms = Table(
    "bank_llms",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created", Float, nullable=False),
)

outcomes = Table(
    "bank_outcomes",
    metadata,
    Column("question_id", ForeignKey(questions.c.id, ondelete="CASCADE"), primary_key=True),
    Column("llm", ForeignKey(llms.c.name, ondelete="CASCADE"), primary_key=True),
    Column("score", Float, CheckConstraint("score >= 0 AND score <= 1")),
    Column("response", Text, nullable=False),
    Column("extracted", Text),
    Column("reason", Text, nullable=False),
    Column("grader", Text, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("cost_usd", Float),
    Column("seconds", Float),
    # How many answers the score is the mean of; part of the digest only where it is not 1, as it once was not stored.
    Column("samples", Integer, CheckConstraint("samples >= 1"), nullable=False, server_default="1"),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created", Float, nullable=False),
)
# Scores are read without touching the long responses beside them.
Index("bank_outcomes_by_llm", outcomes.c.llm, outcomes.c.question_id, outcomes.c.score)

embedders = Table(
    "bank_embedders",
    metadata,
    Column("name", Text, primary_key=True),
    Column("dimensions", Integer, nullable=False),
    # Like `content_sum`, over this embedder's vectors.
    Column("vector_sum", String(64), nullable=False),
)

embeddings = Table(
    "bank_embeddings",
    metadata,
    Column("embedder", ForeignKey(embedders.c.name, ondelete="CASCADE"), primary_key=True),
    Column("question_id", ForeignKey(questions.c.id, ondelete="CASCADE"), primary_key=True),
    # What was embedded, to be compared with `questions.text_hash`.
    Column("text_hash", String(64), nullable=False),
    # float32, little-endian, unit norm.
    Column("vector", LargeBinary, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
)

# Removing a question looks for its vectors.
Index("bank_embeddings_by_question", embeddings.c.question_id)

# Vectors of what LLMs wrote. They go with their outcome, or when it gets another text; they are in no sum and no log,
# since they can be made again.
answer_embeddings = Table(
    "bank_answer_embeddings",
    metadata,
    Column("embedder", Text, primary_key=True),
    Column("llm", Text, primary_key=True),
    Column("question_id", Text, primary_key=True),
    # Of the whole `outcomes.response`, of which a long one is embedded in part.
    Column("text_hash", String(64), nullable=False),
    # float32, little-endian, unit norm.
    Column("vector", LargeBinary, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    ForeignKeyConstraint(["question_id", "llm"], [outcomes.c.question_id, outcomes.c.llm], ondelete="CASCADE"),
)

# Removing or replacing an outcome looks for its vectors.
Index("bank_answer_embeddings_by_outcome", answer_embeddings.c.question_id, answer_embeddings.c.llm)

# What was done to the bank on purpose, and what it takes to reverse it. Outcomes of ordinary grading are not here.
changes = Table(
    "bank_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("created", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("run_id", Text),
    # JSON object such as {"questions_added": 3}.
    Column("counts", Text, nullable=False),
    Column("sum_before", String(64), nullable=False),
    Column("sum_after", String(64), nullable=False),
    Column("undoes", Integer),
    Column("undone_by", Integer),
)

# The steps of a change in their order; undoing goes through them backwards.
change_parts = Table(
    "bank_change_parts",
    metadata,
    Column("change_id", ForeignKey(changes.c.id, ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("target", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    # Sum of the digests that the step left behind, to notice what was built on it since.
    Column("digest_sum", String(64), nullable=False),
    # zlib over MessagePack: keys of what was added, whole rows of what was replaced or removed.
    Column("payload", LargeBinary, nullable=False),
)

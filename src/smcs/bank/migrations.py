"""Bringing a bank of an older schema to the present one: one small step per version, from version 1 on.

All steps run in one transaction, so a bank is of one version or the other. Before the first step a SQLite bank is
copied, whole and consistent, to a file beside it; on PostgreSQL, where DDL is transactional too, backups are the
server's business. A step says in its own words what it makes: `schema` describes the present only.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from sqlalchemy import (
    URL,
    Column,
    Connection,
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
    select,
    text,
    update,
)

from smcs.bank.schema import SCHEMA_VERSION, manifest
from smcs.errors import RunError

__all__ = ("MIGRATIONS", "backup_path", "migrate")


def migrate(connection: Connection, url: URL) -> None:
    """Bring a bank to `SCHEMA_VERSION`, after copying it if it is a SQLite file.

    Args:
        connection: A transaction that holds the write lock of the database.
        url: Where the bank is.

    Raises:
        RunError: The copy cannot be written.
    """
    version = connection.execute(select(manifest.c.schema_version).with_for_update()).scalar_one()
    if version >= SCHEMA_VERSION:  # Another process was faster.
        return
    if connection.dialect.name == "sqlite":
        _back_up(Path(url.database or ""), version)
    for step in range(version, SCHEMA_VERSION):
        MIGRATIONS[step](connection)
    connection.execute(update(manifest).values(schema_version=SCHEMA_VERSION))


def backup_path(path: Path, version: int, number: int = 1) -> Path:
    """Return where the copy of a bank of an older version is put; `number` tells several copies apart."""
    return path.with_name(f"{path.name}.v{version}-backup{'' if number == 1 else f'-{number}'}")


def _back_up(path: Path, version: int) -> None:
    """Copy the bank as it was last committed; no copy made earlier is overwritten."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as file:
            copy = Path(file.name)
            try:
                with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
                    source.backup(target)
                os.fsync(file.fileno())
                copy.replace(_free_name(path, version))
            finally:
                copy.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise RunError(f"no backup copy of it could be written beside it: {error}.") from error


def _free_name(path: Path, version: int) -> Path:
    """Take the first name that no file has yet."""
    number = 1
    while True:
        name = backup_path(path, version, number)
        try:
            name.open("x").close()
        except FileExistsError:
            number += 1
        else:
            return name


def _from_version_1(connection: Connection) -> None:
    """Samples per outcome, an index to remove questions by, and the log of changes."""
    connection.execute(
        text("ALTER TABLE bank_outcomes ADD COLUMN samples INTEGER DEFAULT 1 NOT NULL CHECK (samples >= 1)")
    )
    connection.execute(text("CREATE INDEX bank_embeddings_by_question ON bank_embeddings (question_id)"))
    tables = MetaData()
    changes = Table(
        "bank_changes",
        tables,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("created", Float, nullable=False),
        Column("kind", Text, nullable=False),
        Column("author", Text, nullable=False),
        Column("note", Text, nullable=False),
        Column("run_id", Text),
        Column("counts", Text, nullable=False),
        Column("sum_before", String(64), nullable=False),
        Column("sum_after", String(64), nullable=False),
        Column("undoes", Integer),
        Column("undone_by", Integer),
    )
    Table(
        "bank_change_parts",
        tables,
        Column("change_id", ForeignKey(changes.c.id, ondelete="CASCADE"), primary_key=True),
        Column("part", Integer, primary_key=True, autoincrement=False),
        Column("target", Text, nullable=False),
        Column("action", Text, nullable=False),
        Column("rows", Integer, nullable=False),
        Column("digest_sum", String(64), nullable=False),
        Column("payload", LargeBinary, nullable=False),
    )
    tables.create_all(connection)


def _from_version_2(connection: Connection) -> None:
    """Vectors of recorded answers."""
    tables = MetaData()
    outcomes = Table("bank_outcomes", tables, Column("question_id", Text), Column("llm", Text))
    answers = Table(
        "bank_answer_embeddings",
        tables,
        Column("embedder", Text, primary_key=True),
        Column("llm", Text, primary_key=True),
        Column("question_id", Text, primary_key=True),
        Column("text_hash", String(64), nullable=False),
        Column("vector", LargeBinary, nullable=False),
        Column("digest", LargeBinary(32), nullable=False),
        ForeignKeyConstraint(["question_id", "llm"], [outcomes.c.question_id, outcomes.c.llm], ondelete="CASCADE"),
    )
    Index("bank_answer_embeddings_by_outcome", answers.c.question_id, answers.c.llm)
    answers.create(connection)


MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {1: _from_version_1, 2: _from_version_2}
"""Version -> the step that leads from it to the next."""

"""Whole columns of a bank in one value each: a Python row per outcome costs a large bank seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Text, case, cast, func, null, select

from smcs.bank import schema

__all__ = ("packed", "score_columns", "unpacked")

_UNIT = 2.0**63
"""SQLite gives scores between 0 and 1 as whole numbers of its reciprocal: it writes real numbers to 15 digits only."""

_SMALL = 2.0**-11
"""From here on every float is such a whole number."""

_TEXTS = msgspec.json.Decoder(list[str])
_NUMBERS = msgspec.json.Decoder(list[float | None])


def packed(connection: Connection, column: Column[str]) -> ColumnElement[str]:
    """Return an aggregate: the texts of a column in one, which `unpacked` reads.

    Several aggregates of one query go through the same rows, so what stands at a place belongs together.
    """
    if connection.dialect.name == "sqlite":
        return func.json_group_array(column, type_=Text())
    return cast(func.json_agg(column), Text)


def unpacked(texts: str | None) -> list[str]:
    """Return what `packed` put together; nothing where there was no row."""
    return _TEXTS.decode(texts or "[]")


def score_columns(
    connection: Connection, llms: Sequence[str], number_of: Mapping[str, int]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Yield the outcomes of each LLM, in no order: numbers of their questions (n,) and scores (n,), NaN if not graded.

    Args:
        connection: A read transaction.
        llms: Names.
        number_of: Question id -> number; outcomes on other questions are left out.
    """
    table = schema.outcomes
    both = select(packed(connection, table.c.question_id), _packed_scores(connection))
    texts: str | None = None
    ids: list[str] = []
    numbers = np.empty(0, dtype=np.intp)
    for llm in llms:
        before = texts
        texts, written = connection.execute(both.where(table.c.llm == llm)).one()
        if texts != before:  # LLMs that answered the same questions share their numbers.
            ids = unpacked(texts)
            numbers = np.fromiter(map(number_of.get, ids, repeat(-1)), dtype=np.intp, count=len(ids))
        scores = np.array(_NUMBERS.decode(written or "[]"), dtype=np.float64)
        np.divide(scores, _UNIT, out=scores, where=scores > 1)
        small = np.flatnonzero(scores < 0)
        if small.size:
            score_of = _small_scores(connection, llm)
            scores[small] = [score_of[ids[place]] for place in small]
        known = numbers >= 0
        yield (numbers, scores) if known.all() else (numbers[known], scores[known])


def _packed_scores(connection: Connection) -> ColumnElement[str]:
    """Return an aggregate: scores as JSON numbers, above 1 if in units, below 0 if too small for that."""
    score = schema.outcomes.c.score
    if connection.dialect.name != "sqlite":
        return cast(func.json_agg(score), Text)
    whole = (score == 1, 1), (score == 0, 0), (score.is_(None), null())
    number = case(*whole, (score < _SMALL, -1), else_=cast(score * _UNIT, BigInteger))
    return func.json_group_array(number, type_=Text())


def _small_scores(connection: Connection, llm: str) -> dict[str, float]:
    """Return question id -> score of an LLM's outcomes that are too small for units."""
    table = schema.outcomes
    statement = select(table.c.question_id, table.c.score).where(table.c.llm == llm, table.c.score < _SMALL)
    return {row[0]: row[1] for row in connection.execute(statement)}

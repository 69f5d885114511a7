"""Questions and outcomes as database rows and back, checked on the way in, with a digest of what each row says."""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import RowMapping

from smcs.errors import InputError
from smcs.types import GraderName, Outcome, Question, Usage

__all__ = (
    "EMPTY_SUM",
    "Row",
    "add_digests",
    "answer_digest",
    "answer_hash",
    "check_name",
    "clean",
    "content_hash",
    "llm_digest",
    "outcome_digest",
    "outcome_of",
    "outcome_row",
    "question_digest",
    "question_of",
    "question_row",
    "vector_digest",
)

Row = dict[str, Any]

EMPTY_SUM = f"{0:064x}"
"""Sum of no digests."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)

_LARGEST = 2**31 - 1
"""What every database takes as an integer."""

_QUESTION_CONTENT = ("id", "text", "task", "subject", "choices", "gold", "grader", "check_json")
_TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens")
_OUTCOME_CONTENT = (
    *("question_id", "llm", "score", "response", "extracted", "reason", "grader"),
    *(*_TOKENS, "cost_usd", "seconds"),
)


def add_digests(total: str, *, new: Iterable[bytes] = (), old: Iterable[bytes] = ()) -> str:
    """Return a sum of digests after some rows came and others went.

    A sum modulo 2**256 does not depend on the order of insertion and follows every change without reading the other
    rows. It tells contents apart; it is no defence against someone who forges a bank on purpose.

    Args:
        total: The sum so far, 64 hexadecimal digits.
        new: Digests (32 bytes) of added rows.
        old: Digests of removed or replaced rows.

    Returns:
        The new sum, 64 hexadecimal digits.
    """
    change = sum(int.from_bytes(d, "big") for d in new) - sum(int.from_bytes(d, "big") for d in old)
    return f"{(int(total, 16) + change) % 2**256:064x}"


def content_hash(total: str) -> str:
    """Return the name (SHA-256, hex) of the content whose digests sum to `total`."""
    return hashlib.sha256(f"smcs bank {total}".encode()).hexdigest()


def check_name(what: str, name: str) -> None:
    """Raise `InputError` unless a name (an id, an LLM, an embedder) is non-empty text that every database can hold."""
    if not name.strip() or not _storable(name):
        raise InputError(f"{what} must be non-empty text without NUL or lone surrogates, got {name!r}.")


def llm_digest(name: str) -> bytes:
    """Return the digest of an LLM's row."""
    return _digest("llm", [name])


def vector_digest(question_id: str, text_hash: str, vector: bytes) -> bytes:
    """Return the digest of an embedding's row."""
    return _digest("embedding", [question_id, text_hash, hashlib.sha256(vector).hexdigest()])


def answer_hash(response: str) -> str:
    """Return the SHA-256 (hex) of a recorded answer's text: a vector made from another text is stale."""
    return hashlib.sha256(response.encode()).hexdigest()


def answer_digest(row: Mapping[str, Any]) -> bytes:
    """Return the digest of the row of a recorded answer's vector."""
    names = [row[name] for name in ("embedder", "llm", "question_id", "text_hash")]
    return _digest("answer embedding", [*names, hashlib.sha256(row["vector"]).hexdigest()])


def question_digest(row: Mapping[str, Any]) -> bytes:
    """Return the digest of what a question's row says."""
    return _digest("question", {name: row[name] for name in _QUESTION_CONTENT})


def outcome_digest(row: Mapping[str, Any]) -> bytes:
    """Return the digest of what an outcome's row says; one sample is left out, as before samples were stored."""
    content = {name: row[name] for name in _OUTCOME_CONTENT}
    return _digest("outcome", content if row["samples"] == 1 else {**content, "samples": row["samples"]})


def question_row(question: Question) -> Row:
    """Return the row of a question, without its time of creation.

    Raises:
        InputError: The id is empty, a text cannot be stored, or `check` is not JSON.
    """
    check_name("a question's id", question.id)
    try:
        check = _canonical(dict(question.check))
    except (TypeError, ValueError) as error:
        raise InputError(f"`check` of question {question.id!r} must be JSON (finite numbers only): {error}.") from error
    content: Row = {
        "id": question.id,
        "text": question.text,
        "task": question.task,
        "subject": question.subject,
        "choices": _canonical(list(question.choices)),
        "gold": question.gold,
        "grader": question.grader,
        "check_json": check,
    }
    for name, value in content.items():
        if value is not None and not _storable(value):
            raise InputError(f"`{name}` of question {question.id!r} holds NUL or lone surrogates: remove them.")
    return {**content, "text_hash": question.content_hash(), "digest": question_digest(content)}


def question_of(row: RowMapping | Row) -> Question:
    """Return the question of a row."""
    return Question(
        row["id"],
        row["text"],
        task=row["task"],
        subject=row["subject"],
        choices=tuple(json.loads(row["choices"])),
        gold=row["gold"],
        grader=cast("GraderName | None", row["grader"]),
        check=json.loads(row["check_json"]),
    )


def outcome_row(outcome: Outcome) -> Row:
    """Return the row of an outcome, without its time of creation.

    What an LLM wrote may hold characters that no database takes (NUL, lone surrogates): they become U+FFFD.

    Raises:
        InputError: The score is outside [0, 1], `samples` is below 1, or a cost, time or token count is negative or
            not finite.
    """
    key = f"the outcome of {outcome.llm!r} on question {outcome.question_id!r}"
    if outcome.score is not None and not 0.0 <= outcome.score <= 1.0:
        raise InputError(f"`score` of {key} must be from 0 to 1, or None if it was not graded; got {outcome.score!r}.")
    content: Row = {
        "question_id": outcome.question_id,
        "llm": outcome.llm,
        "score": None if outcome.score is None else float(outcome.score),
        "response": clean(outcome.response),
        "extracted": None if outcome.extracted is None else clean(outcome.extracted),
        "reason": clean(outcome.reason),
        "grader": clean(outcome.grader),
        **{name: _whole(getattr(outcome.usage, name), name, key) for name in _TOKENS},
        "cost_usd": None if outcome.cost_usd is None else float(outcome.cost_usd),
        "seconds": None if outcome.seconds is None else float(outcome.seconds),
        "samples": _whole(outcome.samples, "samples", key) or 0,
    }
    if content["samples"] < 1:
        raise InputError(f"`samples` of {key} must be at least 1; got {outcome.samples!r}.")
    for name in (*_TOKENS, "cost_usd", "seconds"):
        value = content[name]
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InputError(f"`{name}` of {key} must be a finite number >= 0, or None if unknown; got {value!r}.")
    return {**content, "digest": outcome_digest(content)}


def outcome_of(row: RowMapping) -> Outcome:
    """Return the outcome of a row."""
    return Outcome(
        row["question_id"],
        row["llm"],
        row["score"],
        response=row["response"],
        extracted=row["extracted"],
        reason=row["reason"],
        grader=row["grader"],
        usage=Usage(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]),
        cost_usd=row["cost_usd"],
        seconds=row["seconds"],
        samples=row["samples"],
    )


def _whole(value: int | None, name: str, key: str) -> int | None:
    try:
        number = None if value is None else operator.index(value)
    except TypeError:
        number = _LARGEST + 1
    if number is not None and number > _LARGEST:
        raise InputError(f"`{name}` of {key} must be a whole number up to {_LARGEST}; got {value!r}.")
    return number


def _canonical(value: object) -> str:
    return _ENCODER.encode(value)


def _digest(kind: str, content: object) -> bytes:
    return hashlib.sha256(f"{kind}\0{_canonical(content)}".encode()).digest()


def _storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def clean(text: str) -> str:
    """Return a text with U+FFFD in the place of what no database takes: NUL and lone surrogates."""
    if _storable(text):
        return text
    return "".join(
        "\ufffd" if character == "\0" or "\ud800" <= character <= "\udfff" else character for character in text
    )

"""All checks on one state of a bank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from smcs.bank import reads
from smcs.bank.audit import llms, texts
from smcs.bank.audit.report import SEVERITIES, Audit, Finding
from smcs.bank.index import BankIndex, load_index
from smcs.bank.info import bank_info
from smcs.bank.records import content_hash
from smcs.bank.verify import verify
from smcs.errors import InputError
from smcs.types import Question

__all__ = ("AuditOptions", "audit")

_MOST_NEAR = 10_000
"""Near duplicates reported; a bank of templates may have millions."""


@dataclass(frozen=True)
class AuditOptions:
    """What an audit compares, and how strictly."""

    against: Sequence[Question] = ()
    """A test set that the bank must not contain."""
    against_vectors: NDArray[np.float32] | None = None
    """(M, d) embeddings of the test set by the embedder below; without them only words are compared."""
    embedder: str | None = None
    """Whose vectors find near duplicates; `None` means the bank's default."""
    near: float = 0.95
    """Cosine similarity from which two questions count as nearly the same, over 0 to 1."""


def audit(connection: Connection, options: AuditOptions, *, url: str) -> Audit:
    """Run every check.

    Args:
        connection: A read transaction.
        options: What to compare.
        url: Where the bank is, for messages.

    Raises:
        InputError: `near` is out of range, or the test set's vectors do not fit its questions or the bank.
        BankError: There are no vectors of the named embedder.
    """
    if not 0 < options.near <= 1:
        raise InputError(f"`near` must be over 0 and at most 1, got {options.near!r}.")
    questions = reads.questions(connection)
    found = list(_findings(connection, questions, options, url=url))
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Audit(
        content_hash(reads.manifest_row(connection).content_sum),
        len(questions),
        len(reads.llm_names(connection)),
        len(options.against),
        tuple(found),
    )


def _findings(
    connection: Connection, questions: Sequence[Question], options: AuditOptions, *, url: str
) -> Iterator[Finding]:
    for problem in verify(connection).problems:
        yield Finding("corrupt", "error", f"{problem}: restore a backup, or take the change back")
    prints = [texts.fingerprint(question) for question in questions]
    yield from texts.ungradable(questions)
    yield from texts.duplicates(questions, prints)
    yield from _by_meaning(connection, questions, prints, options)
    matrix = reads.outcome_matrix(connection, tuple(question.id for question in questions))
    yield from llms.suspicious(questions, matrix)
    yield from llms.identical(connection, matrix)
    figures = bank_info(connection, url=url)
    yield from llms.coverage(figures.subjects)
    for embedder in figures.embedders:
        missing = figures.questions - embedder.embedded - embedder.stale
        parts = [f"{embedder.stale} vectors of a text that has changed"] * bool(embedder.stale)
        parts += [f"{missing} questions without a vector"] * bool(missing)
        if parts:
            message = f"{embedder.name}: {' and '.join(parts)}: these are not searched (smcs bank embed makes them)"
            yield Finding("embeddings", "warning", message, value=float(missing + embedder.stale))


def _by_meaning(
    connection: Connection,
    questions: Sequence[Question],
    prints: Sequence[texts.Fingerprint],
    options: AuditOptions,
) -> Iterator[Finding]:
    """Compare questions by their vectors; what has none is compared by words alone."""
    name = options.embedder or reads.manifest_row(connection).default_embedder
    if name is None or (options.embedder is None and not reads.fresh_embedding_ids(connection, name)):
        message = "The bank has no embeddings: near duplicates were not looked for (smcs bank embed makes them)"
        yield Finding("not_checked", "note", message)
        yield from texts.contamination(questions, prints, options.against, ())
        return
    index = load_index(connection, name)
    rows = {question.id: row for row, question in enumerate(questions)}
    row_of = [rows[question_id] for question_id in index.ids.take(np.arange(len(index.ids)))]
    within = texts.near_pairs(index.embeddings, None, at_least=options.near)
    near = texts.near_duplicates(questions, prints, ((row_of[a], row_of[b], cosine) for a, b, cosine in within))
    yield from islice(near, _MOST_NEAR)
    if next(near, None) is not None:
        message = f"There are more than {_MOST_NEAR} near duplicates: the others are not listed (raise --near)"
        yield Finding("not_checked", "note", message)
    vectors = _test_vectors(index, options)
    if options.against and vectors is None:
        message = f"The test set has no vectors of {index.embedder!r}: it was compared by words alone"
        yield Finding("not_checked", "note", message)
    across = () if vectors is None else texts.near_pairs(index.embeddings, vectors, at_least=options.near)
    pairs = ((row_of[a], b, cosine) for a, b, cosine in across)
    yield from texts.contamination(questions, prints, options.against, pairs)


def _test_vectors(index: BankIndex, options: AuditOptions) -> NDArray[np.float32] | None:
    vectors = options.against_vectors
    if vectors is None or not options.against:
        return None
    wanted = (len(options.against), index.embeddings.shape[1])
    if vectors.shape != wanted:
        raise InputError(
            f"The test set's vectors must have the shape {wanted}, got {vectors.shape}. Embed its "
            f"{wanted[0]} questions with {index.embedder!r}."
        )
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit

"""Growth from traffic: a run, and what someone knows about its answer, become a bank question with outcomes.

With the correct answer every reference is graded against it. With "right" the answer of the run is the gold. With
"wrong" only the references that gave the same answer are known to be wrong; the others stay missing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank, fingerprint
from smcs.embedders import Embedder
from smcs.errors import BankError, InputError
from smcs.grading import find_choice, find_number, grade, settled
from smcs.run import Run
from smcs.types import GraderName, Outcome, Question

__all__ = ("Feedback", "Growth", "add_question", "guess_grader", "learn")

SAME = 0.97
"""Cosine similarity from which a question with the same numbers and options is one the bank has already."""

_LATEX = re.compile(r"[\\^_{}=]|\d\s*[*/+]\s*\d")
_MAX_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class Feedback:
    """What someone says about the answer of a run: that it was right or wrong, or what is correct."""

    right: bool | None = None
    gold: str | None = None
    """The correct answer: a letter where there are `choices`, else a number, LaTeX or a short text."""
    choices: tuple[str, ...] = ()
    """The options of the question, where it had some."""
    grader: GraderName | None = None
    """How answers are compared; guessed from the gold when `None`."""
    task: str = "feedback"
    subject: str = ""
    author: str = ""
    """Who says so."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Growth:
    """What a bank learned."""

    question_id: str
    is_new: bool
    """Whether the question was added; otherwise the bank had it already."""
    change: int | None
    """Id of the change in `QuestionBank.history`, for `undo`; `None` when nothing changed."""
    similarity: float | None = None
    """Cosine similarity to the question it was recognised as."""
    outcomes: tuple[Outcome, ...] = ()
    """Graded answers that were recorded."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """LLM -> why nothing was recorded for it."""


async def learn(bank: QuestionBank, run: Run, feedback: Feedback, embedder: Embedder, *, same: float = SAME) -> Growth:
    """Add what a run and its feedback say to a bank, as one change that `QuestionBank.undo` takes back.

    A question that the bank has already (by its words, or its meaning with the same numbers and options) is not added
    again: outcomes it lacks are. Outcomes that are recorded are never overwritten by feedback.

    Args:
        bank: Where to.
        run: The record; its referencers' answers are graded.
        feedback: What is known.
        embedder: Gives the question its vector.
        same: Cosine similarity from which two questions are one, over 0 to 1.

    Raises:
        InputError: The feedback says nothing or too much, the run asked nothing, or no short answer can be read from
            a text that was said to be right or wrong.
        BankError: The bank has the question with another gold.
        EmbedderError: The question could not be embedded; nothing was changed.
    """
    _check(run, feedback)
    if feedback.gold is not None:
        known, gold = True, feedback.gold
    else:
        known, gold = bool(feedback.right), _said(run.answer, feedback.choices)
    grader = feedback.grader or guess_grader(gold, feedback.choices)
    asked = Question(
        "",
        run.query.text,
        task=feedback.task,
        subject=feedback.subject,
        choices=feedback.choices,
        gold=gold,
        grader=grader,
    )
    asked = replace(asked, id=f"feedback/{asked.content_hash()[:16]}")
    outcomes, left_out = await asyncio.to_thread(_outcomes, run, asked, known)
    stored = asked if known else replace(asked, gold=None, grader=None)
    vector = (await embedder.embed([asked.prompt()]))[0]
    found = _Incoming(stored, vector, embedder.name, outcomes, left_out, run.id, feedback.author, feedback.note)
    return await asyncio.to_thread(_add, bank, found, same)


async def add_question(
    bank: QuestionBank, question: Question, embedder: Embedder, *, author: str = "", note: str = "", same: float = SAME
) -> Growth:
    """Add one question with its vector, unless the bank has it already.

    Args:
        bank: Where to.
        question: With a gold or a check; an empty id is replaced by one made of its content.
        embedder: Gives it its vector.
        author: Who adds it.
        note: Why.
        same: Cosine similarity from which two questions are one.

    Raises:
        InputError: It cannot be graded or stored.
        BankError: The bank has the question with another gold.
        EmbedderError: It could not be embedded; nothing was changed.
    """
    if not question.text.strip():
        raise InputError("The question is empty.")
    if question.grader is None:
        question = replace(question, grader=guess_grader(question.gold or "", question.choices))
    # A question that its own grader refuses would leave every answer ungraded.
    await asyncio.to_thread(grade, question, question.gold or "-")
    if not question.id:
        question = replace(question, id=f"added/{question.content_hash()[:16]}")
    vector = (await embedder.embed([question.prompt()]))[0]
    return await asyncio.to_thread(
        _add, bank, _Incoming(question, vector, embedder.name, (), {}, None, author, note), same
    )


def guess_grader(gold: str, choices: tuple[str, ...] = ()) -> GraderName:
    """Return the grader that fits a gold: options, a plain number, a formula, or any short text."""
    if choices:
        return "choice"
    number = find_number(gold)
    if number is not None and number.text == gold.strip():
        return "number"
    return "math" if _LATEX.search(gold) else "exact"


@dataclass(frozen=True)
class _Incoming:
    question: Question
    vector: NDArray[np.float32]
    embedder: str
    outcomes: tuple[Outcome, ...]
    left_out: Mapping[str, str]
    run_id: str | None
    author: str
    note: str


def _check(run: Run, feedback: Feedback) -> None:
    if (feedback.gold is None) == (feedback.right is None):
        raise InputError("Say either whether the answer was right or what the correct answer is, not both or neither.")
    if feedback.gold is not None and not feedback.gold.strip():
        raise InputError("The correct answer is empty.")
    letters = [chr(ord("A") + i) for i in range(len(feedback.choices))]
    if feedback.gold is not None and letters and feedback.gold not in letters:
        raise InputError(f"With options the correct answer is a letter from A to {letters[-1]}, got {feedback.gold!r}.")
    if not run.query.text.strip():
        raise InputError(f"Run {run.id} has no question to learn from.")
    if len(run.query.text) > _MAX_CHARACTERS or len(feedback.gold or "") > _MAX_CHARACTERS:
        raise InputError(f"A bank question and its answer have at most {_MAX_CHARACTERS:,} characters.")


def _said(answer: str, choices: tuple[str, ...]) -> str:
    """Return the short answer a text settles on."""
    found = find_choice(answer, choices) if choices else settled(answer)
    if found is None:
        raise InputError(
            "No short answer can be read from the run's text, so other answers cannot be compared with it. "
            "Say what the correct answer is instead."
        )
    return found


def _outcomes(run: Run, asked: Question, known: bool) -> tuple[tuple[Outcome, ...], dict[str, str]]:
    """Grade the references; `known` says whether the gold is the truth or the answer that was wrong."""
    outcomes: list[Outcome] = []
    left_out: dict[str, str] = {}
    for attempt in run.references:
        if attempt.status != "ok":
            left_out[attempt.llm] = f"its call gave no answer ({attempt.status})"
            continue
        text = attempt.choices[0].text
        verdict = grade(asked, text)
        if not known and verdict.score != 1.0:
            left_out[attempt.llm] = "it answered otherwise, and what is right is not known"
            continue
        score = verdict.score if known else 0.0
        reason = verdict.reason if known else "gave the answer that was said to be wrong"
        if score is None:
            left_out[attempt.llm] = f"its answer could not be graded: {verdict.reason}"
            continue
        outcomes.append(
            Outcome(
                asked.id,
                attempt.llm,
                score,
                response=text,
                extracted=verdict.extracted,
                reason=reason,
                grader=asked.grader or "",
                usage=attempt.usage,
                cost_usd=attempt.cost_usd,
                seconds=attempt.seconds,
            )
        )
    return tuple(outcomes), left_out


def _add(bank: QuestionBank, incoming: _Incoming, same: float) -> Growth:
    asked = incoming.question
    twin, similarity = _twin(bank, incoming, same)
    left_out = dict(incoming.left_out)
    outcomes = incoming.outcomes
    kept: tuple[Outcome, ...] = ()
    stored: Question | None = asked
    if twin is not None:
        if asked.gold is not None and twin.gold is not None and fingerprint(twin).gold != fingerprint(asked).gold:
            raise BankError(
                f"The bank has this question as {twin.id!r} with the gold {twin.gold!r}, not {asked.gold!r}. "
                "Remove the wrong one first (smcs bank remove), or correct the feedback."
            )
        kept = bank.outcomes_on(twin.id)
        answered = {outcome.llm for outcome in kept}
        left_out.update({o.llm: "the bank has its outcome already" for o in outcomes if o.llm in answered})
        outcomes = tuple(replace(o, question_id=twin.id) for o in outcomes if o.llm not in answered)
        # An answer that was only said to be wrong left the question without a gold: now there is one.
        learned = twin.grader is None and asked.gold is not None
        stored = replace(twin, gold=asked.gold, grader=asked.grader) if learned else None
        if stored is None and not outcomes:
            return Growth(twin.id, False, None, similarity, (), left_out)
    kind = "feedback" if incoming.run_id else "add"
    with bank.logged(kind, author=incoming.author, note=incoming.note, run_id=incoming.run_id) as made:
        if stored is not None:
            bank.add_questions([stored], replace=twin is not None)
        if twin is None:
            bank.store_embeddings(incoming.embedder, [asked.id], incoming.vector[None, :])
        for outcome in outcomes:
            bank.add_llm(outcome.llm)
        bank.record((*kept, *outcomes))
    number = None if made.change is None else made.change.id
    return Growth(asked.id if twin is None else twin.id, twin is None, number, similarity, outcomes, left_out)


def _twin(bank: QuestionBank, incoming: _Incoming, same: float) -> tuple[Question | None, float | None]:
    """Return the bank's question that asks the same, and how similar it is."""
    wanted = fingerprint(incoming.question)
    if all(known.name != incoming.embedder or not known.embedded for known in bank.info().embedders):
        return None, None
    bank.refresh()
    found = bank.search(incoming.vector, embedder=incoming.embedder, base=1, tolerance=1.0)
    (nearest,) = bank.nearest(found, 1)
    similarity = float(found.support.similarities[0])
    known = fingerprint(nearest)
    equal = known.key == wanted.key
    alike = similarity >= same and known.numbers == wanted.numbers and known.choices == wanted.choices
    return (nearest, similarity) if equal or alike else (None, None)

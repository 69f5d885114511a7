"""Adding an LLM to a bank from few questions: which ones, what they cost, and how good it then seems to be.

The plan follows from the bank's content without the newcomer and from a seed, so it stays the same while the newcomer's
outcomes come in: an interrupted run goes on where it stopped, and a larger plan begins with the smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank import BankIndex, QuestionBank, index_scores, survey_of
from smcs.errors import ConfigError, InputError
from smcs.evaluate.budget import Budget
from smcs.evaluate.build import BuildPlan
from smcs.evaluate.engine import ProgressSink, run_grading
from smcs.evaluate.estimate import LLMEstimate, estimate_calls
from smcs.evaluate.progress import AnswererReport
from smcs.llms.local import LocalLLM
from smcs.llms.pool import Member
from smcs.prior.growth import AccuracyEstimate, choose_questions, estimate_accuracy, infer
from smcs.tasks import Task

__all__ = (
    "NewcomerAccuracy",
    "NewcomerPlan",
    "NewcomerReport",
    "add_newcomer",
    "estimate_newcomer",
    "plan_newcomer",
)

_MOST_AFFORDED = 10_000
"""Questions that a budget is tried on; nobody learns more from the next one."""


@dataclass(frozen=True, slots=True)
class NewcomerPlan:
    """What a newcomer is asked. `plan_newcomer` makes one."""

    llm: str
    asked: BuildPlan
    """The questions, most telling first, and how they are asked."""
    _: KW_ONLY
    searched: int
    """Questions of the bank that are searched, N."""
    references: int
    """Well graded LLMs the choice rests on; 0 if they are too few, and the choice is random."""
    cost: LLMEstimate
    """Of the questions that have no outcome yet."""
    max_usd: float | None
    """Hard cap, earlier answers of this LLM included."""
    spent_usd: float
    """What those earlier answers cost."""
    warnings: tuple[str, ...]
    """Where the other LLMs were asked in another way."""


@dataclass(frozen=True, slots=True)
class NewcomerAccuracy:
    """How good an LLM seems over all searched questions, had it been asked them all."""

    overall: AccuracyEstimate
    tasks: tuple[tuple[str, AccuracyEstimate], ...]
    """By task, sorted by its label."""


@dataclass(frozen=True, slots=True)
class NewcomerReport:
    """How adding an LLM went."""

    answers: AnswererReport
    accuracy: NewcomerAccuracy | None
    """`None` where it has no graded outcome."""


def plan_newcomer(
    bank: QuestionBank,
    member: Member,
    *,
    fraction: float | None = None,
    max_usd: float | None = None,
    seed: int = 0,
    embedder: str | None = None,
    tasks: Sequence[Task] = (),
) -> NewcomerPlan:
    """Choose which questions an LLM is asked.

    Args:
        bank: Its well graded LLMs say which questions tell most; see `smcs.prior.growth`.
        member: The newcomer; it may have outcomes already.
        fraction: Share of the searched questions, above 0 and at most 1; 0.1 if neither this nor `max_usd` is given.
        max_usd: As many questions as this is expected to pay for, what the LLM's earlier answers cost included.
        seed: Breaks ties, and is the seed of the calls.
        embedder: Whose vectors are searched; `None` means the bank's default.
        tasks: Tasks of the user's own that questions belong to.

    Raises:
        BankError: The bank has no embeddings.
        ConfigError: There is a cap, and the LLM has no price.
        InputError: An option is out of range, both are given, or the money is not enough for a question.
    """
    if fraction is not None and max_usd is not None:
        raise InputError("Give a fraction or a budget, not both.")
    if fraction is not None and not 0 < fraction <= 1:
        raise InputError(f"`fraction` must be above 0 and at most 1, got {fraction}.")
    if max_usd is not None and member.price is None:
        raise ConfigError(
            f"The price of {member.name} is unknown, so a budget says nothing. Give `price` in the config, or use "
            "--fraction."
        )
    index = bank.index(embedder)
    known = survey_of(index, without=member.name)
    total = len(index.ids)
    wanted = min(total, _MOST_AFFORDED) if max_usd is not None else max(1, round((fraction or 0.1) * total))
    nobody = np.zeros(total, dtype=np.bool_)
    rows = choose_questions(known, infer(known, (), ()), nobody, wanted, np.random.default_rng(seed))
    spent = sum(row.cost_usd for row in bank.usage() if row.llm == member.name)
    asked = BuildPlan(bank.questions(index.ids.take(rows)), tuple(tasks), seed=seed)
    if max_usd is not None:
        asked = _afforded(asked, member, bank, max_usd - spent)
    return NewcomerPlan(
        member.name,
        asked,
        searched=total,
        references=known.references,
        cost=_cost(asked, member, bank),
        max_usd=max_usd,
        spent_usd=spent,
        warnings=_warnings(asked, bank),
    )


async def add_newcomer(
    plan: NewcomerPlan,
    member: Member,
    bank: QuestionBank,
    *,
    concurrency: int = 16,
    embedder: str | None = None,
    on_progress: ProgressSink | None = None,
) -> NewcomerReport:
    """Ask an LLM the questions of a plan, record the graded answers, and estimate its accuracy.

    It may be interrupted at any time and called again with the same plan: what has an outcome is not asked again.

    Args:
        plan: What is asked.
        member: Who is asked.
        bank: Where outcomes are recorded; the LLM is added if it is new.
        concurrency: Calls in flight; a local LLM takes as many as it was set up for.
        embedder: As in `plan_newcomer`.
        on_progress: Hears about progress.

    Raises:
        BankError: The bank refused an outcome; everything recorded before is kept.
        InputError: An argument is out of range.
    """
    report = await run_grading(
        plan.asked.questions,
        [member],
        bank,
        messages=plan.asked.messages,
        sampling=plan.asked.sampling_of,
        concurrency=member.llm.options.parallel if isinstance(member.llm, LocalLLM) else concurrency,
        on_progress=on_progress,
        seed=plan.asked.seed,
        budget=None if plan.max_usd is None else Budget(plan.max_usd, spent=plan.spent_usd),
    )
    return NewcomerReport(report.answerers[0], estimate_newcomer(bank, member.name, embedder=embedder))


def estimate_newcomer(bank: QuestionBank, llm: str, *, embedder: str | None = None) -> NewcomerAccuracy | None:
    """Estimate an LLM's accuracy over the searched questions from whatever outcomes it has.

    Returns:
        `None` where it has no graded outcome.
    """
    index = bank.index(embedder)
    if llm not in index.llms:
        return None
    scores = index_scores(index)[:, index.llms.index(llm)].astype(np.float64)
    rows = np.flatnonzero(~np.isnan(scores))
    if not len(rows):
        return None
    known = survey_of(index, without=llm)
    ability = infer(known, rows, scores[rows])
    tasks = _rows_by_task(bank, index)
    parts = ((task, estimate_accuracy(known, ability, scores, tasks[task])) for task in sorted(tasks))
    return NewcomerAccuracy(estimate_accuracy(known, ability, scores), tuple(parts))


def _rows_by_task(bank: QuestionBank, index: BankIndex) -> dict[str, NDArray[np.intp]]:
    row_of = {question_id: row for row, question_id in enumerate(index.ids.take(np.arange(len(index.ids))))}
    rows: dict[str, list[int]] = {}
    for question in bank.iter_questions():
        if question.id in row_of:
            rows.setdefault(question.task, []).append(row_of[question.id])
    return {task: np.array(part, dtype=np.intp) for task, part in rows.items()}


def _cost(asked: BuildPlan, member: Member, bank: QuestionBank) -> LLMEstimate:
    found = estimate_calls(asked.questions, [member], bank, messages=asked.messages, sampling=asked.sampling_of)
    return found.llms[0]


def _afforded(asked: BuildPlan, member: Member, bank: QuestionBank, usd: float) -> BuildPlan:
    """Return the longest beginning of a plan whose unanswered questions are expected to cost no more."""

    def shortened(count: int) -> BuildPlan:
        return BuildPlan(asked.questions[:count], asked.tasks, seed=asked.seed)

    low, high = 0, len(asked.questions)
    while low < high:
        middle = (low + high + 1) // 2
        if (_cost(shortened(middle), member, bank).cost_usd or 0.0) <= usd:
            low = middle
        else:
            high = middle - 1
    if not low:
        first = _cost(shortened(1), member, bank).cost_usd or 0.0
        raise InputError(
            f"A question to {member.name} is expected to cost ${first:.6f}, and ${max(usd, 0.0):.6f} of the budget are "
            "left. Raise the budget."
        )
    return shortened(low)


def _warnings(asked: BuildPlan, bank: QuestionBank) -> tuple[str, ...]:
    """Say which tasks the bank notes as asked with other prompts or sampling than now."""
    lines = []
    for label, now in asked.task_settings().items():
        before = bank.get_note(f"build/task/{label}") or {}
        other = [name for name in ("prompts", "sampling", "samples") if name in before and before[name] != now[name]]
        if other:
            lines.append(f"the other LLMs were asked {label or 'these questions'} with other {' and '.join(other)}")
    return tuple(lines)

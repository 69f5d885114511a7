"""Building a bank: which questions of which tasks, asked how, of whom, within what cap; resumable at any time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from smcs.bank import QuestionBank
from smcs.errors import ConfigError, InputError
from smcs.evaluate.budget import Budget
from smcs.evaluate.engine import ProgressSink, run_grading
from smcs.evaluate.estimate import BuildEstimate, estimate_calls
from smcs.evaluate.progress import AnswererReport, GradingProgress, GradingReport
from smcs.llms.local import LocalLLM, LocalServers, available_cores
from smcs.llms.pool import Member
from smcs.tasks import Task, ask, find_task
from smcs.types import Message, Question, Sampling, Usage

__all__ = ("BuildPlan", "build_bank", "check_settings", "estimate_build", "plan_build")

_PATIENCE = 20


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What every LLM is asked, and how. `plan_build` makes one."""

    questions: tuple[Question, ...]
    tasks: tuple[Task, ...]
    _: KW_ONLY
    split: str = "validation"
    limit: int | None = None
    """Most questions per task."""
    seed: int = 0
    """Of the questions drawn and of every call."""
    samples: int = 1
    """Answers per question; the score is their mean."""
    sampling: Sampling = Sampling()
    """Laid over the sampling of each task and of each LLM."""

    def messages(self, question: Question) -> tuple[Message, ...]:
        """Return the prompt of a question."""
        return ask(question, *self.tasks)[0]

    def sampling_of(self, question: Question) -> Sampling:
        """Return the sampling of a question, without the seed of the call."""
        return self.sampling.over(ask(question, *self.tasks)[1])

    def member(self, member: Member) -> Member:
        """Return an LLM as this plan asks it."""
        return replace(member, sampling=self.sampling.over(member.sampling))

    def task_settings(self) -> dict[str, dict[str, Any]]:
        """Return, per label of questions, what outcomes have to share to be comparable."""
        by_label: dict[str, list[Question]] = {}
        for question in self.questions:
            by_label.setdefault(question.task, []).append(question)
        shared: dict[str, Any] = {"split": self.split, "limit": self.limit, "seed": self.seed, "samples": self.samples}
        shared["sampling"] = _set_values(self.sampling)
        return {label: {**shared, "prompts": self._prompt_hash(items)} for label, items in by_label.items()}

    def _prompt_hash(self, questions: Sequence[Question]) -> str:
        """Return a hash of how questions are asked, whichever they are: of a stand-in for each kind there is."""
        kinds = {(question.grader or "", bool(question.choices)): question for question in questions}
        stand_ins = [replace(kinds[key], id="", text="", choices=("",) * key[1]) for key in sorted(kinds)]
        asked = [(self.messages(question), self.sampling_of(question)) for question in stand_ins]
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:16]


def plan_build(
    tasks: Sequence[str | Path],
    *,
    split: str = "validation",
    data: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    samples: int = 1,
    sampling: Sampling | None = None,
) -> BuildPlan:
    """Load the questions of some tasks.

    Args:
        tasks: Names, or paths of a user's own task files.
        split: Which part of each task.
        data: Folder or file with local data; see `Task.load`.
        limit: Most questions per task, a stratified sample; all when `None`.
        seed: Of that sample, and of every call.
        samples: Answers per question, at least 1.
        sampling: Laid over the sampling of each task and of each LLM.

    Raises:
        ConfigError: A task is unknown, named twice, or its data cannot be found.
        InputError: `limit` or `samples` is out of range, no task is named, or a row is not what it should be.
        MissingExtraError: A library that reads the data is not installed.
    """
    found = [find_task(name) for name in tasks]
    names = [task.name for task in found]
    if not names:
        raise InputError("Name at least one task.")
    if len(set(names)) != len(names):
        raise ConfigError(f"A task is named twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}.")
    if samples < 1:
        raise InputError(f"`samples` must be at least 1, got {samples}.")
    questions = [question for task in found for question in task.load(split, data=data, limit=limit, seed=seed)]
    return BuildPlan(
        tuple(questions),
        tuple(found),
        split=split,
        limit=limit,
        seed=seed,
        samples=samples,
        sampling=sampling or Sampling(),
    )


def estimate_build(plan: BuildPlan, members: Sequence[Member], bank: QuestionBank | None) -> BuildEstimate:
    """Estimate what is left to do; see `estimate_calls`."""
    return estimate_calls(
        plan.questions,
        [plan.member(member) for member in members],
        bank,
        messages=plan.messages,
        sampling=plan.sampling_of,
        samples=plan.samples,
    )


def check_settings(
    plan: BuildPlan, members: Sequence[Member], bank: QuestionBank, *, exact: bool = True, force: bool = False
) -> None:
    """Make sure that a build goes on as it began, and note its settings in the bank.

    Settings are kept per task and per LLM, so tasks and LLMs may be added at any time.

    Args:
        plan: What is asked.
        members: Who is asked.
        bank: The bank that is built.
        exact: How local LLMs run; see `build_bank`.
        force: Whether other settings replace those noted; outcomes that are there stay.

    Raises:
        ConfigError: A task or an LLM was asked in another way before.
    """
    now = {f"build/task/{label}": settings for label, settings in plan.task_settings().items()}
    for member in members:
        asked = plan.member(member)
        how: dict[str, Any] = {"sampling": _set_values(asked.sampling), "system_prompt": asked.system_prompt}
        if isinstance(member.llm, LocalLLM):
            how["exact"] = exact
        now[f"build/llm/{member.name}"] = how
    before = {key: bank.get_note(key) for key in now}
    changes = [
        f"{key.partition('/')[2].replace('/', ' ', 1)}: {name} was {before[key].get(name)!r}, now {value!r}"
        for key, settings in now.items()
        if before[key] is not None
        for name, value in settings.items()
        if before[key].get(name) != value
    ]
    if changes and not force:
        raise ConfigError(
            f"{bank.url} was built with other settings ({'; '.join(changes)}). Use the same again, or another bank; "
            "with --force the build goes on with the new ones, and what is answered stays."
        )
    for key, settings in now.items():
        if before[key] != settings:
            bank.set_note(key, settings)


async def build_bank(
    plan: BuildPlan,
    members: Sequence[Member],
    bank: QuestionBank,
    *,
    concurrency: int = 64,
    parallel: int | None = None,
    max_usd: float | None = None,
    allow_unknown_price: bool = False,
    exact: bool = True,
    force: bool = False,
    retry_rounds: int = 2,
    on_progress: ProgressSink | None = None,
) -> GradingReport:
    """Let LLMs answer the questions of a plan, grade the answers, and record the outcomes in a bank.

    It may be interrupted at any time and called again: only what has no outcome is asked. Every call has a seed that
    follows from the plan's seed, the question and the sample, so an LLM that keeps to seeds answers the same however
    often the build was interrupted; local LLMs do if `exact` is on.

    Args:
        plan: What is asked.
        members: Who is asked.
        bank: Where outcomes are recorded; questions and LLMs it lacks are added.
        concurrency: Calls in flight per LLM that is not local, at most.
        parallel: LLMs that are asked at the same time; `None` means all, but with local ones no more than cores.
        max_usd: What the answers of these LLMs to these tasks may cost, earlier runs included. Each call reserves the
            most it may cost; an LLM whose next call may not fit is stopped.
        allow_unknown_price: Whether LLMs without a price are asked although there is a cap, and count as free.
        exact: Whether local LLMs answer one call after the other without reusing prompts, so that a text depends on
            nothing but its request; otherwise calls share batches, which is faster.
        force: Whether to go on although the bank was built with other settings.
        retry_rounds: How often failed questions are asked again after all others.
        on_progress: Hears about progress.

    Returns:
        What was done and what failed, one entry per LLM in the order given.

    Raises:
        BankError: A question is in the bank with another content.
        ConfigError: The settings differ from those of the bank, or several samples are to be drawn at temperature 0.
        InputError: An option is out of range.
    """
    _check_samples(plan, members)
    check_settings(plan, members, bank, exact=exact, force=force)
    asked = [m for m in members if max_usd is None or allow_unknown_price or m.price is not None]
    budget = None if max_usd is None else Budget(max_usd, spent=_spent(plan, asked, bank))
    local = [member.name for member in asked if isinstance(member.llm, LocalLLM)]
    lanes = parallel or (min(len(asked), available_cores()) if local else len(asked))
    slots = {m.name: m.llm.options.parallel if isinstance(m.llm, LocalLLM) else concurrency for m in asked}
    if exact:
        slots.update(dict.fromkeys(local, 1))
    async with LocalServers(max_concurrent=max([1, *(lanes * slots[name] for name in local)])) as servers:
        threads = max(1, available_cores() // max(1, min(lanes, len(local))))
        report = await run_grading(
            plan.questions,
            [_placed(plan.member(member), servers, exact=exact, threads=threads) for member in asked],
            bank,
            messages=plan.messages,
            sampling=plan.sampling_of,
            call_seconds=None,
            concurrency=slots,
            parallel=max(1, lanes),
            give_up_after=max(_PATIENCE, *slots.values(), 1),
            on_progress=on_progress,
            seed=plan.seed,
            samples=plan.samples,
            retry_rounds=retry_rounds,
            budget=budget,
        )
    done = {row.progress.llm: row for row in report.answerers}
    rows = [done.get(member.name) or _skipped(member.name, len(plan.questions)) for member in members]
    return GradingReport(tuple(rows), report.seconds)


def _placed(member: Member, servers: LocalServers, *, exact: bool, threads: int) -> Member:
    """Return a member whose local LLM, if it is one, runs on the servers of this build."""
    if not isinstance(member.llm, LocalLLM):
        return member
    options = replace(member.llm.options, exact=exact, threads=member.llm.options.threads or threads)
    return replace(member, llm=member.llm.on(servers, options))


def _check_samples(plan: BuildPlan, members: Sequence[Member]) -> None:
    if plan.samples == 1 or not plan.questions:
        return
    for member in members:
        sampling = plan.member(member).sampling.over(plan.sampling_of(plan.questions[0]))
        if sampling.temperature == 0:
            raise ConfigError(
                f"{member.name} would be asked {plan.samples} times at temperature 0, which gives the same answer each "
                "time. Ask for one sample, or set a temperature above 0."
            )


def _spent(plan: BuildPlan, members: Sequence[Member], bank: QuestionBank) -> float:
    names, labels = {member.name for member in members}, {question.task for question in plan.questions}
    return math.fsum(row.cost_usd for row in bank.usage() if row.llm in names and row.task in labels)


def _skipped(name: str, total: int) -> AnswererReport:
    progress = GradingProgress(
        llm=name,
        done=0,
        total=total,
        resumed=0,
        failed=0,
        ungraded=0,
        accuracy=None,
        usage=Usage(0, 0),
        cost_usd=0.0,
        seconds=0.0,
        rate=None,
        eta_seconds=None,
    )
    return AnswererReport(progress, (), "skipped", "its price is unknown, and there is a cap on money")


def _set_values(sampling: Sampling) -> dict[str, Any]:
    values = asdict(sampling)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v not in (None, ())}

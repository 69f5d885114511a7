"""Experiments: every arm answers every question, from answers that all arms share, and each answer is graded.

Questions come one after another and all arms of a question follow each other, so a run that is stopped early compares
all arms on the same questions. Rows are on disk as they come; started again, only what lacks an answer is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from smcs.bench.latency import CriticalPath
from smcs.bench.reach import Calls, Reach, Role
from smcs.bench.results import ArmSpec, ResultWriter, Row, RowStatus
from smcs.errors import ConfigError, InputError, RunError, suggest
from smcs.evaluate import call_seed
from smcs.grading import grade
from smcs.llms import AnswerStore, StoreMode, StoreScope
from smcs.llms.local import available_cores
from smcs.run import Query, Run, Trace
from smcs.strategies import Guard, Resources, Settings, check_strategy, find_strategy
from smcs.tasks import Task, ask
from smcs.types import Attempt, Grade, Question, Sampling, total_usage

__all__ = ("Arm", "Experiment", "Progress", "make_arm", "run_experiment")


@dataclass(frozen=True, slots=True)
class Arm:
    """A strategy with its settings and its pool, ready to be asked."""

    spec: ArmSpec
    settings: Settings
    llms: tuple[str, ...]
    """LLMs of the pool it may ask."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an arm is."""

    arm: str
    done: int
    total: int
    graded: int
    score: float
    """Sum of the grades."""
    calls: int
    known_cost_usd: float
    """USD of the rows whose cost is known."""
    unpriced: int
    """Rows whose cost is unknown."""
    missing: int
    failed: int
    degraded: int
    """Rows that were answered with less than was asked for, as when an LLM was out of reach."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is asked, of whom, and what is compared."""

    tasks: Sequence[Task]
    """How their questions are asked; those of other tasks are asked as `smcs.tasks.ask` says."""
    questions: Sequence[Question]
    arms: Sequence[Arm]
    resources: Resources
    store: AnswerStore
    _: KW_ONLY
    mode: StoreMode = "record"
    seeds: tuple[int, ...] = (0,)
    sampling: Sampling = Sampling()
    """Laid over each task's own."""
    concurrency: int = 4
    """Questions in flight."""
    redo_degraded: bool = False
    """Whether what was answered with less than was asked for counts as not answered."""


def make_arm(spec: ArmSpec, base: Settings, resources: Resources) -> Arm:
    """Check an arm and lay its settings over a profile.

    Args:
        spec: Strategy and settings. Settings are fields of `Settings`, and `llms`: names of LLMs of the pool, or how
            many of its first ones.
        base: Settings of all arms.
        resources: The whole pool, probed.

    Raises:
        ConfigError: The strategy or an LLM is unknown, or the strategy needs what the pool or bank cannot give.
        InputError: A setting is unknown or out of range.
    """
    given = dict(spec.settings)
    llms = _subset(given.pop("llms", None), tuple(resources.pool))
    arm = Arm(spec, _laid_over(base, given, f"Arm {spec.name!r}"), llms)
    can = find_strategy(spec.strategy).ablations
    if wrong := [part for part in given.get("without", ()) if part not in can]:
        able = ", ".join(can) or "none of the method's parts"
        raise InputError(f"Arm {spec.name!r}: {spec.strategy!r} cannot leave out {wrong[0]!r}. It can: {able}.")
    check_strategy(find_strategy(spec.strategy), _within(resources, arm), arm.settings)
    return arm


async def run_experiment(
    experiment: Experiment, writer: ResultWriter, *, on_progress: Callable[[Progress], None] | None = None
) -> None:
    """Answer and grade whatever the result file lacks.

    A run that ends without an answer is a row that says so, and in a replay one that needed a call that nobody may make
    is `missing`; neither is a score of 0.

    Args:
        experiment: What to do.
        writer: Where rows go.
        on_progress: Hears about every arm at the beginning, and about an arm after each of its rows.

    Raises:
        LLMUnreachableError: An arm cannot go on; see `reach.Reach`. Its rows so far are in the file.
    """
    grader, reach = _Grader(), Reach(experiment.concurrency)
    done = writer.done - writer.degraded if experiment.redo_degraded else writer.done
    total = len(experiment.questions) * len(experiment.seeds)
    tallies = {arm.spec.name: _Tally(arm.spec.name, total) for arm in experiment.arms}
    for row in writer.rows:
        if row.key in done and row.arm in tallies:
            tallies[row.arm].add(row)
    for tally in tallies.values():
        if on_progress is not None:
            on_progress(tally.progress)
    slots = asyncio.Semaphore(experiment.concurrency)

    async def answer_all(question: Question, seed: int) -> None:
        async with slots:
            for arm in experiment.arms:
                if (question.id, arm.spec.name, seed) in done:
                    continue
                calls = Calls()
                row = await _row(experiment, arm, question, seed, grader, calls)
                writer.append(row)
                tally = tallies[arm.spec.name]
                tally.add(row)
                if on_progress is not None:
                    on_progress(tally.progress)
                reach.judge(arm.spec.name, _roles(arm, experiment.resources), calls)

    try:
        async with asyncio.TaskGroup() as group:
            for seed in experiment.seeds:
                for question in experiment.questions:
                    group.create_task(answer_all(question, seed))
    except BaseExceptionGroup as failures:  # the first one ended the others
        raise failures.exceptions[0] from failures


def _roles(arm: Arm, resources: Resources) -> tuple[Role, ...]:
    """Return whom an arm cannot do without: somebody who is asked, and where answers are merged, somebody who can."""
    spec = find_strategy(arm.spec.strategy)
    named = spec.named(arm.settings)
    asked = arm.llms if named is None else (named,)
    return (asked, resources.aggregators) if "aggregator" in spec.needs else (asked,)


async def _row(experiment: Experiment, arm: Arm, question: Question, seed: int, grader: _Grader, calls: Calls) -> Row:
    scope = StoreScope(experiment.store, experiment.mode, series=seed)
    resources = _within(experiment.resources, arm)
    pool, mergers = (scope.pool(calls.heard(members)) for members in (resources.pool, resources.mergers))
    resources = replace(resources, pool=pool, mergers=mergers)
    messages, sampling = ask(question, *experiment.tasks)
    settings = replace(arm.settings, seed=call_seed(seed, question.id), sampling=experiment.sampling.over(sampling))
    query = Query.about(question, messages)
    path = CriticalPath()
    trace = Trace(path)
    run: Run | None = None
    error: str | None = None
    try:
        run = await find_strategy(arm.spec.strategy).run(query, resources, settings, trace)
    except RunError as failure:
        error = str(failure)
    if scope.missing:
        return _unanswered(question, arm, seed, f"{scope.missing} call(s) are not in the answer store", "missing")
    if run is None:
        return _failed(_unanswered(question, arm, seed, error or "no answer", "failed"), trace.attempts)
    return await _graded(run, question, arm, seed, None if scope.untimed else path.seconds, grader)


def _unanswered(question: Question, arm: Arm, seed: int, error: str, status: RowStatus) -> Row:
    return Row(
        question.id,
        question.task,
        arm.spec.name,
        seed,
        subject=question.subject,
        score=None,
        status=status,
        error=error,
    )


def _failed(row: Row, attempts: Sequence[Attempt]) -> Row:
    """Add what the failed calls cost: a strategy that often fails is not a cheap one."""
    sent = [attempt for attempt in attempts if attempt.status != "skipped"]
    usage = total_usage([attempt.usage for attempt in sent])
    costs = [attempt.cost_usd for attempt in sent if attempt.cost_usd is not None]
    return replace(
        row,
        calls=len(sent),
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        cost_usd=sum(costs) if len(costs) == len(sent) else None,
        call_seconds=sum(attempt.seconds for attempt in sent),
    )


async def _graded(run: Run, question: Question, arm: Arm, seed: int, latency: float | None, grader: _Grader) -> Row:
    verdict = await grader.grade(question, run.answer)
    references: dict[str, float | None] = {}
    for attempt in run.references:  # Of several samples or layers, the first is the LLM's own answer.
        if attempt.status == "ok" and attempt.llm not in references:
            references[attempt.llm] = (await grader.grade(question, attempt.choices[0].text)).score
    candidates = [(await grader.grade(question, candidate.text)).score for candidate in run.candidates]
    sent = [attempt for attempt in run.attempts if attempt.status != "skipped"]
    return Row(
        question.id,
        question.task,
        arm.spec.name,
        seed,
        subject=question.subject,
        score=verdict.score,
        status="ungraded" if verdict.score is None else "ok",
        answered_by=run.answered_by,
        extracted=verdict.extracted,
        calls=run.calls,
        prompt_tokens=run.usage.prompt_tokens,
        cached_tokens=run.usage.cached_tokens,
        completion_tokens=run.usage.completion_tokens,
        cost_usd=run.cost_usd,
        call_seconds=None if latency is None else sum(attempt.seconds for attempt in sent),
        latency=latency,
        degraded=run.degraded,
        priors={estimate.llm: estimate.prior for estimate in run.priors},
        reference_scores=references,
        candidate_scores=tuple(candidates),
        support=dict(run.support_sources),
    )


class _Grader:
    """Grades each text of a question once, off the event loop."""

    def __init__(self) -> None:
        self._grades: dict[tuple[str, str], Grade] = {}
        self._slots = asyncio.Semaphore(2 * available_cores())

    async def grade(self, question: Question, text: str) -> Grade:
        key = (question.id, text)
        if key not in self._grades:
            async with self._slots:
                self._grades[key] = await asyncio.to_thread(grade, question, text)
        return self._grades[key]


class _Tally:
    """Adds up an arm's rows."""

    def __init__(self, arm: str, total: int) -> None:
        self.progress = Progress(arm, 0, total, 0, 0.0, 0, 0.0, 0, 0, 0, 0)

    def add(self, row: Row) -> None:
        before = self.progress
        self.progress = replace(
            before,
            done=before.done + 1,
            graded=before.graded + (row.score is not None),
            score=before.score + (row.score or 0.0),
            calls=before.calls + row.calls,
            known_cost_usd=before.known_cost_usd + (row.cost_usd or 0.0),
            unpriced=before.unpriced + (row.cost_usd is None),
            missing=before.missing + (row.status == "missing"),
            failed=before.failed + (row.status == "failed"),
            degraded=before.degraded + bool(row.degraded),
        )


def _laid_over(base: Settings, given: Mapping[str, Any], whose: str) -> Settings:
    """Return settings with others laid over them; `guard.x` is a field of `Settings.guard`."""
    own = {name: value for name, value in given.items() if "." not in name}
    guard = {name.partition(".")[2]: value for name, value in given.items() if name.startswith("guard.")}
    known = [*Settings.__dataclass_fields__, *(f"guard.{name}" for name in Guard.__dataclass_fields__)]
    for name in given:
        if name not in known:
            raise InputError(f"{whose} has an unknown setting {name!r}.{suggest(name, known)}")
    if "without" in own:
        own["without"] = tuple(own["without"])
    return replace(base, **own, guard=replace(base.guard, **guard))


def _subset(llms: Any, pool: tuple[str, ...]) -> tuple[str, ...]:
    """Return the LLMs an arm may ask, in pool order."""
    if llms is None:
        return pool
    if isinstance(llms, int):
        if not 1 <= llms <= len(pool):
            raise ConfigError(f"`llms` must be from 1 to {len(pool)}, the size of the pool, got {llms}.")
        return pool[:llms]
    for name in llms:
        if name not in pool:
            raise ConfigError(f"The pool has no LLM {name!r}.{suggest(name, pool)}")
    if not llms:
        raise ConfigError(f"`llms` names no LLM. The pool has: {', '.join(pool)}.")
    return tuple(name for name in pool if name in set(llms))


def _within(resources: Resources, arm: Arm) -> Resources:
    """Return the resources of an arm: an aggregator outside its part of the pool merges without being a referencer."""
    if len(arm.llms) == len(resources.pool):
        return resources
    merging = {name: member for name, member in resources.pool.items() if name in resources.aggregators}
    return replace(
        resources,
        pool={name: resources.pool[name] for name in arm.llms},
        mergers={**resources.mergers, **{name: m for name, m in merging.items() if name not in arm.llms}},
    )

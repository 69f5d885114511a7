"""Result files as arrays: what the analyses of a report read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bench.results import ArmSpec, Header, ResultFile, Row
from smcs.errors import ConfigError

__all__ = ("Arm", "Evidence", "merge_results")

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm, and what of it was planned and done."""

    name: str
    strategy: str
    settings: dict[str, Any]
    pool_size: int
    """LLMs it may ask."""
    rows: tuple[Row, ...]
    not_run: dict[str, int]
    """By task: questions (times seeds) that other arms of its file have a row for and it has not."""

    @property
    def without(self) -> tuple[str, ...]:
        """Parts left out (ablation)."""
        parts = self.settings.get("without") or ()
        return (parts,) if isinstance(parts, str) else tuple(str(part) for part in parts)

    def settings_but(self, *names: str) -> str:
        """Return a comparable form of its strategy and the settings other than those named."""
        rest = {name: value for name, value in self.settings.items() if name not in names}
        return json.dumps([self.strategy, rest], sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that one or several result files hold."""

    files: tuple[tuple[str, ResultFile], ...]
    """File names and contents."""
    tasks: tuple[str, ...]
    """Those with at least one row."""
    seeds: tuple[int, ...]
    llms: tuple[str, ...]
    arms: tuple[Arm, ...]
    questions: tuple[str, ...]
    """Ids of all questions, Q of them."""
    task_of: NDArray[np.int64]
    """Index of each question's task, shape (Q,)."""
    scores: _Floats
    """Score by arm, seed and question, shape (A, S, Q); NaN where there is none."""

    @property
    def headers(self) -> tuple[Header, ...]:
        """Headers of all files and of all their sittings."""
        return tuple(header for _, file in self.files for header in (file.header, *file.resumed))

    @property
    def question_scores(self) -> _Floats:
        """Mean over seeds of each arm's score of each question, shape (A, Q); NaN where no seed has one."""
        return mean_known(self.scores, axis=1)

    def per_question(self, arm: int, values: Iterable[float]) -> _Floats:
        """Return one value per row of an arm as means over seeds per question, shape (Q,); NaN is left out."""
        position = {question: index for index, question in enumerate(self.questions)}
        sums, counts = np.zeros(len(self.questions)), np.zeros(len(self.questions))
        for row, value in zip(self.arms[arm].rows, values, strict=True):
            if not np.isnan(value):
                sums[position[row.question]] += value
                counts[position[row.question]] += 1
        means: _Floats = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
        return means

    def by_task(self, values: _Floats) -> tuple[_Floats, ...]:
        """Split an array over questions, shape (Q,), into one per task."""
        return tuple(values[self.task_of == task] for task in range(len(self.tasks)))

    def index(self, arm: str) -> int:
        """Return the position of an arm.

        Raises:
            KeyError: There is no such arm.
        """
        for index, candidate in enumerate(self.arms):
            if candidate.name == arm:
                return index
        raise KeyError(arm)


def mean_known(values: _Floats, axis: int) -> _Floats:
    """Return means along an axis over what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    counts = known.sum(axis=axis)
    sums = np.where(known, values, 0.0).sum(axis=axis)
    means: _Floats = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return means


def merge_results(files: Sequence[tuple[Path | str, ResultFile]]) -> Evidence:
    """Put result files together.

    Arms of one name, strategy and settings are one arm; an arm that only shares the name with another file's is
    renamed after its experiment.

    Args:
        files: Where each was read from, and its content; at least one.

    Raises:
        ConfigError: There is no row, two files hold the same answer of one arm, or a question is in two tasks.
    """
    specs: dict[str, tuple[ArmSpec, int]] = {}
    rows: dict[str, dict[tuple[str, int], Row]] = {}
    not_run: dict[str, dict[str, int]] = {}
    for path, file in files:
        absent = _not_run(file)
        names = _names(file, specs)
        for spec in file.header.arms:
            name = names[spec.name]
            specs.setdefault(name, (spec, _pool_size(spec, file.header)))
            counts = not_run.setdefault(name, {})
            for task, count in absent[spec.name].items():
                counts[task] = counts.get(task, 0) + count
        for row in file.rows:
            known = rows.setdefault(names[row.arm], {})
            if (row.question, row.seed) in known:
                raise ConfigError(
                    f"{path} and another file both hold arm {row.arm!r} on question {row.question!r} under seed "
                    f"{row.seed}. Report on one of them."
                )
            known[row.question, row.seed] = row
    if not rows:
        raise ConfigError(f"{', '.join(str(path) for path, _ in files)}: no question was answered yet.")
    arms = tuple(
        Arm(name, spec.strategy, spec.settings, size, tuple(rows.get(name, {}).values()), not_run[name])
        for name, (spec, size) in specs.items()
    )
    return _evidence(files, arms)


def _evidence(files: Sequence[tuple[Path | str, ResultFile]], arms: tuple[Arm, ...]) -> Evidence:
    headers = [file.header for _, file in files]
    seeds = tuple(sorted({seed for header in headers for seed in header.seeds}))
    task_of: dict[str, str] = {}
    for row in (row for arm in arms for row in arm.rows):
        if task_of.setdefault(row.question, row.task) != row.task:
            raise ConfigError(f"Question {row.question!r} is in two tasks: {task_of[row.question]!r} and {row.task!r}.")
    asked = set(task_of.values())
    tasks = tuple(dict.fromkeys(task for header in headers for task in header.tasks if task in asked))
    questions = tuple(sorted(task_of, key=lambda question: (tasks.index(task_of[question]), question)))
    position = {question: index for index, question in enumerate(questions)}
    scores = np.full((len(arms), len(seeds), len(questions)), np.nan)
    for number, arm in enumerate(arms):
        for row in arm.rows:
            if row.score is not None:
                scores[number, seeds.index(row.seed), position[row.question]] = row.score
    return Evidence(
        files=tuple((Path(path).name, file) for path, file in files),
        tasks=tasks,
        seeds=seeds,
        llms=tuple(dict.fromkeys(llm for header in headers for llm in header.llms)),
        arms=arms,
        questions=questions,
        task_of=np.array([tasks.index(task_of[question]) for question in questions], dtype=np.int64),
        scores=scores,
    )


def _names(file: ResultFile, specs: dict[str, tuple[ArmSpec, int]]) -> dict[str, str]:
    """Return what each arm of a file is called in the report."""
    names: dict[str, str] = {}
    for spec in file.header.arms:
        for name in _alternatives(spec.name, file.header.name):
            there = specs.get(name)
            if there is None or (there[0].strategy, there[0].settings) == (spec.strategy, spec.settings):
                names[spec.name] = name
                break
    return names


def _alternatives(arm: str, experiment: str) -> Iterator[str]:
    yield arm
    yield f"{arm} ({experiment})"
    number = 2
    while True:
        yield f"{arm} ({experiment}, {number})"
        number += 1


def _pool_size(spec: ArmSpec, header: Header) -> int:
    llms = spec.settings.get("llms")
    if isinstance(llms, int) and not isinstance(llms, bool) and llms > 0:
        return llms
    return len(llms) if isinstance(llms, list | tuple) and llms else len(header.llms)


def _not_run(file: ResultFile) -> dict[str, dict[str, int]]:
    """Return, by arm and task, how many questions (times seeds) of the file it has no row for."""
    questions: dict[str, set[str]] = {}
    done: dict[tuple[str, str], int] = {}
    for row in file.rows:
        questions.setdefault(row.task, set()).add(row.question)
        done[row.arm, row.task] = done.get((row.arm, row.task), 0) + 1
    seeds = len(file.header.seeds)
    return {
        arm.name: {task: len(ids) * seeds - done.get((arm.name, task), 0) for task, ids in questions.items()}
        for arm in file.header.arms
    }

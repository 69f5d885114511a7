"""Outcomes that others recorded, as arrays: questions, grades, and where known answers and costs.

Each has a split that serves as the question bank and one that is asked. No LLM is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from smcs.bank.importers import ImportOptions, routerbench, routerdc
from smcs.bank.importers.entry import Entry
from smcs.bench.recorded import load_recorded
from smcs.bench.tables import read_columns
from smcs.errors import BankError, ConfigError, suggest
from smcs.prior import question_features

__all__ = ("RECORDINGS", "Recording", "RecordingName", "load_recording")

RecordingName = Literal["mmlu_pro", "routerdc", "routerbench"]
"""A data set of recorded outcomes."""

RECORDINGS: Final[dict[str, str]] = {
    "mmlu_pro": "mmlu_pro_recorded",
    "routerdc": "routerdc/outcomes.parquet",
    "routerbench": "routerbench/arc_challenge.parquet",
}
"""Where each lies in the folder of local data."""

_BANK_SPLIT, _TEST_SPLIT = "train", "test"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Q questions, of which some are the bank and the others are asked, and R LLMs."""

    name: str
    llms: tuple[str, ...]
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    """(Q,) without options."""
    choices: tuple[tuple[str, ...], ...]
    """(Q,) options, where they are known apart from the text."""
    tasks: tuple[str, ...]
    """(Q,)"""
    groups: NDArray[np.str_]
    """(Q,) the finest label: the subject, or the task."""
    is_test: NDArray[np.bool_]
    """(Q,)"""
    scores: NDArray[np.float64]
    """(Q, R) grades in [0, 1], NaN where nothing was recorded."""
    answers: NDArray[np.int64] | None = None
    """(Q, R) number of the option chosen, -1 for none; `None` where answers were not recorded."""
    gold: NDArray[np.int64] | None = None
    """(Q,) number of the right option."""
    costs: NDArray[np.float64] | None = None
    """(Q, R) USD of each answer, NaN where unknown; `None` where no cost was recorded."""

    @property
    def bank(self) -> NDArray[np.intp]:
        """Rows of the bank."""
        return np.flatnonzero(~self.is_test)

    @property
    def asked(self) -> NDArray[np.intp]:
        """Rows that are asked."""
        return np.flatnonzero(self.is_test)

    def features(self) -> NDArray[np.float64]:
        """Return `question_features` of every question, (Q, f)."""
        return np.stack([question_features(*pair) for pair in zip(self.texts, self.choices, strict=True)])

    def embedded_texts(self, *, with_choices: bool) -> tuple[str, ...]:
        """Return what is embedded of each question: its text, with its lettered options on further lines or not."""
        if not with_choices:
            return self.texts
        return tuple(
            "\n".join([text, *(f"{chr(ord('A') + place)}. {choice}" for place, choice in enumerate(choices))])
            for text, choices in zip(self.texts, self.choices, strict=True)
        )

    def part(self, rows: NDArray[np.intp]) -> Recording:
        """Return some of the questions."""

        def few(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[row] for row in rows)

        return replace(
            self,
            ids=few(self.ids),
            texts=few(self.texts),
            choices=tuple(self.choices[row] for row in rows),
            tasks=few(self.tasks),
            groups=self.groups[rows],
            is_test=self.is_test[rows],
            scores=self.scores[rows],
            answers=None if self.answers is None else self.answers[rows],
            gold=None if self.gold is None else self.gold[rows],
            costs=None if self.costs is None else self.costs[rows],
        )


def load_recording(name: str, data: Path, *, limit: int | None = None, seed: int = 0) -> Recording:
    """Read a recording.

    Args:
        name: A `RecordingName`.
        data: Folder of local data, or the recording's own folder or file.
        limit: Most questions per task and split, drawn stratified by group; all unless given.
        seed: Of that draw.

    Raises:
        ConfigError: There is no such recording, or its files are missing or malformed.
        MissingExtraError: pyarrow is not installed.
    """
    if name not in RECORDINGS:
        raise ConfigError(f"There is no recording {name!r}.{suggest(name, get_args(RecordingName))}")
    inside = data / RECORDINGS[name]
    path = inside if inside.exists() else data
    if not path.exists():
        raise ConfigError(f"{inside} does not exist. Name the folder of local data that has {RECORDINGS[name]}.")
    found = _mmlu_pro(path) if name == "mmlu_pro" else _routed(name, path)
    if not found.is_test.any() or found.is_test.all():
        raise ConfigError(f"{path} must hold questions of both a bank and a test split.")
    return found if limit is None else found.part(_stratified(found, limit, np.random.default_rng(seed)))


def _mmlu_pro(path: Path) -> Recording:
    recorded = load_recorded(path)
    table = read_columns(path / "questions.parquet", ("id", "choices"))
    options = dict(zip(table["id"], (tuple(map(str, choices)) for choices in table["choices"]), strict=True))
    return Recording(
        name="mmlu_pro",
        llms=recorded.llms,
        ids=recorded.ids,
        texts=recorded.questions,
        choices=tuple(options[id_] for id_ in recorded.ids),
        tasks=("mmlu_pro",) * len(recorded.ids),
        groups=recorded.subjects,
        is_test=recorded.is_test,
        scores=recorded.correct,
        answers=recorded.predicted.astype(np.int64),
        gold=recorded.gold.astype(np.int64),
    )


def _routed(name: str, path: Path) -> Recording:
    """Read what the bank's importers read: a question, or an outcome on it, at a time."""
    read: Callable[[Path, ImportOptions], Iterator[Entry]] = {
        "routerdc": routerdc.entries,
        "routerbench": routerbench.entries,
    }[name]
    entries: list[tuple[bool, Entry]] = []
    try:
        for split in (_BANK_SPLIT, _TEST_SPLIT):
            entries += [(split == _TEST_SPLIT, entry) for entry in read(path, ImportOptions(split=split))]
    except BankError as error:
        raise ConfigError(str(error)) from error
    llms = tuple(sorted({outcome.llm for _, entry in entries for outcome in entry.outcomes}))
    column_of = {llm: column for column, llm in enumerate(llms)}
    first = {entry.question.id: (is_test, entry.question) for is_test, entry in entries}
    row_of = {id_: row for row, id_ in enumerate(first)}
    scores = np.full((len(row_of), len(llms)), np.nan)
    costs = np.full(scores.shape, np.nan)
    for _, entry in entries:
        for outcome in entry.outcomes:
            place = row_of[outcome.question_id], column_of[outcome.llm]
            scores[place] = np.nan if outcome.score is None else outcome.score
            costs[place] = np.nan if outcome.cost_usd is None else outcome.cost_usd
    tasks = tuple(question.task for _, question in first.values())
    return Recording(
        name=name,
        llms=llms,
        ids=tuple(first),
        texts=tuple(_last_block(question.text) for _, question in first.values()),
        choices=((),) * len(first),
        tasks=tasks,
        groups=np.array(tasks, dtype=np.str_),
        is_test=np.array([is_test for is_test, _ in first.values()], dtype=np.bool_),
        scores=scores,
        costs=None if np.isnan(costs).all() else costs,
    )


def _last_block(prompt: str) -> str:
    """Return what a prompt asks after its worked examples, each of which ends in "Answer:" and a line with it."""
    head, mark, tail = prompt.rstrip().removesuffix("Answer:").rpartition("\nAnswer:\n")
    if not mark or not head:
        return prompt
    return tail.partition("\n\n")[2] or prompt


def _stratified(found: Recording, limit: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return sorted rows: of each task and split at most `limit`, every group in proportion."""
    keep: list[NDArray[np.intp]] = []
    tasks = np.array(found.tasks)
    for task in np.unique(tasks):
        for split in (False, True):
            rows = np.flatnonzero((tasks == task) & (found.is_test == split))
            keep.append(_spread(rng.permutation(rows), found.groups, limit))
    return np.sort(np.concatenate(keep))


def _spread(rows: NDArray[np.intp], groups: Sequence[str] | NDArray[np.str_], limit: int) -> NDArray[np.intp]:
    """Return the first `limit` of some rows after giving each a place that spreads its group evenly over them."""
    labels = np.asarray(groups)[rows]
    place = np.empty(len(rows))
    for label in np.unique(labels):
        inside = np.flatnonzero(labels == label)
        place[inside] = (np.arange(len(inside)) + 0.5) / len(inside)
    return rows[np.argsort(place, kind="stable")[:limit]]

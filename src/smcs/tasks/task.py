"""What a task is: where its questions come from, how they are asked, and how answers are graded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path

from smcs.errors import ConfigError, InputError, suggest
from smcs.tasks._hub import Part, hub_questions
from smcs.tasks._order import stratified
from smcs.tasks._records import Builder, check_gradeable, parse_record
from smcs.tasks._rows import SUFFIXES, is_data_file, read_rows
from smcs.tasks.prompts import PAPER_SAMPLING, messages_of, read_template
from smcs.types import GraderName, Message, Question, Sampling

__all__ = ("DATA_ENV", "Loader", "Split", "Task")

DATA_ENV = "SMCS_DATA"
"""Environment variable that names the data folder."""

Loader = Callable[[str], tuple[Question, ...]]
"""Returns the questions of a split, for tasks that are neither in a data folder nor on the hub."""


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a task. "validation" goes into question banks, "test" never does."""

    name: str
    size: int | None = None
    """Questions of the whole split, in the paper or as published; `None` where nobody says."""
    _: KW_ONLY
    labels: tuple[str, ...] = ()
    """What local files call it; its own name when empty."""
    note: str = ""
    """How it is drawn where it is not simply taken as published."""

    @property
    def file_labels(self) -> tuple[str, ...]:
        """What local files call it."""
        return self.labels or (self.name,)


@dataclass(frozen=True, slots=True)
class Task:
    """A benchmark, or a user's own set of questions."""

    name: str
    """Label of its questions (`Question.task`), and of its file in a data folder."""
    title: str
    """What it is, in one line."""
    grader: GraderName
    """How most answers are checked; a question may name another."""
    prompt: str
    """Template with `{question}`."""
    splits: tuple[Split, ...]
    build: Builder
    """Turns a record of a data folder, or of the hub, into a question."""
    _: KW_ONLY
    about: str = ""
    """What one should know before using it."""
    source: str = ""
    """Who published it, and where."""
    licence: str = ""
    """As its source states it."""
    private: bool = False
    """Whether its authors ask that items never appear in plain text: none is shown, logged or quoted."""
    defaults: Sampling = PAPER_SAMPLING
    """How it is sampled unless a caller says otherwise."""
    hub: Mapping[str, tuple[Part, ...]] = field(default_factory=dict[str, tuple[Part, ...]])
    """Split -> the parts of datasets on the hub that make it up."""
    own: Loader | None = None
    """Loads the questions instead of data folder and hub."""

    def load(
        self,
        split: str = "validation",
        *,
        data: str | Path | None = None,
        limit: int | None = None,
        seed: int = 0,
        revision: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> tuple[Question, ...]:
        """Return the questions of a split, each of which can be graded.

        They are read from `data`, else from the folder that `SMCS_DATA` names if it has the task, else from the hub.

        Args:
            split: "validation" (for question banks), "test", or another split of the task.
            data: A data folder (`NAME.jsonl.gz`, `.jsonl`, `.parquet` or `.csv` in it or in its `benchmarks`), or a
                file of that kind.
            limit: Most questions, at least 1: a stratified sample, the same for every order of the file, and part of
                every larger one with the same seed. All, in the order of the file, when `None`.
            seed: Of the sample.
            revision: Commit, branch or tag on the hub.
            columns: Key of the ten-key record -> column, for a file whose columns are called otherwise.

        Raises:
            ConfigError: There is no such file, or the hub cannot be reached or refuses.
            InputError: There is no such split, `limit` is below 1, or a row is not what it should be.
            MissingExtraError: The library that reads the file or the hub is not installed.
        """
        wanted = self.split(split)
        if limit is not None and limit < 1:
            raise InputError(f"`limit` must be at least 1, got {limit}.")
        if self.own is not None:
            questions = self.own(wanted.name)
        elif (path := self.local_file(data)) is not None:
            questions = self._from_file(path, wanted, columns)
        else:
            questions = self._from_hub(wanted, revision)
        return questions if limit is None else stratified(questions, seed)[:limit]

    def split(self, name: str) -> Split:
        """Return a split by its name, or by what data files call it.

        Raises:
            InputError: There is none.
        """
        for split in self.splits:
            if name == split.name:
                return split
        for split in self.splits:
            if name in split.file_labels:
                return split
        names = [split.name for split in self.splits]
        raise InputError(f"Task {self.name!r} has no split {name!r}.{suggest(name, names)}")

    def messages(self, question: Question) -> tuple[Message, ...]:
        """Return the chat messages that ask a question of this task."""
        return messages_of(self.prompt, question)

    def sampling(self, question: Question) -> Sampling:
        """Return how a question of this task is sampled unless a caller says otherwise."""
        return self.defaults

    def with_prompt(self, prompt: str | Path) -> Task:
        """Return the same task with another prompt.

        Args:
            prompt: A text that holds `{question}` once, or the path of a file with such a text.

        Raises:
            ConfigError: The file cannot be read, or `{question}` does not occur exactly once.
        """
        return replace(self, prompt=read_template(prompt))

    def local_file(self, data: str | Path | None = None) -> Path | None:
        """Return the local file the task would be loaded from, or `None` if it would come from elsewhere.

        Args:
            data: As for `load`.

        Raises:
            ConfigError: `data` is given and has no file of this task.
        """
        if self.own is not None:
            return None
        given = data if data is not None else os.environ.get(DATA_ENV)
        if not given:
            return None
        folder = Path(given).expanduser()
        if is_data_file(folder):
            if data is None or folder.is_file():
                return folder
            raise ConfigError(f"There is no data file at {str(folder)!r}.")
        for place in (folder, folder / "benchmarks"):
            for suffix in SUFFIXES:
                if (file := place / f"{self.name}{suffix}").is_file():
                    return file
        if data is None:
            return None
        names = ", ".join(f"{self.name}{suffix}" for suffix in SUFFIXES)
        what = "has none of" if folder.is_dir() else "does not exist, so it has none of"
        raise ConfigError(f"The data folder {str(folder)!r} {what}: {names}.")

    def fault(self, error: InputError) -> str:
        """Return what is wrong with a row, without quoting it if items are private."""
        reason = str(error).rstrip(".")
        return reason.split(", got")[0] if self.private else reason

    def _from_file(self, path: Path, split: Split, columns: Mapping[str, str] | None) -> tuple[Question, ...]:
        questions: dict[str, Question] = {}
        labels = Counter[str]()
        for number, row in read_rows(path):
            try:
                record = parse_record(row, columns, id=f"{self.name}/{number}", split=split.name, benchmark=self.name)
                if record.benchmark != self.name:
                    raise InputError(f"`benchmark` is {record.benchmark!r:.60}, expected {self.name!r}")
                labels[record.split] += 1
                if record.split not in split.file_labels:
                    continue
                question = self.build(record)
                check_gradeable(question)
                if question.id in questions:
                    raise InputError(f"the id {question.id!r:.80} occurs twice")
            except InputError as error:
                raise InputError(f"{path}, row {number}: {self.fault(error)}.") from error
            questions[question.id] = question
        if not questions:
            there = ", ".join(f"{label} ({count})" for label, count in sorted(labels.items())) or "no rows at all"
            raise InputError(f"{path} has no rows of the split {split.name!r}, it has: {there}.")
        return tuple(questions.values())

    def _from_hub(self, split: Split, revision: str | None) -> tuple[Question, ...]:
        parts = self.hub.get(split.name, ())
        if not parts:
            raise ConfigError(
                f"The split {split.name!r} of {self.name!r} is not on the hub in a form we read. Give a data folder"
                f" that has it: `data=`, `--data` or {DATA_ENV}."
            )
        questions: dict[str, Question] = {}
        for part in parts:
            for question in hub_questions(part, self.build, revision=revision):
                if question.id in questions:
                    raise InputError(f"{part.repo}: the id {question.id!r:.80} occurs twice.")
                questions[question.id] = question
        return tuple(questions.values())

"""Result files: one experiment's header and a row per question, arm and seed, as JSON lines.

A run appends to a plain `.jsonl`, which can be resumed; `ResultWriter.finish` leaves a compressed `.jsonl.gz` beside
it, whose bytes depend on its content alone. Rows carry ids, verdicts and counts, never a question or an answer's text,
so that result files can be published. Whoever made a file, its rows are checked as untrusted input.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, Literal, Self, TypeVar

from smcs.bench.provenance import describe_commit, describe_machine
from smcs.errors import ConfigError, InputError, suggest

__all__ = (
    "RESULT_FORMAT",
    "ArmSpec",
    "Header",
    "ResultFile",
    "ResultWriter",
    "Row",
    "RowStatus",
    "describe_commit",
    "describe_machine",
    "read_results",
)

RESULT_FORMAT: Final = "smcs-results/1"
"""Name and version of the format, the first thing in every file."""

RowStatus = Literal["ok", "ungraded", "failed", "missing"]
"""ok: answered and graded; ungraded: answered, no verdict; failed: no answer; missing: a replay lacked an answer."""

_EXTRACTED_CHARACTERS = 80
_TEXT_CHARACTERS = 300
_LINE_BYTES = 8 << 20
_FILE_BYTES = 2 << 30
_SYNC_SECONDS = 2.0
_RESULTING = ("format", "name", "tasks", "arms", "seeds", "llms", "aggregators", "bank", "config")
_CIRCUMSTANCES = ("command", "commit", "dirty", "versions", "hardware")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """One way of answering that is compared with others."""

    name: str
    strategy: str
    """Name in the registry of strategies, or what else answered (a prior, a vote)."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """Its parameters, JSON-ready. Reports read `llms` (pool size, or the list of LLMs) and `without` (parts left out).
    """


@dataclass(frozen=True, slots=True)
class Header:
    """What is needed to repeat an experiment."""

    format: str
    """`RESULT_FORMAT`."""
    name: str
    created: str
    """ISO 8601, UTC."""
    command: str
    tasks: tuple[str, ...]
    arms: tuple[ArmSpec, ...]
    seeds: tuple[int, ...]
    llms: tuple[str, ...]
    """The pool."""
    aggregators: tuple[str, ...]
    bank: dict[str, Any]
    """Content hash, size and embedder of the question bank."""
    config: dict[str, Any]
    """Whatever else was set: limits, splits, prompts' version."""
    commit: str | None
    dirty: bool | None
    """Whether the code differed from the commit; `None` when there is no commit."""
    versions: dict[str, str]
    hardware: dict[str, Any]

    def __post_init__(self) -> None:
        listed: dict[str, Sequence[str | int]] = {
            "arm": [arm.name for arm in self.arms],
            "task": self.tasks,
            "seed": self.seeds,
        }
        for what, names in listed.items():
            if not names:
                raise InputError(f"A result file needs at least one {what}.")
            if twice := [name for name in names if names.count(name) > 1]:
                raise InputError(f"The {what} {twice[0]!r} is listed twice. Name each {what} once.")


@dataclass(frozen=True, slots=True)
class Row:
    """One question as one arm answered it under one seed."""

    question: str
    """The question's id, unique over the tasks of a file."""
    task: str
    arm: str
    seed: int
    _: KW_ONLY
    subject: str = ""
    score: float | None
    """Grade from 0 to 1; `None` unless `status` is "ok"."""
    status: RowStatus
    answered_by: str = ""
    """LLM that wrote the chosen answer."""
    extracted: str | None = None
    """Short answer found in it (a letter, a number); the writer replaces a longer one by its digest."""
    calls: int = 0
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """USD of its calls; `None` where a price is unknown."""
    call_seconds: float | None = None
    """Sum of the calls' seconds."""
    latency: float | None = None
    """Seconds if all calls of a stage ran at once."""
    degraded: tuple[str, ...] = ()
    """Why the answer is less than was asked for."""
    error: str | None = None
    priors: dict[str, float | None] = field(default_factory=dict[str, float | None])
    """The arm's prior of each LLM."""
    reference_scores: dict[str, float | None] = field(default_factory=dict[str, float | None])
    """Grade of each LLM's own answer, where it was asked; `None` when that is not graded."""
    candidate_scores: tuple[float | None, ...] = ()
    """Grade of each candidate; `None` when it is not graded."""
    support: dict[str, float] = field(default_factory=dict[str, float])
    """Share of the support set's similarity by source, "task" or "task/subject"."""

    def __post_init__(self) -> None:
        if not (self.question and self.task and self.arm):
            raise InputError("A row needs a question, a task and an arm.")
        if (self.score is not None) != (self.status == "ok"):
            raise InputError(f"A row has a score if and only if its status is 'ok', got {self.score}, {self.status!r}.")
        for name in ("calls", "prompt_tokens", "cached_tokens", "completion_tokens"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise InputError(f"`{name}` must be 0 or more, got {value}.")
        for name in ("cost_usd", "call_seconds", "latency"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"`{name}` must be a finite number of 0 or more, got {value}.")
        for score in (self.score, *self.reference_scores.values(), *self.candidate_scores):
            if score is not None and not 0 <= score <= 1:
                raise InputError(f"A score must be from 0 to 1, got {score}.")

    @property
    def key(self) -> tuple[str, str, int]:
        """What the row is the answer to: question, arm and seed."""
        return self.question, self.arm, self.seed


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A result file's content."""

    header: Header
    rows: tuple[Row, ...]
    """One per question, arm and seed; of several the last one written."""
    resumed: tuple[Header, ...] = ()
    """Headers of later sittings whose code, machine or command line were not those of the first."""


class ResultWriter:
    """Appends rows to a `.jsonl`; a file that is there already is resumed.

    Args:
        path: The plain file, ending in `.jsonl`. Where only its finished `.jsonl.gz` is there, that is resumed.
        header: The experiment. What determines results must equal the header of a resumed file; a change of code,
            machine or command line is allowed and recorded.

    Raises:
        InputError: The path does not end in `.jsonl`.
        ConfigError: The file there is of another experiment, damaged, or of another version.
    """

    def __init__(self, path: Path | str, header: Header) -> None:
        self.path = Path(path)
        if self.path.suffix != ".jsonl":
            raise InputError(f"A result file must end in '.jsonl', got {self.path.name!r}.")
        self._rows: dict[tuple[str, str, int], Row] = {}
        self._header, self._resumed = header, list[Header]()
        self._synced = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        there = next((file for file in (self.path, self.finished_path) if file.exists() and file.stat().st_size), None)
        if there is not None and _has_whole_line(there):
            earlier = read_results(there)
            _check_same(there, earlier.header, header)
            self._header, self._resumed = earlier.header, list(earlier.resumed)
            self._rows = {row.key: row for row in earlier.rows}
            last = (earlier.header, *earlier.resumed)[-1]
            if any(getattr(last, name) != getattr(header, name) for name in _CIRCUMSTANCES):
                self._resumed.append(header)
        # Written anew rather than appended to: that drops a torn last line and rows that were answered again.
        temporary = self.path.with_name(self.path.name + ".tmp")
        with temporary.open("wb") as file:
            file.writelines(self._lines(self._rows.values()))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        self._file: IO[bytes] | None = self.path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def finished_path(self) -> Path:
        """Where `finish` writes."""
        return self.path.with_name(self.path.name + ".gz")

    @property
    def done(self) -> set[tuple[str, str, int]]:
        """Question, arm and seed of every row with an answer; failed and missing ones are to be tried again."""
        return {key for key, row in self._rows.items() if row.status in ("ok", "ungraded")}

    @property
    def degraded(self) -> set[tuple[str, str, int]]:
        """Question, arm and seed of every row whose answer is less than was asked for."""
        return {key for key, row in self._rows.items() if row.degraded}

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows so far; of several of the same question, arm and seed the last one."""
        return tuple(self._rows.values())

    def append(self, row: Row) -> None:
        """Write a row; it replaces an earlier one of the same question, arm and seed.

        Raises:
            InputError: Its arm, task or seed is not in the header.
        """
        if self._file is None:
            raise RuntimeError("ResultWriter.append was called after close")
        _check_known(row, self._header)
        if row.extracted is not None and len(row.extracted) > _EXTRACTED_CHARACTERS:
            digest = hashlib.sha256(row.extracted.encode("utf-8", "replace")).hexdigest()[:32]
            row = replace(row, extracted=f"sha256:{digest}")
        degraded = tuple(_one_line(reason) for reason in row.degraded)
        row = replace(row, degraded=degraded, error=None if row.error is None else _one_line(row.error))
        self._rows[row.key] = row
        self._file.write(_encode(row))
        self._file.flush()
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def finish(self) -> Path:
        """Close the plain file, write the compressed one beside it, and return the latter's path.

        Rows are sorted and no time is stored, so equal content gives equal bytes.
        """
        self.close()
        order = {arm.name: number for number, arm in enumerate(self._header.arms)}
        rows = sorted(self._rows.values(), key=lambda row: (row.task, row.question, order[row.arm], row.seed))
        temporary = self.finished_path.with_name(self.finished_path.name + ".tmp")
        with (
            temporary.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as file,
        ):
            file.writelines(self._lines(rows))
        temporary.replace(self.finished_path)
        return self.finished_path

    def close(self) -> None:
        """Put everything on disk; does nothing when closed already."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def _lines(self, rows: Iterable[Row]) -> Iterator[bytes]:
        yield from map(_encode, (self._header, *self._resumed))
        yield from map(_encode, rows)


def read_results(path: Path | str) -> ResultFile:
    """Read a result file, plain or compressed.

    The last line of a plain file is left out while its end is not written yet.

    Raises:
        ConfigError: It is not there, not a result file, of another version, or damaged; the message names the line.
    """
    path = Path(path)
    headers: list[Header] = []
    rows: dict[tuple[str, str, int], Row] = {}
    with _reading(path) as lines:
        for number, line in enumerate(lines, start=1):
            if number == 1:
                _check_format(path, line)
            if line.startswith(b'{"format":'):
                headers.append(_decode(path, number, line, Header))
                continue
            row = _decode(path, number, line, Row)
            try:
                _check_known(row, headers[0])
            except InputError as error:
                raise ConfigError(f"{path}: line {number} is damaged: {error}") from error
            rows[row.key] = row
    if not headers:
        raise ConfigError(f"{path} is empty: not a result file of `smcs bench run`.")
    return ResultFile(headers[0], tuple(rows.values()), tuple(headers[1:]))


@contextmanager
def _reading(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a file for reading by lines; what goes wrong on the way becomes one line."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield _whole_lines(path, unpacked, packed=True)
            else:
                yield _whole_lines(path, raw, packed=False)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigError(f"{path} is damaged: {error}. Copy or make it again.") from error
    except OSError as error:
        raise ConfigError(f"Cannot read the result file {path}: {error.strerror or error}.") from error


def _whole_lines(path: Path, file: IO[bytes] | gzip.GzipFile, *, packed: bool) -> Iterator[bytes]:
    total = 0
    while line := file.readline(_LINE_BYTES + 1):
        total += len(line)
        if len(line) > _LINE_BYTES or total > _FILE_BYTES:
            raise ConfigError(f"{path} is not a result file: it is larger than any can be.")
        if line.endswith(b"\n"):
            yield line
        elif packed:
            raise ConfigError(f"{path} is damaged: its last line is torn. Copy or make it again.")


def _has_whole_line(path: Path) -> bool:
    """Return whether more than a torn header is there, so that there is something to resume."""
    with path.open("rb") as file:
        return path.suffix == ".gz" or file.readline(_LINE_BYTES).endswith(b"\n")


def _check_format(path: Path, line: bytes) -> None:
    try:
        first = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{path} is not a result file of `smcs bench run`: its first line is no JSON.") from error
    found = first.get("format") if isinstance(first, dict) else None
    if found == RESULT_FORMAT:
        return
    if isinstance(found, str) and found.startswith(RESULT_FORMAT.partition("/")[0] + "/"):
        raise ConfigError(
            f"{path} has format {found[:40]!r}, this version of smcs reads {RESULT_FORMAT!r}. "
            f"Read it with the version that wrote it, or run the experiment again."
        )
    raise ConfigError(f"{path} is not a result file of `smcs bench run`: it does not begin with a header.")


def _check_same(path: Path, earlier: Header, header: Header) -> None:
    differing = [name for name in _RESULTING if _encode(getattr(earlier, name)) != _encode(getattr(header, name))]
    if differing:
        raise ConfigError(
            f"{path} holds another experiment: its {', '.join(differing)} "
            f"differ{'s' * (len(differing) == 1)} from what was asked for. Choose another file, or move it away."
        )


def _check_known(row: Row, header: Header) -> None:
    arms = [arm.name for arm in header.arms]
    if row.arm not in arms:
        raise InputError(f"Unknown arm {row.arm!r}.{suggest(row.arm, arms)}")
    if row.task not in header.tasks:
        raise InputError(f"Unknown task {row.task!r}.{suggest(row.task, header.tasks)}")
    if row.seed not in header.seeds:
        raise InputError(f"Unknown seed {row.seed}. The header has: {', '.join(map(str, header.seeds))}.")


def _encode(value: Any) -> bytes:
    import msgspec

    return msgspec.json.encode(value, order=None if isinstance(value, Header | Row) else "sorted") + b"\n"


def _decode(path: Path, number: int, line: bytes, kind: type[_T]) -> _T:
    import msgspec

    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: line {number} is damaged: {error}.") from error


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_TEXT_CHARACTERS]

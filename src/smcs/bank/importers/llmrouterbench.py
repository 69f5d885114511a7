"""Result folders of LLMRouterBench: a JSON file for each benchmark, split and LLM, with a record for each question.

    BENCHMARK/SPLIT/MODEL/BENCHMARK-SPLIT-MODEL-20250101_120000.json
    {"model_name": "...", "dataset_name": "...", "split": "test", "demo": false, ..., "records": [
        {"index": 1, "origin_query": "...", "prompt": "...", "prediction": "A", "ground_truth": "A", "score": 1.0,
         "prompt_tokens": 90, "completion_tokens": 7, "cost": 0.0001, "raw_output": "..."}, ...]}

Also one such file alone. Where the header lacks a name, the folders say it. Runs marked `demo` are left out, and of
several runs of one LLM on one split the latest counts, by the time in its name: both as the project's own loader does.
A record without a score is an ungraded outcome. The question is `origin_query`, without the prompt around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smcs.bank.importers.entry import Entry, ImportOptions, Place, fault, number, score, text, whole
from smcs.bank.importers.files import opened
from smcs.bank.importers.json_stream import JsonStream, MalformedJsonError, decode
from smcs.types import Outcome, Question, Usage

__all__ = ("RECORDS", "entries", "result_files")

RECORDS = ("records", "results", "data")
"""Keys under which the records may stand."""

_QUESTION = ("origin_query", "query", "question", "prompt")
_RESPONSE = ("raw_output", "response", "output")
_TIME = re.compile(r"(\d{8}_\d{6})\.json(\.gz)?$")


@dataclass(frozen=True)
class _Run:
    """One LLM on one split of one benchmark."""

    path: Path
    dataset: str
    split: str
    llm: str

    @property
    def time(self) -> str:
        """When it was made, as its name says; empty if it does not."""
        found = _TIME.search(self.path.name)
        return found.group(1) if found else ""


def result_files(path: Path) -> list[Path]:
    """Return the JSON files of a folder and the folders in it, sorted; the file itself for a file."""
    if path.is_file():
        return [path]
    # Links are not followed: a folder of results could lead anywhere.
    return sorted(file for pattern in ("*.json", "*.json.gz") for file in path.rglob(pattern) if not file.is_symlink())


def entries(path: Path, options: ImportOptions) -> Iterator[Entry]:
    """Yield a record at a time, in the order of the files' names.

    Raises:
        BankError: A file or a record is malformed, or two runs of one LLM on one split cannot be told apart in time.
    """
    runs: dict[tuple[str, str, str], _Run] = {}
    for file in result_files(path):
        run = _header(file)
        if run is None or (options.split not in (None, "all", run.split)):
            continue
        key = (run.dataset, run.split, run.llm)
        other = runs.setdefault(key, run)
        if other is not run:
            if not (run.time and other.time) or run.time == other.time:
                raise fault(file, f"it holds the same LLM, benchmark and split as {other.path}: a duplicate run.")
            runs[key] = max(run, other, key=lambda one: one.time)
    for run in runs.values():
        yield from _records(run)


def _header(path: Path) -> _Run | None:
    """Return what a file is a run of; `None` for a demonstration."""
    header: dict[str, Any] = {}
    has_records = False
    with opened(path) as file:
        try:
            stream = JsonStream(file)
            for key in stream.members():
                if key in RECORDS and stream.peek() == b"[":
                    has_records = True
                    for _ in stream.elements():
                        stream.value()
                else:
                    header[key] = decode(stream.value())
            stream.finish()
        except MalformedJsonError as error:
            raise fault(path, str(error)) from error
    if not has_records:
        raise fault(path, f"it has no list of records (under {', '.join(map(repr, RECORDS))}); is it a result file?")
    if header.get("demo") is True:
        return None
    folders = ["", "", "", *(part for part in path.parent.parts)][-3:]
    return _Run(
        path,
        *(
            _name(path, header, keys, folder)
            for keys, folder in zip(
                (("dataset_name", "dataset", "benchmark"), ("split",), ("model_name", "model")), folders, strict=True
            )
        ),
    )


def _name(path: Path, header: dict[str, Any], keys: tuple[str, ...], folder: str) -> str:
    for key in keys:
        if header.get(key) is not None:
            return text(Place(path), key, header[key])
    if not folder:
        raise fault(path, f"it lacks {keys[0]!r}.")
    return folder


def _records(run: _Run) -> Iterator[Entry]:
    with opened(run.path) as file:
        place = Place(run.path)
        seen: set[str] = set()
        try:
            stream = JsonStream(file)
            for key in stream.members():
                if key not in RECORDS or stream.peek() != b"[":
                    stream.value()
                    continue
                for position in stream.elements():
                    place = Place(run.path, f"record {position + 1}")
                    entry = _entry(place, run, decode(stream.value()), position)
                    if entry.question.id in seen:
                        raise fault(place, f"question {entry.question.id!r} is a duplicate: the file has it already.")
                    seen.add(entry.question.id)
                    yield entry
        except MalformedJsonError as error:
            raise fault(place, str(error)) from error


def _entry(place: Place, run: _Run, record: Any, position: int) -> Entry:
    if not isinstance(record, dict):
        raise fault(place, f"a record must be an object, got {type(record).__name__}.")
    index = next((record[name] for name in ("index", "id", "sample_id") if record.get(name) is not None), position)
    if not isinstance(index, int | str):
        raise fault(place, f"index must be a whole number or text, got {type(index).__name__}.")
    asked = next((record[name] for name in _QUESTION if record.get(name)), None)
    if asked is None:
        raise fault(place, f"it has no question: one of {', '.join(map(repr, _QUESTION))} must be text.")
    if not any(name in record for name in ("score", "is_correct", "correct")):
        raise fault(place, "it lacks 'score'.")
    gold = record.get("ground_truth")
    question = Question(
        f"llmrouterbench/{run.dataset}/{run.split}/{index}",
        text(place, "the question", asked),
        task=run.dataset,
        gold=None if gold is None else _plain(gold),
    )
    verdict = next((record[name] for name in ("score", "is_correct", "correct") if name in record), None)
    prediction = record.get("prediction")
    response = next((record[name] for name in _RESPONSE if record.get(name) is not None), "")
    outcome = Outcome(
        question.id,
        run.llm,
        score(place, "score", verdict),
        response=_plain(response),
        extracted=None if prediction is None else _plain(prediction),
        usage=Usage(
            whole(place, "prompt_tokens", record.get("prompt_tokens")),
            whole(place, "completion_tokens", record.get("completion_tokens")),
        ),
        cost_usd=number(place, "cost", record.get("cost")),
    )
    return Entry(place, question, (outcome,))


def _plain(value: Any) -> str:
    """Return text as it is and anything else as JSON, as a list of choices or a structured output."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

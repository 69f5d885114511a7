"""RouterDC score files: means of several samples per question and LLM, as JSON or as a table.

JSON: a list of `{"question": "...", "scores": {"LLM": 0.4, ...}}`, in a file whose name says benchmark and split
(`gsm8k-train.json`, `mmlu_test.json`); a folder of such files and tables is read as one. CSV or Parquet: wide, with a
column of scores under each LLM's name, or long, a row for each outcome with `question`, `model` and `score`.

`query` may stand for `question`; a column or key `dataset` or `task` comes before the name of the file, and `index` or
`id` before the row's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smcs.bank.importers.entry import Entry, ImportOptions, Place, fault, score, text
from smcs.bank.importers.files import opened
from smcs.bank.importers.json_stream import JsonStream, MalformedJsonError, decode
from smcs.bank.importers.tables import columns, rows
from smcs.types import Outcome, Question

__all__ = ("entries", "fits", "is_long", "score_files")

_QUESTION = ("question", "query")
_TASK = ("dataset", "task")
_INDEX = ("index", "id")
_PLAIN = (*_QUESTION, *_TASK, *_INDEX, "split", "cluster_id", "embedding", "subject", "answer")
_SUFFIXES = (".json", ".json.gz", ".csv", ".csv.gz", ".parquet")
_SPLIT_NAME = re.compile(r"^(?P<task>.+?)[-_](?P<split>train|test|validation|valid|val|dev)$")


def fits(names: Sequence[str]) -> bool:
    """Say whether columns, or the keys of a JSON entry, are those of a RouterDC file."""
    return any(name in names for name in _QUESTION)


def score_files(path: Path) -> list[Path]:
    """Return the files of a folder, not of the folders in it, sorted; the file itself for a file."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.iterdir() if file.name.endswith(_SUFFIXES) and file.is_file())


def is_long(path: Path) -> bool:
    """Say whether a question may come in several rows."""
    return any(not _is_json(file) and {"model", "score"} <= set(columns(file)) for file in score_files(path))


def entries(path: Path, options: ImportOptions) -> Iterator[Entry]:
    """Yield a question or an outcome at a time.

    Raises:
        BankError: A file, entry or row is malformed; names it.
        MissingExtraError: It is Parquet, and pyarrow is not installed.
    """
    for file in score_files(path):
        if _is_json(file):
            read = _json(file)
        elif {"model", "score"} <= set(columns(file)):
            read = _long(file)
        else:
            read = _wide(file)
        for split, entry in read:
            if options.split in (None, "all", split):
                yield entry


def _is_json(path: Path) -> bool:
    return path.name.endswith((".json", ".json.gz"))


def _json(path: Path) -> Iterator[tuple[str, Entry]]:
    with opened(path) as file:
        place = Place(path)
        try:
            stream = JsonStream(file)
            for position in stream.elements():
                place = Place(path, f"entry {position}")
                row = decode(stream.value())
                if not isinstance(row, dict):
                    raise fault(place, f"an entry must be an object, got {type(row).__name__}.")
                yield _whole(place, row, position, _scores(place, row))
            stream.finish()
        except MalformedJsonError as error:
            raise fault(place, str(error)) from error


def _scores(place: Place, row: Mapping[str, Any]) -> Mapping[str, Any]:
    if "scores" in row:
        scores = row["scores"]
        if not isinstance(scores, dict):
            raise fault(place, f"scores must be an object of LLMs, got {type(scores).__name__}.")
        return scores
    found = {name: value for name, value in row.items() if name not in _PLAIN}
    if not found:
        raise fault(place, "it has no 'scores' and no score under an LLM's name.")
    return found


def _wide(path: Path) -> Iterator[tuple[str, Entry]]:
    names = columns(path)
    if not fits(names):
        raise fault(path, f"it lacks the column 'question' (or 'query'); it has {', '.join(map(repr, names[:20]))}.")
    llms = [name for name in names if name not in _PLAIN and name and not name.startswith("Unnamed:")]
    if not llms:
        raise fault(path, "it has no column of scores under an LLM's name.")
    for position, (place, row) in enumerate(rows(path)):
        yield _whole(place, row, position, {llm: row[llm] for llm in llms})


def _whole(place: Place, row: Mapping[str, Any], position: int, scores: Mapping[str, Any]) -> tuple[str, Entry]:
    split, question = _question(place, row, position)
    graded = {llm: score(place, f"score of {llm!r}", value) for llm, value in scores.items()}
    outcomes = (Outcome(question.id, llm, verdict) for llm, verdict in graded.items() if verdict is not None)
    return split, Entry(place, question, tuple(outcomes))


def _long(path: Path) -> Iterator[tuple[str, Entry]]:
    names = columns(path)
    index = next((name for name in _INDEX if name in names), None)
    if index is None:
        raise fault(path, "it lacks the column 'index' (or 'id'), which says what rows belong to one question.")
    asked = next((name for name in _QUESTION if name in names), "question")
    for place, row in rows(path, needed=(asked, "model", "score")):
        split, question = _question(place, row, None)
        llm = text(place, "model", row["model"])
        verdict = score(place, "score", row["score"])
        yield split, Entry(place, question, () if verdict is None else (Outcome(question.id, llm, verdict),))


def _question(place: Place, row: Mapping[str, Any], position: int | None) -> tuple[str, Question]:
    stem = place.file.name.partition(".")[0]
    named = _SPLIT_NAME.match(stem)
    task = _first(row, _TASK) or (named["task"] if named else stem)
    split = str(row.get("split") or (named["split"] if named else ""))
    index = _first(row, _INDEX)
    if index is None or index == "":
        if position is None:
            raise fault(place, "index is empty.")
        index = position
    asked = text(place, "question", _first(row, _QUESTION))
    name = "/".join(part for part in ("routerdc", str(task), split, str(index)) if part)
    return split, Question(name, asked, task=str(task))


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)

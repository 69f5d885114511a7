"""The question bank that the authors of SMCS released: one JSON object of gigabytes, embeddings as text.

Keys are indices, values are entries:

    {"0": {"question": "...", "src": "MMLU-PRO", "src_subject": "law", "src_question_id": 17,
           "model_res": {"MODEL": {"is_correct": true}, ...}, "embedding": [0.01, -0.02, ...]}, "1": ...}

Accepted as well: a list of such entries; the results under `models`, `results` or `outputs`, or straight in the entry
(`entry["MODEL"] = {"is_correct": ...}`); `true`/`false`, 0/1, a mean from 0 to 1 or the words "true"/"false" as
verdict, alone (`"MODEL": 1`, inside such a table) or in an object; an embedding as a list or as the text of one; no
`src`, no embedding; keys that are not named here. An LLM whose verdict is null or absent has no outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bank.importers.entry import Entry, ImportOptions, Place, fault, score, text
from smcs.bank.importers.files import opened
from smcs.bank.importers.json_stream import JsonStream, MalformedJsonError, decode
from smcs.types import Outcome, Question

__all__ = ("EMBEDDER", "RESULT_KEYS", "entries")

EMBEDDER = "Linq-Embed-Mistral/native"
"""What the authors embedded with, named as `OpenAICompatibleEmbedder` names a model of that name."""

RESULT_KEYS = ("model_res", "models", "results", "outputs")
"""Where an entry keeps its results, tried in this order."""

_VERDICTS = ("is_correct", "correct", "score")


def entries(path: Path, options: ImportOptions) -> Iterator[Entry]:
    """Yield the entries of a released bank, one in memory at a time.

    Raises:
        BankError: The file or an entry is malformed; names the entry's key.
    """
    del options
    with opened(path) as file:
        place = Place(path)
        keys: set[str] = set()
        try:
            stream = JsonStream(file)
            for key in _keys(stream):
                if key in keys:
                    raise fault(path, f"it has the key {key!r} twice.")
                keys.add(key)
                place = Place(path, f"entry {key!r}")
                yield _entry(place, key, decode(stream.value()))
            stream.finish()
        except MalformedJsonError as error:
            raise fault(place, str(error)) from error


def _keys(stream: JsonStream) -> Iterator[str]:
    if stream.peek() == b"[":
        yield from (str(index) for index in stream.elements())
    else:
        yield from stream.members()


def _entry(place: Place, key: str, entry: Any) -> Entry:
    if not isinstance(entry, dict):
        raise fault(place, f"an entry must be an object, got {type(entry).__name__}.")
    source = entry.get("src")
    task = "" if source is None else text(place, "src", source, empty=True)
    subject = entry.get("src_subject")
    question = Question(
        f"smcs/{task or 'bank'}/{key}",
        text(place, "question", entry.get("question")),
        task=task,
        subject="" if subject is None else text(place, "src_subject", subject, empty=True),
    )
    outcomes = []
    for llm, result in _results(place, entry).items():
        verdict = _verdict(place, llm, result)
        if verdict is not None:
            outcomes.append(Outcome(question.id, llm, verdict))
    return Entry(place, question, tuple(outcomes), _vector(place, entry.get("embedding")))


def _results(place: Place, entry: dict[str, Any]) -> dict[str, Any]:
    for name in RESULT_KEYS:
        if name in entry:
            results = entry[name]
            if not isinstance(results, dict):
                raise fault(place, f"{name} must be an object of LLMs, got {type(results).__name__}.")
            return results
    return {
        name: value
        for name, value in entry.items()
        if isinstance(value, dict) and any(verdict in value for verdict in _VERDICTS)
    }


def _verdict(place: Place, llm: str, result: Any) -> float | None:
    if not isinstance(result, dict):
        return score(place, f"the result of {llm!r}", result)
    for name in _VERDICTS:
        if name in result:
            return score(place, f"{name} of {llm!r}", result[name])
    return None


def _vector(place: Place, value: Any) -> NDArray[np.float32] | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = decode(value.encode(errors="surrogatepass"))
        except MalformedJsonError as error:
            raise fault(place, f"the embedding is text that is no list of numbers: {error}") from error
    if not isinstance(value, list) or not value:
        raise fault(place, f"the embedding must be a list of numbers, got {type(value).__name__}.")
    try:
        # Twice as fast as np.array on a list of floats.
        with np.errstate(over="ignore"):
            return np.fromiter(value, dtype=np.float32, count=len(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise fault(place, "the embedding must be a flat list of numbers.") from error

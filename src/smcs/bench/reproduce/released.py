"""The data that the authors released: a folder with question banks and with cached answers of the referencers.

Their repository documents neither, so what is read is what the banks are known to hold (see
`smcs.bank.importers.released`), for both: JSON files of entries with a question, its dataset (`src`), per LLM whether
it was right, and an embedding.

    FOLDER/**/*question_bank*.json[.gz]   banks: what is routed by
    FOLDER/cache_8k/**/*.json[.gz]        answers to test questions with 8,192 output tokens
    FOLDER/cache_32k/**/*.json[.gz]       the same with 32,768
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from smcs.bank.importers import ImportOptions
from smcs.bank.importers.entry import Entry
from smcs.bank.importers.released import EMBEDDER, entries
from smcs.bench.paper import load_figures
from smcs.bench.reproduce.outcomes import OutcomeTable, support_base
from smcs.embedders import Embedder, Vectors
from smcs.errors import BankError, ConfigError

__all__ = ("released_tables",)

_CACHES: Final = {"cache_8k": 8_192, "cache_32k": 32_768}
_BANK: Final = "question_bank"
_SUFFIXES: Final = (".json", ".json.gz")


@dataclass
class _Gathered:
    """Questions in the order they were read."""

    texts: list[str] = field(default_factory=list[str])
    ids: list[str] = field(default_factory=list[str])
    tasks: list[str] = field(default_factory=list[str])
    subjects: list[str] = field(default_factory=list[str])
    outcomes: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    vectors: list[Vectors | None] = field(default_factory=list[Vectors | None])


async def released_tables(folder: Path, *, embedder: Embedder) -> tuple[OutcomeTable, ...]:
    """Read the released data: one table per cache, each routed by the banks.

    Args:
        folder: The release, unpacked.
        embedder: Embeds all questions anew where some have no embedding in the files.

    Raises:
        ConfigError: The folder, its banks or its caches are missing, or have no LLM in common.
        BankError: A file is not as described above; names the file and the entry.
    """
    bank, gathered = await asyncio.to_thread(_read_release, folder)
    return tuple([await _table(bank, cache, name, embedder) for name, cache in gathered.items()])


def _read_release(folder: Path) -> tuple[_Gathered, dict[str, _Gathered]]:
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {str(folder)!r}. Give the folder that the released data is in.")
    caches = {name: _files(folder / name) for name in _CACHES if (folder / name).is_dir()}
    cached = {file for files in caches.values() for file in files}
    banks = [file for file in _files(folder) if _BANK in file.name and file not in cached]
    if not banks:
        raise ConfigError(f"{folder} holds no bank: no file named *{_BANK}*.json, gzipped or not.")
    if not any(caches.values()):
        raise ConfigError(f"{folder} holds no cached answers: no JSON file in {' or '.join(_CACHES)}.")
    return _read(banks, folder), {name: _read(files, folder / name) for name, files in caches.items() if files}


def _files(folder: Path) -> list[Path]:
    """Return the JSON files of a folder and its folders, in the order of their names; links are not followed."""
    return sorted(
        file for file in folder.rglob("*") if file.name.endswith(_SUFFIXES) and file.is_file() and not file.is_symlink()
    )


def _read(files: Iterable[Path], folder: Path) -> _Gathered:
    gathered, seen = _Gathered(), set[str]()
    for file in files:
        for entry in entries(file, ImportOptions()):
            text = entry.question.text
            if text in seen:
                continue
            seen.add(text)
            _add(gathered, entry, _task(entry, file, folder))
    return gathered


def _add(gathered: _Gathered, entry: Entry, task: str) -> None:
    if not entry.outcomes:
        raise BankError(
            f"{entry.place}: it has no result of any LLM; expected are `model_res`, `models`, `results` or `outputs` "
            'with {"LLM": {"is_correct": true}}.'
        )
    gathered.texts.append(entry.question.text)
    gathered.ids.append(f"{entry.question.id}#{len(gathered.ids)}")
    gathered.tasks.append(task)
    gathered.subjects.append(entry.question.subject)
    gathered.outcomes.append({outcome.llm: outcome.score for outcome in entry.outcomes if outcome.score is not None})
    gathered.vectors.append(entry.vector)


def _task(entry: Entry, file: Path, folder: Path) -> str:
    """Return our name of the entry's dataset: its own, else the folder's or the file's that it stands in."""
    known = load_figures()
    if entry.question.task:
        return known.task_of(entry.question.task)
    inside = file.relative_to(folder).parts
    return known.task_of(inside[0] if len(inside) > 1 else file.name.partition(".")[0])


async def _table(bank: _Gathered, cache: _Gathered, name: str, embedder: Embedder) -> OutcomeTable:
    known = {llm for outcomes in bank.outcomes for llm in outcomes}
    llms = sorted(known & {llm for outcomes in cache.outcomes for llm in outcomes})
    if not llms:
        raise ConfigError(f"The released banks and {name} have no LLM in common.")
    known_texts = set(bank.texts)
    asked = [row for row, text in enumerate(cache.texts) if text not in known_texts]
    if not asked:
        raise ConfigError(f"Every question of {name} is in the released banks too: nothing is left to be asked.")
    texts = bank.texts + [cache.texts[row] for row in asked]
    outcomes = bank.outcomes + [cache.outcomes[row] for row in asked]
    tasks = bank.tasks + [cache.tasks[row] for row in asked]
    vectors, made_by = await _vectors(bank.vectors + [cache.vectors[row] for row in asked], texts, embedder)
    notes = [f"{len(cache.texts) - len(asked)} questions of {name} are in the banks too and left out."]
    return OutcomeTable(
        f"released data, {name}",
        tuple(bank.ids + [f"{name}/{cache.ids[row]}" for row in asked]),
        np.array(tasks),
        np.array(bank.subjects + [cache.subjects[row] for row in asked]),
        tuple(llms),
        np.array([[found.get(llm, np.nan) for llm in llms] for found in outcomes]),
        vectors,
        np.array([-1] * len(bank.texts) + [0] * len(asked)),
        embedder=made_by,
        base=support_base(len(bank.texts)),
        output_tokens=_CACHES[name],
        notes=tuple(notes if len(asked) < len(cache.texts) else ()),
    )


async def _vectors(found: Sequence[Vectors | None], texts: Sequence[str], embedder: Embedder) -> tuple[Vectors, str]:
    """Return unit vectors and who made them: the released ones if every question has one of the same length."""
    present = [vector for vector in found if vector is not None]
    if len(present) == len(found) and len({len(vector) for vector in present}) == 1:
        stacked = np.stack(present)
        norms = np.linalg.norm(stacked, axis=1, keepdims=True)
        if not (np.isfinite(norms) & (norms > 0)).all():
            raise BankError("The released data holds an embedding that is zero or not finite.")
        return (stacked / norms).astype(np.float32), EMBEDDER
    return await embedder.embed(texts), embedder.name

"""Small result files, outcome tables and releases whose figures can be worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers_results import make_header, make_results
from smcs.bench.reproduce import ArmRows, Evidence, OutcomeTable, Reproduction, arms_of
from smcs.bench.reproduce.report import Cell, Line, Measured, Panel
from smcs.bench.results import ArmSpec, ResultFile, Row

LLMS = ("a", "b", "c")


def results(
    arms: Sequence[ArmSpec],
    scores: Mapping[str, Sequence[float | None]],
    *,
    task: str = "mmlu_pro",
    seeds: Sequence[int] = (0,),
    row: Mapping[str, Any] | None = None,
    **header: Any,
) -> ResultFile:
    """Return a file in which each arm has its scores, one question each, `None` for a failed one, in every seed."""
    given = {"tasks": (task,), "arms": tuple(arms), "seeds": tuple(seeds), "llms": LLMS, "aggregators": ("c",)}
    rows = [
        replace(
            Row(f"q{number}", task, arm.name, seed, score=score, status="failed" if score is None else "ok"),
            **(row or {}),
        )
        for arm in arms
        for seed in seeds
        for number, score in enumerate(scores[arm.name])
    ]
    return ResultFile(make_header(**{**given, **header}), tuple(rows))


def arms_from(*files: ResultFile) -> tuple[ArmRows, ...]:
    return tuple(arm for number, file in enumerate(files) for arm in arms_of(f"file{number}", file))


def lifelike() -> Evidence:
    """Return the arms of a made-up experiment with every kind of hole."""
    return Evidence(arms=arms_of("made-up.jsonl.gz", make_results(4)))


def table(
    scores: Sequence[Sequence[float]],
    vectors: Sequence[Sequence[float]],
    folds: Sequence[int],
    *,
    tasks: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    answers: Sequence[Sequence[int]] | None = None,
    base: int = 2,
    **changes: Any,
) -> OutcomeTable:
    """Return a table of LLMs a, b, c, ..."""
    count = len(scores)
    stacked = np.array(vectors, dtype=np.float32)
    numbered: NDArray[np.intp] | None = None if answers is None else np.array(answers, dtype=np.intp)
    return OutcomeTable(
        "made up",
        tuple(f"q{number}" for number in range(count)),
        np.array(tasks or ["mmlu_pro"] * count),
        np.array(subjects or [""] * count),
        tuple("abcdefghij"[: len(scores[0])]),
        np.array(scores, dtype=np.float64),
        stacked / np.linalg.norm(stacked, axis=1, keepdims=True),
        np.array(folds),
        embedder="by hand",
        base=base,
        find_answers=None if numbered is None else lambda: numbered,
        **changes,
    )


def panel(found: Reproduction, title: str) -> Panel:
    (one,) = [panel for panel in found.panels if title in panel.title]
    return one


def line(panel: Panel, name: str, *, ours: bool = True) -> Line:
    (one,) = [line for line in panel.lines if line.name == name and bool(line.source) == ours]
    return one


def cell(line: Line, column: str) -> Cell:
    (one,) = [cell for cell in line.cells if cell.column == column]
    return one


def ours(line: Line, column: str) -> Measured:
    """Return our figure of a cell, which must have one."""
    figure = cell(line, column).ours
    assert figure is not None
    return figure


def released_folder(folder: Path, *, vectors: bool = True, seed: int = 0) -> Path:
    """Write banks and caches of the release: 40 bank questions of two datasets, 12 cached, LLMs x, y and z."""
    rng = np.random.default_rng(seed)

    def entries(count: int, what: str, llms: Sequence[str]) -> dict[str, Any]:
        found = {}
        for number in range(count):
            maths = number % 2 == 0
            skill = {"x": maths, "y": not maths, "z": number % 4 == 0}
            vector = np.array([1.0 if maths else 0.0, 0.0 if maths else 1.0, 0.0]) + rng.normal(0, 0.05, 3)
            found[str(number)] = {
                "question": f"{what} {'sum' if maths else 'law'} number {number}?",
                "src": "MATH" if maths else "MMLU-PRO",
                "src_subject": "algebra" if maths else "law",
                "model_res": {llm: {"is_correct": bool(skill[llm])} for llm in llms},
                **({"embedding": vector.tolist()} if vectors else {}),
            }
        return found

    (folder / "question_banks").mkdir(parents=True)
    (folder / "cache_8k" / "MATH").mkdir(parents=True)
    bank = folder / "question_banks" / "union_question_bank_8d.json"
    bank.write_text(json.dumps(entries(40, "bank", ("x", "y", "z"))))
    cache = folder / "cache_8k" / "MATH" / "references.json"
    cache.write_text(json.dumps(entries(12, "test", ("x", "y", "z"))))
    return folder

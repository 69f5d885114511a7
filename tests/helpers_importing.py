"""Files in the formats that others publish, all of them made from one table of scores."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LLMS = ("org/alpha-7b", "beta", "gamma \u00fc")


@dataclass(frozen=True)
class Published:
    """What a file says."""

    scores: NDArray[np.float64]
    """(questions, LLMs), NaN where there is no outcome."""
    vectors: NDArray[np.float32]
    """(questions, d)."""
    llms: tuple[str, ...] = LLMS

    @property
    def texts(self) -> list[str]:
        """The questions."""
        return [f'What is {n} + 1, "so" to say {{\\{n}}}?\nGive \u00e4 number.' for n in range(len(self.scores))]


def published(count: int = 12, *, dimensions: int = 8, seed: int = 0, missing: bool = True) -> Published:
    """Return random scores of 0 and 1, some of them missing, and random vectors."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 2, size=(count, len(LLMS))).astype(np.float64)
    if missing:
        scores[rng.random(scores.shape) < 0.15] = np.nan
    scores[0] = (1.0, 0.0, 1.0)
    return Published(scores, rng.standard_normal((count, dimensions)).astype(np.float32))


def verdicts(truth: Published, row: int) -> dict[str, float]:
    """Return LLM -> score for the outcomes that there are."""
    return {
        llm: float(score) for llm, score in zip(truth.llms, truth.scores[row], strict=True) if not math.isnan(score)
    }


def released_entry(truth: Published, row: int, *, layout: str = "model_res") -> dict[str, Any]:
    """Return one entry of the bank released with SMCS."""
    results = {llm: {"is_correct": score == 1.0} for llm, score in verdicts(truth, row).items()}
    entry: dict[str, Any] = {
        "question": truth.texts[row],
        "src_question_id": row * 10,
        "src": ("MATH", "MMLU-PRO")[row % 2],
    }
    entry |= results if layout == "flat" else {layout: results}
    return {**entry, "embedding": truth.vectors[row].tolist()}


def released(path: Path, truth: Published, *, layout: str = "model_res", as_list: bool = False) -> Path:
    """Write the bank released with SMCS."""
    entries = [released_entry(truth, row, layout=layout) for row in range(len(truth.scores))]
    whole: Any = entries if as_list else {str(index): entry for index, entry in enumerate(entries)}
    path.write_text(json.dumps(whole, ensure_ascii=False))
    return path


def run_record(truth: Published, llm: int, row: int) -> dict[str, Any]:
    """Return one record of an LLMRouterBench result file."""
    return {
        "index": row + 1,
        "origin_query": truth.texts[row],
        "prompt": f"Answer: {truth.texts[row]}",
        "prompt_tokens": 40 + row,
        "completion_tokens": 5,
        "cost": 0.001,
        "score": float(truth.scores[row, llm]),
        "prediction": str(row),
        "ground_truth": str(row + 1),
        "raw_output": f"It is {row}.",
        "extra_fields": {},
    }


def run_file(folder: Path, truth: Published, llm: int, *, dataset: str = "arcc", **header: Any) -> Path:
    """Write the result file of one LLM."""
    name = truth.llms[llm].replace("/", "_")
    path = folder / dataset / "test" / name / f"{dataset}-test-{name}-20250601_120000.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for row in range(len(truth.scores)) if not math.isnan(truth.scores[row, llm])]
    whole = {
        "performance": 0.5,
        "model_name": truth.llms[llm],
        "dataset_name": dataset,
        "split": "test",
        "demo": False,
        "extra_metrics": {},
        **header,
        "records": [run_record(truth, llm, row) for row in rows],
    }
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False))
    return path


def llmrouterbench(path: Path, truth: Published) -> Path:
    """Write a folder of LLMRouterBench results."""
    for llm in range(len(truth.llms)):
        run_file(path, truth, llm)
    return path


def routerbench_rows(truth: Published) -> list[dict[str, Any]]:
    """Return the rows of the wide RouterBench table."""
    rows = []
    for row, question in enumerate(truth.texts):
        known = verdicts(truth, row)
        cells: dict[str, Any] = {"sample_id": f"arc.val.{row}", "prompt": repr([question]), "eval_name": "arc"}
        for llm in truth.llms:
            cells[llm] = known.get(llm)
        for llm in truth.llms:
            cells[f"{llm}|model_response"] = repr([f"It is {row}."])
            cells[f"{llm}|total_cost"] = 0.002
        cells["oracle_model_to_route_to"] = truth.llms[0]
        rows.append(cells)
    return rows


def routerbench_long_rows(truth: Published) -> list[dict[str, Any]]:
    """Return the rows of the long RouterBench table."""
    return [
        {
            "dataset": "arc",
            "split": ("train", "test")[row % 2],
            "sample_id": f"arc.val.{row}",
            "prompt": repr([question]),
            "model": llm,
            "score": score,
            "response": repr([f"It is {row}."]),
            "cost_usd": 0.002,
        }
        for row, question in enumerate(truth.texts)
        for llm, score in verdicts(truth, row).items()
    ]


def routerdc_entries(truth: Published) -> list[dict[str, Any]]:
    """Return the entries of a RouterDC JSON file."""
    return [{"question": question, "scores": verdicts(truth, row)} for row, question in enumerate(truth.texts)]


def routerdc_rows(truth: Published) -> list[dict[str, Any]]:
    """Return the rows of a wide RouterDC table."""
    return [
        {"query": question, "task": "gsm8k", **{llm: verdicts(truth, row).get(llm) for llm in truth.llms}}
        for row, question in enumerate(truth.texts)
    ]


def routerdc_long_rows(truth: Published) -> list[dict[str, Any]]:
    """Return the rows of a long RouterDC table."""
    return [
        {"dataset": "gsm8k", "split": "train", "index": row, "question": question, "model": llm, "score": score}
        for row, question in enumerate(truth.texts)
        for llm, score in verdicts(truth, row).items()
    ]


def mmlu_pro(path: Path, truth: Published) -> Path:
    """Write a folder of recorded MMLU-Pro outputs; every third question is of the test split."""
    path.mkdir(parents=True, exist_ok=True)
    questions = [
        {
            "id": f"mmlu_pro/{row}",
            "subject": "law",
            "source": "made",
            "question": question,
            "choices": ["one", "two", "three"],
            "answer": "B",
            "split": "test" if row % 3 == 2 else "validation",
        }
        for row, question in enumerate(truth.texts)
    ]
    outcomes = [
        {
            "id": f"mmlu_pro/{row}",
            "llm": llm,
            "predicted": "B" if score else None,
            "correct": bool(score),
            "response_chars": 9,
        }
        for row in range(len(truth.scores))
        for llm, score in verdicts(truth, row).items()
    ]
    responses = [
        {"id": row["id"], "llm": row["llm"], "response": f"I say {row['predicted']}."}
        for row in outcomes
        if row["llm"] != truth.llms[0]
    ]
    parquet_file(path / "questions.parquet", questions)
    parquet_file(path / "outcomes.parquet", outcomes)
    parquet_file(path / "responses_validation.parquet", responses)
    return path


def csv_file(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows as pandas would: an empty cell for what is missing."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def parquet_file(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows as Parquet."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def json_file(path: Path, value: Any) -> Path:
    """Write JSON as the research code does."""
    path.write_text(json.dumps(value, ensure_ascii=False))
    return path


MAKERS: dict[str, Callable[[Path, Published], Path]] = {
    "released": lambda folder, truth: released(folder / "bank.json", truth),
    "llmrouterbench": lambda folder, truth: llmrouterbench(folder / "bench", truth),
    "routerbench wide csv": lambda folder, truth: csv_file(folder / "routerbench.csv", routerbench_rows(truth)),
    "routerbench wide parquet": lambda folder, truth: parquet_file(folder / "rb.parquet", routerbench_rows(truth)),
    "routerbench long": lambda folder, truth: parquet_file(folder / "rb.parquet", routerbench_long_rows(truth)),
    "routerdc json": lambda folder, truth: json_file(folder / "gsm8k-train.json", routerdc_entries(truth)),
    "routerdc wide csv": lambda folder, truth: csv_file(folder / "scores.csv", routerdc_rows(truth)),
    "routerdc long": lambda folder, truth: parquet_file(folder / "scores.parquet", routerdc_long_rows(truth)),
}
"""Name of a layout -> what writes it into a folder; recorded MMLU-Pro is apart, because it has splits."""

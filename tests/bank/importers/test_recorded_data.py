"""The importers on what was really published, where it is present."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smcs.bank import ImportOptions, QuestionBank, detect_format

DATA = Path(os.environ.get("SMCS_DATA", Path(__file__).parents[4] / "shared" / "data"))


def columns(name: str, *wanted: str) -> list[list[Any]]:
    """Read columns of a published file, or skip."""
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not here")
    from pyarrow.parquet import read_table

    table = read_table(DATA / name, columns=list(wanted))
    return [table[column].to_pylist() for column in wanted]


def means(llms: list[Any], scores: list[Any]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for llm, score in zip(llms, scores, strict=True):
        found[llm].append(float(score))
    return {llm: float(np.mean(values)) for llm, values in found.items()}


def accuracies(bank: QuestionBank) -> dict[str, float | None]:
    return {row.llm: row.accuracy for row in bank.info().llms}


def test_routerdc(tmp_path: Path) -> None:
    name = "routerdc/outcomes.parquet"
    datasets, splits, indices, llms, scores = columns(name, "dataset", "split", "index", "model", "score")
    chosen = tuple(sorted(set(llms))[:2])
    assert detect_format(DATA / name) == "routerdc"
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        brought = bank.import_from(DATA / name, options=ImportOptions(llms=chosen))
        assert brought.questions == len(set(zip(datasets, splits, indices, strict=True)))
        assert brought.outcomes == sum(llm in chosen for llm in llms)
        everywhere = means(llms, scores)
        assert accuracies(bank) == pytest.approx({llm: everywhere[llm] for llm in chosen})
        tasks = {(row.task, row.llm): row.accuracy for row in bank.info().subjects}
        both = [f"{dataset} {llm}" for dataset, llm in zip(datasets, llms, strict=True)]
        expected = means(both, scores)
        assert tasks == pytest.approx({key: expected[" ".join(map(str, key))] for key in tasks})
        assert len({task for task, _ in tasks}) == 5


def test_routerbench(tmp_path: Path) -> None:
    name = "routerbench/arc_challenge.parquet"
    samples, llms, scores, costs = columns(name, "sample_id", "model", "score", "cost_usd")
    assert detect_format(DATA / name) == "routerbench"
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        brought = bank.import_from(DATA / name)
        assert (brought.questions, brought.llms, brought.outcomes) == (len(set(samples)), 11, len(llms))
        assert accuracies(bank) == pytest.approx(means(llms, scores))
        assert bank.info().missing == 0, "prompts that stand twice in the file are one question"
        spent = sum(outcome.cost_usd or 0 for outcome in bank.recorded("claude-v1"))
        assert spent == pytest.approx(sum(c for llm, c in zip(llms, costs, strict=True) if llm == "claude-v1"))
        texts = [question.text for question in bank.questions()]
        assert not any(text.startswith("['") for text in texts)


def test_mmlu_pro_recorded(tmp_path: Path) -> None:
    folder = "mmlu_pro_recorded"
    ids, splits = columns(f"{folder}/questions.parquet", "id", "split")
    answered, llms, correct = columns(f"{folder}/outcomes.parquet", "id", "llm", "correct")
    test = {question for question, split in zip(ids, splits, strict=True) if split == "test"}
    rows = [(llm, verdict) for key, llm, verdict in zip(answered, llms, correct, strict=True) if key in test]
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        brought = bank.import_from(DATA / folder, options=ImportOptions(split="test"))
        assert (brought.questions, brought.llms, brought.outcomes) == (len(test), 20, len(rows))
        assert accuracies(bank) == pytest.approx(means([llm for llm, _ in rows], [verdict for _, verdict in rows]))
        missing = {row.llm: row.missing for row in bank.info().llms if row.missing}
        assert missing, "some LLMs lack outcomes, which are not wrong answers"
        responses = sum(bool(outcome.response) for llm in bank.llms for outcome in bank.recorded(llm))
        (known,) = columns(f"{folder}/responses.parquet", "response")
        assert responses == sum(bool(response) for response in known)

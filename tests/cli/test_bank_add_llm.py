from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers_evaluate import additions
from helpers_newcomer import world
from smcs.bank import QuestionBank
from smcs.types import Outcome


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A bank of 60 additions that four LLMs answered."""
    made, questions, path = world(60, 4), additions(60), tmp_path / "bank.db"
    with QuestionBank.create(path) as filled:
        filled.add_questions(questions)
        for llm in range(4):
            filled.add_llm(f"llm{llm}")
        filled.record(
            Outcome(question.id, f"llm{llm}", float(made.outcomes[row, llm]))
            for row, question in enumerate(questions)
            for llm in range(4)
        )
        filled.store_embeddings("test", [question.id for question in questions], made.embeddings)
    return path


def test_add_llm_asks_and_reports(smcs: Callable[..., Any], config: Callable[..., Path], bank: Path) -> None:
    file = config(adder={"replies": ["Answer: 1"]})
    done = smcs("bank", "add-llm", "adder", "--bank", bank, "--fraction", 0.2, "-c", file, "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert (report["chosen"], report["searched"], report["references"], report["complete"]) == (12, 60, 4, True)
    assert report["accuracy"]["low"] <= report["accuracy"]["value"] <= report["accuracy"]["high"]
    assert set(report["tasks"]) == {"t0", "t1"}
    again = smcs("bank", "add-llm", "adder", "--bank", bank, "--fraction", 0.2, "-c", file)
    assert again.code == 0
    assert "12 of 60 questions" in again.out
    assert "95 % interval" in again.out
    with QuestionBank.open(bank) as opened:
        assert len(opened.answered("adder")) == 12


def test_a_dry_run_lists_questions_and_changes_nothing(
    smcs: Callable[..., Any], config: Callable[..., Path], bank: Path
) -> None:
    done = smcs("bank", "add-llm", "adder", "--bank", bank, "--budget", 1, "-c", config(), "--dry-run", "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert len(report["questions"]) == report["chosen"] == 60
    assert 0 < report["cost"]["cost_usd"] <= 1
    shown = smcs("bank", "add-llm", "adder", "--bank", bank, "-c", config(), "--dry-run")
    assert "6 of 60 questions" in shown.out
    assert "$" in shown.out
    with QuestionBank.open(bank) as opened:
        assert "adder" not in opened.llms


def test_mistakes_are_one_line(smcs: Callable[..., Any], config: Callable[..., Path], bank: Path) -> None:
    unknown = smcs("bank", "add-llm", "addr", "--bank", bank, "-c", config())
    assert unknown.code != 0
    assert "'adder'" in unknown.err
    assert "Traceback" not in unknown.err
    both = smcs("bank", "add-llm", "adder", "--bank", bank, "-c", config(), "--budget", 1, "--fraction", 0.1)
    assert "not both" in both.err
    unpriced = config({"pool": [{"name": "merger", "kind": "scripted", "script": {"replies": ["x"]}}]})
    priceless = smcs("bank", "add-llm", "merger", "--bank", bank, "-c", unpriced, "--budget", 1)
    assert priceless.code != 0
    assert "price of merger is unknown" in priceless.err

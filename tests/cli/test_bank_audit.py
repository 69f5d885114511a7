"""`smcs bank audit`, `add-question` and `feedback` as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smcs.bank import QuestionBank
from smcs.types import Question

ASKED = "What is the height of the old tower in the middle of town?"


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMCS_CACHE_DIR", str(tmp_path / "cache"))
    with QuestionBank.create(tmp_path / "bank.db") as made:
        made.add_questions([Question("b/1", ASKED, gold="30", grader="number", task="t")])
    return tmp_path / "bank.db"


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A user's own test set, which holds the bank's question and another one."""
    rows = [
        {"question": ASKED.lower(), "answer": "30"},
        {"question": "How deep is the well behind it?", "answer": "12"},
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "own.yaml").write_text(
        "name: own\ngrader: number\nsplits: {test: own.jsonl}\ncolumns: {question: question, answer: answer}\n"
    )
    return tmp_path / "own.yaml"


def test_a_bank_without_faults_passes(smcs: Callable[..., Any], bank: Path) -> None:
    done = smcs("bank", "audit", bank)
    assert done.code == 0
    assert "1 questions, 0 LLMs: 0 errors, 0 warnings, 1 note" in done.out
    assert "near duplicates were not looked for" in done.out


def test_a_test_question_in_the_bank_fails_the_audit(
    smcs: Callable[..., Any], bank: Path, task: Path, config: Callable[..., Path]
) -> None:
    done = smcs("bank", "audit", bank, "--against", f"{task}:test", "--config", config(), "--json")
    assert done.code == 1
    report = json.loads(done.out)
    assert report["counts"] == {"error": 1, "warning": 0, "note": 1}
    assert [finding["kind"] for finding in report["findings"]] == ["contamination", "not_checked"]
    assert report["compared"] == 2
    assert smcs("bank", "audit", bank, "--against", task, "--config", config(), "--fail-on", "never").code == 0


def test_near_test_questions_are_found_with_the_embedder_of_the_config(
    smcs: Callable[..., Any], bank: Path, task: Path, config: Callable[..., Path]
) -> None:
    assert smcs("bank", "embed", bank, "--config", config()).code == 0
    done = smcs("bank", "audit", bank, "--against", task, "--config", config(), "--near", "0.9", "--json")
    assert [finding["kind"] for finding in json.loads(done.out)["findings"]] == ["contamination"]


def test_mistakes_are_one_line(smcs: Callable[..., Any], bank: Path) -> None:
    for arguments in (["--against", "mmlu_por"], ["--near", "2"], ["--embedder", "nobody"]):
        done = smcs("bank", "audit", bank, *arguments)
        assert done.code == 2
        assert len(done.err.strip().splitlines()) == 1
        assert done.out == ""


def test_a_question_is_added_once(smcs: Callable[..., Any], bank: Path, config: Callable[..., Path]) -> None:
    arguments = ("bank", "add-question", bank, "What is 2 + 3?", "--gold", "5", "--author", "kim", "--config", config())
    assert "added" in smcs(*arguments).out
    assert "the bank has it already" in smcs(*arguments).out
    changes = json.loads(smcs("bank", "history", bank, "--json").out)
    assert [change["author"] for change in changes if change["kind"] == "add"][-1] == "kim"
    wrong = smcs("bank", "add-question", bank, "Which?", "--gold", "C", "--choice", "x", "--config", config())
    assert (wrong.code, len(wrong.err.strip().splitlines())) == (2, 1)
    unknown = smcs("bank", "add-question", bank, "Which?", "--gold", "C", "--grader", "nubmer", "--config", config())
    assert "Did you mean 'number'" in unknown.err


def test_a_run_and_its_correct_answer_grow_the_bank_and_undo_takes_it_back(
    smcs: Callable[..., Any], bank: Path, config: Callable[..., Path], tmp_path: Path
) -> None:
    script = {"replies": ["Answer: 7"]}
    file = config(adder=script, half={"replies": ["Answer: 8"]}, merger=script)
    record = tmp_path / "run.json"
    record.write_text(smcs("ask", "What is 3 + 4?", "--config", file, "--json").out)
    grown = json.loads(smcs("bank", "feedback", bank, record, "--gold", "7", "--config", file, "--json").out)
    assert {row["llm"]: row["score"] for row in grown["outcomes"]} == {"adder": 1.0, "half": 0.0, "merger": 1.0}
    with QuestionBank.open(bank) as opened:
        assert len(opened) == 2
    assert smcs("bank", "undo", bank, str(grown["change"])).code == 0
    with QuestionBank.open(bank) as opened:
        assert (len(opened), opened.llms) == (1, ())
    broken = smcs("bank", "feedback", bank, tmp_path / "none.json", "--right", "--config", file)
    assert (broken.code, len(broken.err.strip().splitlines())) == (2, 1)

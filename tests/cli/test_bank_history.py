from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from helpers_bank import outcome, question
from smcs.bank import QuestionBank
from smcs.cli.bank import app
from smcs.errors import BankError, ConfigError


@pytest.fixture
def path(tmp_path: Path) -> str:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions(question(i) for i in range(5))
        bank.add_llm("a")
        bank.record([outcome(0, "a", 1.0), outcome(1, "a", 0.0)])
    return str(tmp_path / "bank.db")


def smcs_bank(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=answer, env={"COLUMNS": "200"})


def content(path: str) -> str:
    with QuestionBank.open(path) as bank:
        return bank.content_hash


def test_remove_then_undo(path: str) -> None:
    before = content(path)
    removed = smcs_bank("remove", path, "--question", "q0001", "--note", "bad\x1b gold", "--author", "me", "--yes")
    assert removed.exit_code == 0
    assert "Removed 1 question (q0001): 1 outcomes removed, 1 questions removed (change 3)." in removed.stdout
    listed = smcs_bank("history", path)
    assert "bad gold" in listed.stdout, "no control character reaches the terminal"
    report = json.loads(smcs_bank("history", path, "--json").stdout)
    assert [entry["kind"] for entry in report] == ["add", "add", "remove"]
    assert (report[2]["author"], report[2]["counts"]) == ("me", {"outcomes_removed": 1, "questions_removed": 1})
    assert report[2]["hash_before"] == before
    undone = json.loads(smcs_bank("undo", path, "3", "--note", "it was right", "--json").stdout)
    assert (undone["id"], undone["undoes"], undone["note"]) == (4, 3, "it was right")
    assert content(path) == before
    assert "remove (undone by 4)" in smcs_bank("history", path).stdout
    assert isinstance(smcs_bank("undo", path, "3").exception, BankError)


def test_remove_asks(path: str) -> None:
    before = content(path)
    for answer in ("n\n", ""):
        refused = smcs_bank("remove", path, "--llm", "a", answer=answer)
        assert refused.exit_code == 1
        assert "Removed" not in refused.stdout
        assert "Remove LLM a and its 2 outcomes" in refused.stderr
        assert content(path) == before
    agreed = smcs_bank("remove", path, "--llm", "a", "--json", answer="y\n")
    assert json.loads(agreed.stdout[agreed.stdout.index("{") :])["counts"] == {"llms_removed": 1, "outcomes_removed": 2}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], ConfigError),
        (["--llm", "a", "--question", "q0001"], ConfigError),
        (["--question", "q0001", "--question", "nobody"], BankError),
        (["--llm", "nobody"], BankError),
    ],
)
def test_what_cannot_be_removed(path: str, options: list[str], error: type[Exception]) -> None:
    before = content(path)
    assert isinstance(smcs_bank("remove", path, *options, "--yes").exception, error)
    assert content(path) == before


def test_merge(path: str) -> None:
    merged = json.loads(smcs_bank("merge", path, "q0002", "q0000", "q0001", "--note", "same", "--json").stdout)
    assert (merged["kind"], merged["note"]) == ("merge", "same")
    assert merged["counts"] == {"outcomes_added": 1, "outcomes_removed": 2, "questions_removed": 2}
    with QuestionBank.open(path) as bank:
        assert [found.question_id for found in bank.recorded("a")] == ["q0002"]
    text = smcs_bank("merge", path, "q0002", "q0003")
    assert text.stdout.startswith("Merged 1 into q0002; 0 outcomes moved: 1 questions removed")
    assert isinstance(smcs_bank("merge", path, "q0002", "nobody").exception, BankError)


def test_history_of_a_new_bank(tmp_path: Path) -> None:
    QuestionBank.create(tmp_path / "new.db").close()
    assert smcs_bank("history", str(tmp_path / "new.db")).stdout == "Nothing was changed yet.\n"
    assert smcs_bank("history", str(tmp_path / "new.db"), "--json").stdout == "[]\n"

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from smcs.bank import QuestionBank
from smcs.cli.bank import app
from smcs.errors import BankError
from smcs.types import Outcome, Question


@pytest.fixture
def path(tmp_path: Path) -> str:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions(
            Question(f"q{i}", f"Is {i} it?", choices=("yes", "no"), gold="A", grader="choice") for i in range(3)
        )
        for name in ("a", "b"):
            bank.add_llm(name)
        said, cut = "The answer is (A).", "I do not know."
        bank.record([Outcome("q0", "a", None, response=said), Outcome("q1", "a", 0.0, response=said)])
        bank.record([Outcome("q0", "b", None, response=said), Outcome("q2", "b", 1.0, response=cut)])
    return str(tmp_path / "bank.db")


def regrade(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["regrade", *arguments], env={"COLUMNS": "200"})


def scores(path: str, llm: str) -> dict[str, float | None]:
    with QuestionBank.open(path) as bank:
        return {outcome.question_id: outcome.score for outcome in bank.recorded(llm)}


def test_only_what_has_no_grade(path: str) -> None:
    done = regrade(path, "--only-ungraded", "--llm", "a")
    assert done.exit_code == 0, done.output
    assert done.stdout == "1 answers have a new grade, 0 still have none\n"
    assert scores(path, "a") == {"q0": 1.0, "q1": 0.0}
    assert scores(path, "b") == {"q0": None, "q2": 1.0}


def test_every_answer_of_every_llm(path: str) -> None:
    assert json.loads(regrade(path, "--json").stdout) == {"changed": 4, "ungraded": 0}
    assert (scores(path, "a"), scores(path, "b")) == ({"q0": 1.0, "q1": 1.0}, {"q0": 1.0, "q2": 0.0})
    assert json.loads(regrade(path, "--json").stdout)["changed"] == 0


def test_mistakes(path: str) -> None:
    assert isinstance(regrade(path, "--llm", "c").exception, BankError)
    assert isinstance(regrade("none.db").exception, BankError)

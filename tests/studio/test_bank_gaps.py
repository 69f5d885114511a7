from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from helpers_bank import fill, small_bank
from smcs.bank import Finding, QuestionBank
from smcs.cli.bank import app
from smcs.errors import SmcsError
from smcs.studio.bank.gaps import fix_of, gaps_of, groups_of, missing_fix, ungraded_fix
from smcs.types import Outcome, Question


def run(line: str | None) -> Result:
    """Run a command as a shell would."""
    assert line is not None
    words = shlex.split(line)
    assert words[:2] == ["smcs", "bank"]
    return CliRunner().invoke(app, words[2:], input="y\n")


def finding(bank: QuestionBank, kind: str) -> Finding:
    return next(one for one in bank.audit().findings if one.kind == kind)


def choice(question_id: str, text: str, gold: str = "A") -> Question:
    return Question(question_id, text, choices=("yes", "no"), gold=gold, grader="choice", task="t")


def test_gaps_are_the_pairs_without_a_graded_outcome(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db", count=60) as bank:
        bank.record([Outcome("q0001", "llm001", None)])
        gaps = gaps_of(bank.info())
        places = {question.id: (question.task, question.subject) for question in bank.questions()}
        for one in gaps:
            outcomes = {outcome.question_id: outcome for outcome in bank.recorded(one.overall.llm)}
            missing = [place for question_id, place in places.items() if question_id not in outcomes]
            ungraded = [places[question_id] for question_id, outcome in outcomes.items() if outcome.score is None]
            found = {(part.label.task, part.label.subject): part for part in one.parts}
            assert {place: part.missing for place, part in found.items()} == {
                place: missing.count(place) for place in {*missing, *ungraded}
            }
            assert sum(part.ungraded for part in one.parts) == len(ungraded)
        assert {one.overall.llm for one in gaps} == {row.llm for row in bank.info().llms if row.missing or row.ungraded}
        counts = [one.overall.missing for one in gaps]
        assert counts == sorted(counts, reverse=True)


def test_a_full_bank_has_no_gaps(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        fill(bank, np.ones((4, 2)), np.eye(4))
        assert gaps_of(bank.info()) == ()


def test_merging_mends_a_duplicate(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "my bank.db") as bank:
        bank.add_questions([choice("a 1", "Is it?"), choice("-b", "is it"), choice("c", "Other?")])
        done = run(fix_of(finding(bank, "duplicate"), bank.url).command)
        assert done.exit_code == 0, done.output
        assert len(bank) == 2


def test_removing_mends_a_contradiction(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions([choice("a", "Is it?"), choice("--b", "Is it?", "B")])
        done = run(fix_of(finding(bank, "contradictory_gold"), bank.url).command)
        assert done.exit_code == 0, done.output
        assert bank.question_ids() in (("a",), ("--b",))


def test_removing_mends_what_cannot_be_graded(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        bank.add_questions([choice("a'; rm -rf $HOME; '", "Is it?", "Z"), choice("b", "Is that?")])
        done = run(fix_of(finding(bank, "ungradable"), bank.url).command)
        assert done.exit_code == 0, done.output
        assert bank.question_ids() == ("b",)


def test_removing_mends_an_llm_under_two_names(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        scores = np.repeat(np.arange(60)[:, None] % 2, 2, axis=1).astype(float)
        fill(bank, scores, np.random.default_rng(0).standard_normal((60, 8)))
        found = finding(bank, "identical_llms")
        done = run(fix_of(found, bank.url).command)
        assert done.exit_code == 0, done.output
        assert bank.llms == (found.llms[0],)


def test_every_command_is_one_the_program_has(tmp_path: Path) -> None:
    url = str(tmp_path / "no bank.db")
    findings = [
        Finding("corrupt", "error", "m"),
        Finding("contamination", "error", "m", ("a", "test")),
        Finding("near_duplicate", "warning", "m", ("a", "b")),
        Finding("embeddings", "warning", "m"),
    ]
    for found in findings:
        done = run(fix_of(found, url).command)
        assert done.exit_code != 2, done.output
        assert isinstance(done.exception, SmcsError)
    assert run(f"{(missing_fix('-x', url).command or '').replace(' -- ', ' --help -- ')}").exit_code == 0
    again = fix_of(Finding("not_checked", "note", "m"), url).command
    assert again == f"smcs bank embed {shlex.quote(url)} && smcs bank audit {shlex.quote(url)}"


def test_missing_outcomes_are_asked_for_by_name(tmp_path: Path) -> None:
    with small_bank(tmp_path / "bank.db") as bank:
        found = finding(bank, "missing_outcomes")
        words = shlex.split(fix_of(found, bank.url).command or "")
    assert words == ["smcs", "bank", "add-llm", f"--bank={bank.url}", "--fraction=1", found.llms[0]]


def test_grading_again_mends_what_was_not_graded(tmp_path: Path) -> None:
    llm = """it's "x"; $HOME"""
    with QuestionBank.create(tmp_path / "my bank.db") as bank:
        bank.add_questions([choice(f"q{i}", f"Is {i} it?") for i in range(20)])
        for name in (llm, "other"):
            bank.add_llm(name)
            bank.record([Outcome(f"q{i}", name, None, response="The answer is (A).") for i in range(20)])
        command = fix_of(finding(bank, "ungraded"), bank.url).command
        assert command in {ungraded_fix(name, bank.url).command for name in (llm, "other")}
        words = shlex.split(ungraded_fix(llm, bank.url).command or "")
        assert words[:3] == ["smcs", "bank", "regrade"]
        assert (
            run(ungraded_fix(llm, bank.url).command or "").stdout == "20 answers have a new grade, 0 still have none\n"
        )
        assert {outcome.score for outcome in bank.recorded(llm)} == {1.0}
        assert {outcome.score for outcome in bank.recorded("other")} == {None}


@pytest.mark.parametrize("kind", ["all_wrong", "all_right", "below_chance"])
def test_what_no_command_mends_has_none(kind: str) -> None:
    assert fix_of(Finding(kind, "warning", "m", llms=("a",)), "bank.db").command is None  # type: ignore[arg-type]


def test_what_cannot_be_pasted_is_no_command() -> None:
    assert fix_of(Finding("duplicate", "warning", "m", ("a", "b\nrm -rf /")), "bank.db").command is None
    assert fix_of(Finding("duplicate", "warning", "m", ("a", "b\x1b[2J")), "bank.db").command is None
    assert missing_fix("a\u202eb", "bank.db").command is None
    assert ungraded_fix("a\u202eb", "bank.db").command is None


def test_findings_are_grouped_worst_first() -> None:
    findings = (
        Finding("ungradable", "error", "1"),
        Finding("duplicate", "warning", "2"),
        Finding("ungradable", "error", "3"),
    )
    groups = groups_of(findings)
    assert list(groups) == ["ungradable", "duplicate"]
    assert [one.message for one in groups["ungradable"]] == ["1", "3"]

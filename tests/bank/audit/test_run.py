"""An audit of a whole bank: each fault that is put in is found, and a sound bank has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from smcs.bank import Audit, AuditOptions, QuestionBank
from smcs.errors import BankError, InputError
from smcs.types import Outcome, Question

WORDS = ("apple", "bridge", "candle", "desert", "engine", "forest", "garden", "harbour", "island", "jungle")


def question(number: int, *, task: str = "t", gold: str = "A") -> Question:
    text = f"What do people say about the {WORDS[number % 10]} and the {WORDS[number // 10]} of case {number}?"
    return Question(f"q{number:03}", text, task=task, choices=("yes", "no"), gold=gold, grader="choice")


def answer(number: int, llm: str, score: float | None, text: str = "") -> Outcome:
    return Outcome(f"q{number:03}", llm, score, response=text or f"{llm} says {number}")


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QuestionBank]:
    """60 questions, two LLMs that differ, every question embedded: nothing to find."""
    monkeypatch.setenv("SMCS_CACHE_DIR", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    with QuestionBank.create(tmp_path / "bank.db") as made:
        made.add_questions(question(i) for i in range(60))
        for name, right in (("strong", 0.8), ("weak", 0.5)):
            made.add_llm(name)
            made.record(answer(i, name, float(rng.random() < right)) for i in range(60))
        made.store_embeddings("e", [f"q{i:03}" for i in range(60)], rng.standard_normal((60, 32)))
        yield made


def kinds(report: Audit) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_a_sound_bank_has_nothing_to_find(bank: QuestionBank) -> None:
    report = bank.audit()
    assert report.findings == ()
    assert not report.fails("note")
    assert (report.questions, report.llms, report.content_hash) == (60, 2, bank.content_hash)


def test_an_llm_under_two_names_is_found(bank: QuestionBank) -> None:
    bank.add_llm("strong-copy")
    bank.record(Outcome(o.question_id, "strong-copy", o.score, response=o.response) for o in bank.recorded("strong"))
    (finding,) = bank.audit().findings
    assert (finding.kind, finding.llms, finding.value) == ("identical_llms", ("strong", "strong-copy"), 1.0)


def test_llms_that_fail_at_a_task_are_found(bank: QuestionBank) -> None:
    for name in ("mute", "lost", "perfect"):
        bank.add_llm(name)
    bank.record(answer(i, "mute", 0.0) for i in range(60))
    bank.record(answer(i, "lost", 0.0) for i in range(12))
    bank.record(answer(i, "lost", None) for i in range(12, 60))
    bank.record(answer(i, "perfect", 1.0) for i in range(60))
    found = {(finding.kind, finding.llms) for finding in bank.audit().findings}
    assert found == {
        ("below_chance", ("mute",)),
        ("all_wrong", ("lost",)),
        ("ungraded", ("lost",)),
        ("all_right", ("perfect",)),
    }


def test_missing_outcomes_are_told_from_a_task_that_was_not_asked(bank: QuestionBank) -> None:
    bank.add_questions([question(70, task="other")])
    bank.record([answer(70, "strong", 1.0)])
    bank.add_questions([question(71)])
    bank.record([answer(71, "strong", 1.0)])
    bank.store_embeddings("e", ["q070", "q071"], np.eye(32)[:2])
    found = [(f.severity, f.llms, f.task, f.value) for f in bank.audit().findings]
    assert found == [("warning", ("weak",), "t", 1.0), ("note", ("weak",), "other", 1.0)]


def test_contamination_near_duplicates_and_stale_vectors(bank: QuestionBank) -> None:
    vectors = np.eye(32)[[0, 1]]
    twin = question(5)
    bank.add_questions(
        [
            Question(
                "twin", twin.text.replace("people", "folks"), task="t", choices=("yes", "no"), gold="B", grader="choice"
            )
        ]
    )
    bank.store_embeddings("e", ["q005", "twin"], vectors[[0, 0]])
    bank.add_questions(
        [Question("q009", "Is this another text now?", task="t", choices=("yes", "no"), gold="A", grader="choice")],
        replace=True,
    )
    tested = (
        question(7),
        Question("test/1", twin.text.upper().replace("PEOPLE", "THEY"), choices=("yes", "no"), gold="A"),
    )
    report = bank.audit(AuditOptions(against=tested, against_vectors=vectors[[1, 0]].astype(np.float32)))
    found = {
        (finding.kind, finding.severity, finding.question_ids) for finding in report.findings if finding.question_ids
    }
    assert found == {
        ("contamination", "error", ("q007", "q007")),
        ("contamination", "warning", ("q005", "test/1")),
        ("contamination", "warning", ("twin", "test/1")),
        ("near_duplicate", "warning", ("q005", "twin")),
    }
    assert "their golds differ" in next(f.message for f in report.findings if f.kind == "near_duplicate")
    assert [f.value for f in report.findings if f.kind == "embeddings"] == [1.0]
    assert report.compared == 2
    assert report.fails("error")


def test_what_could_not_be_compared_is_said(bank: QuestionBank) -> None:
    report = bank.audit(AuditOptions(against=(question(3),)))
    assert [(f.kind, f.severity) for f in report.findings] == [("contamination", "error"), ("not_checked", "note")]
    with pytest.raises(InputError, match=r"shape \(1, 32\)"):
        bank.audit(AuditOptions(against=(question(3),), against_vectors=np.ones((1, 5), dtype=np.float32)))
    with pytest.raises(InputError, match="near"):
        bank.audit(AuditOptions(near=0.0))
    with pytest.raises(BankError, match="nobody"):
        bank.audit(AuditOptions(embedder="nobody"))


def test_what_is_left_out_of_the_list_is_said(bank: QuestionBank, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        text = f"What do people {WORDS[number]} about the apple?"
        bank.add_questions([Question(f"same{number}", text, choices=("yes", "no"), gold="A", grader="choice")])
    bank.store_embeddings("e", [f"same{number}" for number in range(3)], np.ones((3, 32)))
    near = [f for f in bank.audit().findings if f.kind == "near_duplicate"]
    assert len(near) == 3
    monkeypatch.setattr("smcs.bank.audit.run._MOST_NEAR", 2)
    found = [f.kind for f in bank.audit().findings if f.kind in ("near_duplicate", "not_checked")]
    assert found == ["near_duplicate", "near_duplicate", "not_checked"]


def test_a_bank_without_vectors_is_audited_by_words(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "words.db") as made:
        made.add_questions(
            [question(1), Question("again", question(1).text, choices=("no", "yes"), gold="B", grader="choice")]
        )
        assert kinds(made.audit()) == {"not_checked", "duplicate"}
        assert kinds(QuestionBank.create(tmp_path / "empty.db").audit()) == {"not_checked"}

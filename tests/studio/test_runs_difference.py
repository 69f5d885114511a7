from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from helpers_ledger import full_run
from smcs.errors import MissingExtraError
from smcs.run import Candidate, EstimatedPrior, Query, Run
from smcs.studio.runs import difference as module
from smcs.studio.runs.comparing import VERDICTS, figure_cells, prior_rows, setting_rows, summary_rows
from smcs.studio.runs.difference import Candidates, Figure, PriorChange, SettingChange, compare
from smcs.types import Attempt, AttemptStatus, Message, Usage


def answered(text: str, **changes: object) -> Run:
    return replace(full_run(query=Query.of("How much is 3 + 4?"), answer=text), **changes)  # type: ignore[arg-type]


def test_run_equals_itself() -> None:
    run = full_run()
    found = compare(run, run)
    assert found.same_question
    assert (found.answers, found.same_answerer) == ("same text", True)
    assert (found.added, found.removed, found.kept) == ((), (), run.referencers)
    assert (found.priors, found.settings) == ((), ())
    assert all(figure.change in (0, None) for figure in found.figures)


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ("The answer is 7.", "Adding up, I get \\boxed{7}", "same answer"),
        ("The answer is 7.", "The answer is 8.", "different"),
        ("", "The answer is 7.", "unknown"),
        ("The answer is 7.", "It depends.\nSome say one thing, and others say another.", "unknown"),
    ],
)
def test_answers_are_compared_as_the_grader_would(a: str, b: str, verdict: str) -> None:
    assert compare(answered(a), answered(b)).answers == verdict
    assert compare(answered(b), answered(a)).answers == verdict


def test_grader_of_the_question_decides() -> None:
    query = Query("How much?", (Message("user", "How much?"),), grader="number")
    a, b = (full_run(query=query, answer=text) for text in ("It costs 1,000.", "1000.0"))
    found = compare(a, b)
    assert found.answers == "same answer"
    assert "number" in found.why


def test_other_questions_are_not_compared() -> None:
    other = answered("The answer is 7.", query=Query.of("How much is 4 + 3?"))
    found = compare(answered("The answer is 7."), other)
    assert not found.same_question
    assert found.answers == "unknown"


def test_missing_grader_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*texts: object, **options: object) -> tuple[int, ...]:
        raise MissingExtraError("math-verify", "grading")

    monkeypatch.setattr(module, "same_answers", missing)
    found = compare(answered("7"), answered("8"))
    assert found.answers == "unknown"
    assert "grading" in found.why


def test_referencers_and_priors() -> None:
    a = full_run(
        referencers=("one", "two"),
        priors=(EstimatedPrior("one", 9.0, 0.9), EstimatedPrior("two", 5.0, 0.5), EstimatedPrior("gone", 1.0, 0.1)),
    )
    b = full_run(
        referencers=("two", "three"),
        priors=(
            EstimatedPrior("two", 7.0, 0.7),
            EstimatedPrior("one", 8.5, 0.85),
            EstimatedPrior("three", None, None),
            EstimatedPrior("new", 6.0, 0.6),
        ),
    )
    found = compare(a, b)
    assert (found.kept, found.added, found.removed) == (("two",), ("three",), ("one",))
    assert found.priors == (
        PriorChange("two", 0.5, 0.7),
        PriorChange("one", 0.9, 0.85),
        PriorChange("gone", 0.1, None),
        PriorChange("new", None, 0.6),
    )
    assert [each.change for each in found.priors] == [pytest.approx(0.2), pytest.approx(-0.05), None, None]
    words = [row[3].text for row in prior_rows(found)]
    assert words == ["+20.0 points", "\u22125.0 points", "only in A", "only in B"]


def test_priors_that_are_shown_alike_are_alike() -> None:
    a, b = (full_run(priors=(EstimatedPrior("one", 1.0, share),)) for share in (0.9, 0.9 + 1e-5))
    assert compare(a, b).priors == ()


def test_settings_that_differ_at_any_depth() -> None:
    a = full_run(settings={"k": 7, "seed": 1, "sampling": {"temperature": 0.7, "stop": []}, "without": []})
    b = full_run(settings={"k": 3, "seed": 1, "sampling": {"temperature": 0.0, "stop": []}, "quorum": None})
    found = compare(a, b)
    assert found.settings == (
        SettingChange("k", "7", "3"),
        SettingChange("quorum", "", "null"),
        SettingChange("sampling.temperature", "0.7", "0.0"),
        SettingChange("without", "[]", ""),
    )
    assert [cell.text for cell in setting_rows(found)[1]] == ["quorum", "not set", "null"]


def test_unknown_figures_stay_unknown() -> None:
    known = full_run(cost_usd=0.5, known_cost_usd=0.5, usage=Usage(20, 10, 0), known_usage=Usage(20, 10, 0))
    unknown = full_run(cost_usd=None, known_cost_usd=0.25, usage=Usage(None, 12, 0), known_usage=Usage(8, 12, 0))
    figures = {figure.name: figure for figure in compare(known, unknown).figures}
    assert figures["cost"] == Figure("cost", 0.5, None, before_least=0.5, after_least=0.25)
    assert figures["cost"].change is None
    assert figures["prompt tokens"].change is None
    assert figures["completion tokens"].change == 2
    cells = figure_cells(figures["cost"])
    assert [cell.text for cell in cells] == ["Cost", "$0.5000", "unknown, at least $0.2500", "unknown"]
    assert figure_cells(figures["prompt tokens"])[2].text == "unknown, at least 8"


def test_figures_have_signs_and_say_what_is_better() -> None:
    cells = figure_cells(Figure("seconds", 2.0, 3.0))[3], figure_cells(Figure("seconds", 3.0, 1.5))[3]
    assert [(cell.text, cell.tone) for cell in cells] == [("+1.0 s (+50%)", "bad"), ("\u22121.5 s (\u221250%)", "good")]
    assert all(cell.icon for cell in cells)
    from_nothing = figure_cells(Figure("calls", 0, 3))[3]
    assert from_nothing.text == "+3"
    assert figure_cells(Figure("support size", 400, 420))[3].tone == "muted"


def test_failed_calls_leave_out_those_given_up() -> None:
    run = full_run(attempts=tuple(Attempt("llm", "reference", status) for status in get_args(AttemptStatus)))
    figures = {figure.name: figure for figure in compare(run, run).figures}
    assert figures["failed calls"].before == 3


def test_candidates() -> None:
    several = full_run(
        candidates=(
            Candidate(0, "x", (), "7", score=1.5, group=0, agreement=0.75),
            Candidate(1, "x", (), "7", score=1.0, group=0),
            Candidate(2, "x", (), "?", score=0.5, group=-1),
        ),
        chosen=0,
    )
    none = full_run(candidates=(), chosen=None)
    found = compare(several, none)
    assert found.candidates == (Candidates(3, 2, 1.5, 0.75), Candidates(0, None, None, None))
    damaged = compare(several, full_run(chosen=99))
    assert damaged.candidates[1].score is None


def test_summary_marks_every_difference_in_words() -> None:
    a = full_run(strategy="smcs", answered_by="adder", degraded=())
    b = full_run(strategy="moa", answered_by="half", degraded=("nothing was merged",))
    rows = {row[0].text: row for row in summary_rows(compare(a, b), ("smcs", "smcs"))}
    assert rows["Model asked for"][3].text == "same"
    assert rows["Strategy"][3].text == "different"
    assert rows["Answer written by"][1].text == "adder"
    assert rows["Less than asked for"][1].text == "no"
    assert all(row[3].icon for row in rows.values())


def test_every_verdict_has_words_and_an_icon() -> None:
    assert all(cell.text and cell.icon for cell in VERDICTS.values())

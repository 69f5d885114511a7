from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers_bank import EMBEDDER, fill, reference_search, small_bank
from smcs.bank import QuestionBank
from smcs.bench import one_correct
from smcs.studio.bank.catalogue import Catalogue, Label, Shelf, load_catalogue, load_shelf
from smcs.studio.bank.data import Effect
from smcs.studio.bank.effects import Recruiting, oracle_of, routing_of
from smcs.studio.bank.llm_view import difference_plot, effect_lines
from smcs.studio.bank.profiles import Difference, differences_of, profile_of

Scores = NDArray[np.float32]


def shelf_of(scores: Scores, subjects: Sequence[int]) -> Shelf:
    count = max(subjects) + 1
    labels = tuple(Label("task", f"s{place:02}") for place in range(count))
    ids = tuple(f"q{place:04}" for place in range(len(scores)))
    catalogue = Catalogue(ids, labels, np.array(subjects, dtype=np.intp), b"", ())
    return Shelf(catalogue, tuple(f"llm{place}" for place in range(scores.shape[1])), scores)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    """A bank that no test changes."""
    with small_bank(tmp_path_factory.mktemp("bank") / "bank.db", count=80, llms=4) as made:
        yield made


def by_subject(found: Sequence[Difference]) -> dict[str, Difference]:
    return {one.label.subject: one for one in found}


def test_differences_are_paired_means_over_shared_questions(bank: QuestionBank) -> None:
    shelf = load_shelf(bank, load_catalogue(bank))
    questions = bank.questions()
    known = {q.id: {o.llm: o.score for o in bank.outcomes_on(q.id) if o.score is not None} for q in questions}
    found = differences_of(shelf, "llm001")
    assert len(found) == 6
    for one in found:
        pairs = []
        for question in questions:
            scores = dict(known[question.id])
            own = scores.pop("llm001", None)
            if (question.task, question.subject) == (one.label.task, one.label.subject) and own is not None and scores:
                pairs.append((own, sum(scores.values()) / len(scores)))
        assert one.questions == len(pairs)
        assert one.own == pytest.approx(np.mean([own for own, _ in pairs]))
        assert one.others == pytest.approx(np.mean([others for _, others in pairs]), rel=1e-6)
        apart = np.array([own - others for own, others in pairs])
        reach = 1.96 * apart.std() / math.sqrt(len(apart))
        assert one.low == pytest.approx(apart.mean() - reach, abs=0.4 * reach)
        assert one.high == pytest.approx(apart.mean() + reach, abs=0.4 * reach)


def test_only_what_is_no_chance_is_a_strength_or_a_weakness() -> None:
    rng = np.random.default_rng(3)
    scores = (rng.random((1600, 6)) < 0.5).astype(np.float32)
    scores[:200, 0] = rng.random(200) < 0.85
    scores[200:400, 0] = rng.random(200) < 0.15
    scores[rng.random(scores.shape) < 0.05] = np.nan
    found = by_subject(differences_of(shelf_of(scores, np.repeat(np.arange(8), 200).tolist()), "llm0"))
    assert found["s00"].verdict == "strength"
    assert found["s01"].verdict == "weakness"
    assert {found[f"s{place:02}"].verdict for place in range(2, 8)} == {"even"}


def test_equal_llms_are_told_apart_in_few_banks() -> None:
    called = 0
    for seed in range(12):
        scores = (np.random.default_rng(seed).random((400, 4)) < 0.6).astype(np.float32)
        found = differences_of(shelf_of(scores, np.repeat(np.arange(10), 40).tolist()), "llm1")
        called += any(one.verdict in ("strength", "weakness") for one in found)
    assert called <= 2


def test_a_difference_holds_its_interval_and_needs_one_to_count() -> None:
    scores = (np.random.default_rng(1).random((200, 3)) < 0.5).astype(np.float32)
    scores[:100, 1] = 1
    for one in differences_of(shelf_of(scores, np.repeat(np.arange(4), 50).tolist()), "llm1"):
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.difference <= one.high
        assert (one.verdict == "even") or not one.low <= 0 <= one.high


def test_few_questions_say_nothing() -> None:
    scores = np.zeros((19, 2), dtype=np.float32)
    scores[:, 0] = 1
    few, enough = differences_of(shelf_of(scores, [0] * 9 + [1] * 10), "llm0")
    assert (few.verdict, few.low, few.high, few.questions) == ("few", None, None, 9)
    assert (enough.verdict, enough.questions, enough.difference) == ("strength", 10, 1.0)


def test_small_subjects_are_compared_as_whole_tasks() -> None:
    scores = np.zeros((30, 2), dtype=np.float32)
    scores[:, 0] = 1
    (one,) = differences_of(shelf_of(scores, [place // 6 for place in range(30)]), "llm0")
    assert (one.label, one.questions, one.verdict) == (Label("task", ""), 30, "strength")
    few = differences_of(shelf_of(scores[:8], [0, 0, 0, 0, 1, 1, 1, 1]), "llm0")
    assert [(one.label.subject, one.verdict) for one in few] == [("s00", "few"), ("s01", "few")]


def test_what_others_lack_is_left_out() -> None:
    scores = np.full((30, 3), np.nan, dtype=np.float32)
    scores[:15, 0] = 1
    scores[5:30, 1] = 0
    (one,) = differences_of(shelf_of(scores, [0] * 30), "llm0")
    assert (one.questions, one.own, one.others) == (10, 1.0, 0.0)
    assert differences_of(shelf_of(scores, [0] * 30), "llm2") == ()


def test_questions_only_one_has_right_come_hardest_first(bank: QuestionBank) -> None:
    found = profile_of(load_shelf(bank, load_catalogue(bank)), "llm002", bank)
    expected = {}
    for question in bank.questions():
        scores = {o.llm: o.score for o in bank.outcomes_on(question.id) if o.score is not None}
        others = [score for llm, score in scores.items() if llm != "llm002"]
        if scores.get("llm002") == 1 and others and not any(others):
            expected[question.id] = len(others)
    assert {one.question.id: one.wrong for one in found.alone} == expected
    assert found.alone_in_all == len(expected) > 0
    assert [one.wrong for one in found.alone] == sorted(expected.values(), reverse=True)


def test_oracle_is_one_correct_with_and_without(bank: QuestionBank) -> None:
    shelf = load_shelf(bank, load_catalogue(bank))
    found = oracle_of(shelf, "llm003")
    rows = []
    for question in bank.questions():
        scores = {o.llm: o.score for o in bank.outcomes_on(question.id)}
        own, others = scores.pop("llm003", None), [score for score in scores.values() if score is not None]
        if own is not None and others:
            rows.append((own, others))
    assert found is not None
    assert found.questions == len(rows)
    assert found.without == pytest.approx(one_correct([others for _, others in rows]).mean())
    assert found.with_it == pytest.approx(one_correct([[own, *others] for own, others in rows]).mean())


def test_oracle_needs_questions_with_both() -> None:
    scores = np.array([[1, np.nan], [np.nan, 0]], dtype=np.float32)
    assert oracle_of(shelf_of(scores, [0, 0]), "llm0") is None
    assert oracle_of(shelf_of(scores[:, :1], [0, 0]), "llm0") is None


def test_recommendations_leave_the_asked_question_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 2, size=(40, 3)).astype(np.float64)
    scores[rng.random(scores.shape) < 0.05] = np.nan
    vectors = rng.standard_normal((40, 8)) + 1.0
    bank = QuestionBank.create(tmp_path / "bank.db")
    fill(bank, scores, vectors)
    first = among = 0
    judged = []
    for row in range(40):
        rest = [place for place in range(40) if place != row]
        prior = reference_search(vectors[rest].tolist(), scores[rest].tolist(), vectors[row].tolist(), 10, 0.95)[1]
        order = sorted(range(3), key=lambda llm: (-prior[llm], llm))
        first += order[0] == 1
        among += 1 in order[:2]
        pair = (scores[row, next(llm for llm in order if llm != 1)], scores[row, order[0]])
        judged += [] if np.isnan(pair).any() else [pair]
    found = routing_of(bank.index(), "llm001", Recruiting(2, 10, 0.95))
    assert found is not None
    assert (found.questions, found.k, found.llms, found.judged) == (40, 2, 3, len(judged))
    assert (found.first, found.recruited) == (first / 40, among / 40)
    assert (found.without, found.with_it) == pytest.approx(tuple(np.mean(judged, axis=0)))
    assert 0 < first < 40


def test_recommendations_need_a_second_llm(tmp_path: Path) -> None:
    bank = QuestionBank.create(tmp_path / "bank.db")
    fill(bank, np.ones((5, 1)), np.random.default_rng(0).standard_normal((5, 4)))
    assert routing_of(bank.index(EMBEDDER), "llm000", Recruiting(7, 400, 0.95)) is None


def test_plot_shows_both_ends_of_many_subjects() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random((600, 3)) < 0.5).astype(np.float32)
    found = differences_of(shelf_of(scores, np.repeat(np.arange(60), 10).tolist()), "llm0")
    plot = difference_plot(found)
    assert plot.y.labels == tuple(one.label.name for one in (*found[:12], *found[-12:]))
    assert len(plot.table.rows) == 60
    assert "36 subjects in between" in plot.note
    for place, one in enumerate((*found[:12], *found[-12:])):
        drawn = [series.values[place] for series in plot.series if series.values[place] is not None]
        assert drawn == [pytest.approx(100 * one.difference)]


def test_what_an_llm_changes_is_said_with_figures(bank: QuestionBank) -> None:
    shelf = load_shelf(bank, load_catalogue(bank))
    oracle = oracle_of(shelf, "llm000")
    routing = routing_of(bank.index(), "llm000", Recruiting(7, 400, 0.95))
    lines = effect_lines("llm000", Effect(oracle, routing, None))
    assert len(lines) == 3
    assert "everybody is" in lines[1]
    assert effect_lines("x", Effect(None, None, None)) == [
        "How often it would be asked is not known: that takes embeddings and a second LLM."
    ]

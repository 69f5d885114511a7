"""Figures from outcomes alone: routing, votes, banks without the question's dataset, growing pools, support sources."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_importing import published, released
from helpers_reproduce import line, ours, panel, released_folder, table
from smcs.bank import QuestionBank
from smcs.bench.recorded import RecordedBank, Setting, recorded_figures
from smcs.bench.reproduce import Evidence, OutcomeTable, bank_table, recorded_table, released_tables, reproduce
from smcs.bench.reproduce.outcomes import support_base
from smcs.embedders import HashingEmbedder
from smcs.errors import BankError, ConfigError, InputError
from smcs.prior import pairwise_ranking_score, prior_vector, support_set
from smcs.types import Outcome, Question

X, Y = (1.0, 0.0), (0.0, 1.0)


def two_datasets() -> OutcomeTable:
    """Bank rows 0-3, asked rows 4-5; a is good at maths (x), b at law (y), c at nothing."""
    return table(
        [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, np.nan], [1, 0, 0], [0, 1, 0]],
        [X, X, Y, Y, X, Y],
        [-1, -1, -1, -1, 0, 0],
        tasks=["maths", "maths", "law", "law", "maths", "law"],
        answers=[[0, 1, 1]] * 6,
    )


def test_each_question_is_routed_by_its_nearest() -> None:
    made = two_datasets()
    routing = made.routing
    assert routing.rows.tolist() == [4, 5]
    assert routing.priors.tolist() == [[2, 0, 0], [0, 2, 0]]
    assert routing.sources.tolist() == [[0, 1], [1, 0]]  # groups: law, maths
    assert made.top(routing.priors, routing.rows).tolist() == [1, 1]


def test_without_its_own_dataset_a_question_is_routed_by_the_other() -> None:
    made = two_datasets()
    routing = made.routing_elsewhere
    assert routing.rows.tolist() == [4, 5]
    assert made.top(routing.priors, routing.rows)[0] == 1  # similarity 0 to all: every prior is 0, and a stands first
    assert routing.sources[0].tolist() in ([1, 0], [0, 0])


def test_votes_count_answers_and_take_the_grade_of_who_gave_them() -> None:
    made = two_datasets()
    rows = made.routing.rows
    assert made.vote(rows, None).tolist() == [0, 1]  # b and c outvote a; on row 5 they are graded 1 through b
    assert made.vote(rows, made.routing.priors, k=1).tolist() == [1, 1]
    assert made.vote(rows, None, llms=[0]).tolist() == [1, 0]
    silent = table([[0, np.nan], [1, 1]], [X, Y], [0, -1], answers=[[-1, -1], [0, 0]])
    assert silent.vote(np.array([0]), None).tolist() == [0]  # an answer without a letter is wrong, not missing
    with pytest.raises(InputError, match="holds no answers"):
        table([[1.0], [0.0]], [X, Y], [0, -1]).vote(np.array([0]), None)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_routing_agrees_with_one_question_at_a_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(6, 30))
    scores = rng.integers(0, 2, (count, 3)).astype(float)
    scores[rng.random(scores.shape) < 0.1] = np.nan
    folds = rng.integers(-1, 3, count)
    folds[:2] = (0, 1)
    made = table(scores.tolist(), rng.normal(size=(count, 4)).tolist(), folds.tolist(), base=3)
    for row, prior in zip(made.routing.rows, made.routing.priors, strict=True):
        bank = made.folds != made.folds[row]
        support = support_set(made.vectors[bank] @ made.vectors[row], base=3, tolerance=0.95)
        assert prior == pytest.approx(prior_vector(made.scores[bank], support), rel=1e-4, abs=1e-4, nan_ok=True)


def test_ranking_scores_are_those_of_the_prior_room() -> None:
    made = two_datasets()
    found = ours(line(panel(reproduce("table4", Evidence(tables=(made,))), "ranking"), "SMCS (RPS)"), "maths")
    expected = pairwise_ranking_score(made.routing.priors[:1], made.correct[4:5])
    assert found.value == pytest.approx(100 * expected)


def test_a_pool_grows_to_the_whole_pool() -> None:
    made = two_datasets()
    found = panel(reproduce("fig4", Evidence(tables=(made,))), "random orders")
    assert [one.name for one in found.lines] == ["1 LLM", "2 LLMs", "3 LLMs"]
    whole = {part.column: part.ours for part in found.lines[-1].cells}
    best, oracle = whole["best prior alone"], whole["oracle"]
    assert best is not None
    assert oracle is not None
    assert (best.value, best.deviation, best.n) == (100, 0, 10)
    assert oracle.value == 100
    one = {part.column: part.ours for part in found.lines[0].cells}["best prior alone"]
    assert one is not None
    assert one.value < 100


def test_datasets_stand_in_table3_and_sources_in_fig5() -> None:
    made = two_datasets()
    found = reproduce("table3", Evidence(tables=(made,)))
    top = panel(found, "best prior")
    assert ours(line(top, "whole bank"), "mean of 2").value == 100
    random = ours(line(top, "random LLM (expected)"), "maths")
    assert random.value == pytest.approx(100 / 3)
    shares = panel(reproduce("fig5", Evidence(tables=(made,))), "made up")
    assert ours(line(shares, "maths <- maths (its own)"), "share").value == 100


def test_one_task_is_split_by_subject() -> None:
    made = table([[1.0], [0.0]], [X, Y], [0, 1], subjects=["law", "physics"])
    assert made.group_names == ("law", "physics")
    assert table([[1.0], [0.0]], [X, Y], [0, 1]).group_names == ("mmlu_pro",)


def test_outcomes_fill_the_rows_of_table1_that_need_no_call() -> None:
    accuracy = panel(reproduce("table1", Evidence(tables=(two_datasets(),))), "Accuracy")
    assert ours(line(accuracy, "Simple Router"), "maths").value == 100
    assert ours(line(accuracy, "Open-source upper bound"), "law").value == 100
    assert ours(line(accuracy, "Open-source average"), "law").value == pytest.approx(100 / 3)
    assert ours(line(accuracy, "Majority Voting"), "maths").value == 0


def test_recorded_answers_give_the_recorded_figures() -> None:
    rng = np.random.default_rng(3)
    predicted = rng.integers(0, 3, (60, 5)).astype(np.int8)
    gold = rng.integers(0, 3, 60).astype(np.int8)
    bank = RecordedBank(
        ids=tuple(map(str, range(60))),
        questions=tuple(map(str, range(60))),
        subjects=np.array(["law", "maths"] * 30),
        is_test=np.arange(60) < 20,
        llms=tuple("abcde"),
        gold=gold,
        predicted=predicted,
        correct=(predicted == gold[:, None]).astype(np.float64),
    )
    vectors = rng.normal(size=(60, 6))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    made = recorded_table(bank, unit, "by hand")
    known = {figure.name: figure.value for figure in recorded_figures(bank, unit, Setting(base=made.base, k=7))}
    accuracy = panel(reproduce("table1", Evidence(tables=(made,))), "Accuracy")

    for name, recorded in {
        "RPS, best prior alone": "RPS top-1",
        "Majority Voting": "majority vote of all",
        "Simple Router": "best LLM per subject",
        "RPS, prior-weighted vote of the 7 best": "prior-weighted vote of the RPS top K",
    }.items():
        assert ours(line(accuracy, name), "mmlu_pro").value == pytest.approx(known[recorded])
    ranked = panel(reproduce("table4", Evidence(tables=(made,))), "ranking")
    rps = ours(line(ranked, "SMCS (RPS)"), "mmlu_pro")
    assert rps.value == pytest.approx(known["pairwise ranking score"])


def test_a_small_bank_has_a_small_support_set() -> None:
    assert [support_base(count) for count in (5, 120, 3_999, 4_000, 100_000)] == [1, 10, 333, 400, 400]


def test_a_bank_is_asked_part_by_part(tmp_path: Path) -> None:
    with QuestionBank.create(tmp_path / "bank.db") as bank:
        questions = [Question(f"q{n:02}", f"What is {n} plus {n}?", task="sums", grader="number") for n in range(20)]
        bank.add_questions(questions)
        for llm in ("a", "b"):
            bank.add_llm(llm)
            bank.record(
                [
                    Outcome(q.id, llm, float(n % 2), response=f"It is {n if llm == 'a' else 7}.")
                    for n, q in enumerate(questions)
                ]
            )
        made = asyncio.run(bank_table(bank, name="mine", embedder=HashingEmbedder(64)))
        assert bank.info().embedders == ()  # looked at, not changed
        with pytest.raises(InputError, match="too few to route"):
            asyncio.run(bank_table(bank, name="mine", embedder=HashingEmbedder(64), folds=11))
    assert sorted(np.bincount(made.folds).tolist()) == [4, 4, 4, 4, 4]
    assert made.embedder == HashingEmbedder(64).name
    assert made.routing.priors.shape == (20, 2)
    assert made.answers is not None
    assert made.answers[7].tolist() == [0, 0]
    assert made.answers[8].tolist() == [0, 1]


def test_the_release_is_routed_by_its_banks(tmp_path: Path) -> None:
    (made,) = asyncio.run(released_tables(released_folder(tmp_path / "data"), embedder=HashingEmbedder(64)))
    assert made.llms == ("x", "y", "z")
    assert (len(made.asked), (made.folds == -1).sum()) == (12, 40)
    assert set(made.tasks.tolist()) == {"math500", "mmlu_pro"}
    assert made.output_tokens == 8192
    assert made.embedder == "Linq-Embed-Mistral/native"
    given = Evidence(tables=(made,))
    accuracy = panel(reproduce("table1", given), "Accuracy")
    assert ours(line(accuracy, "RPS, best prior alone"), "math500").value == 100
    assert ours(line(accuracy, "x"), "mmlu_pro").value == 0
    for name in ("table3", "table4", "fig4", "fig5"):
        assert reproduce(name, given).measured > 0
    assert reproduce("table6", given).measured == 0


def test_a_release_without_embeddings_is_embedded_here(tmp_path: Path) -> None:
    folder = released_folder(tmp_path / "data", vectors=False)
    (made,) = asyncio.run(released_tables(folder, embedder=HashingEmbedder(64)))
    assert made.embedder == HashingEmbedder(64).name
    assert made.vectors.shape == (52, 64)


def test_the_whole_release_can_be_the_published_bank(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "cache_32k").mkdir(parents=True)
    released(folder / "union_question_bank.json", published(30, missing=False))
    released(folder / "cache_32k" / "all.json", published(40, seed=1, missing=False))
    (made,) = asyncio.run(released_tables(folder, embedder=HashingEmbedder(64)))
    # The texts are equal but for their number: 30 of the 40 are in the bank.
    assert len(made.asked) == 10
    assert made.notes == ("30 questions of cache_32k are in the banks too and left out.",)
    assert reproduce("table6", Evidence(tables=(made,))).measured > 0


def test_what_is_no_release_is_one_line(tmp_path: Path) -> None:
    def read(folder: Path) -> None:
        asyncio.run(released_tables(folder, embedder=HashingEmbedder(64)))

    with pytest.raises(ConfigError, match="There is no folder"):
        read(tmp_path / "nowhere")
    folder = released_folder(tmp_path / "data")
    cache = folder / "cache_8k" / "MATH" / "references.json"
    bank = next(folder.glob("question_banks/*.json"))
    good = cache.read_text()
    for text, error, message in (
        ('{"0": {"question": "Why?", "src": "MATH"}}', BankError, "entry '0': it has no result of any LLM"),
        ('{"0": {"question": "Why?", "model_res": {"x": {"is_correct": "maybe"}}}}', BankError, "is_correct of 'x'"),
        ('{"0": ', BankError, "references.json"),
        ('{"0": {"question": "Why?", "model_res": {"w": {"is_correct": true}}}}', ConfigError, "no LLM in common"),
        (bank.read_text(), ConfigError, "nothing is left to be asked"),
    ):
        cache.write_text(text)
        with pytest.raises(error, match=message) as caught:
            read(folder)
        assert "\n" not in str(caught.value)
    cache.unlink()
    with pytest.raises(ConfigError, match="holds no cached answers"):
        read(folder)
    cache.write_text(good)
    bank.unlink()
    with pytest.raises(ConfigError, match="holds no bank"):
        read(folder)

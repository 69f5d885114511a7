"""A report's figures against plain loops over the rows, and what happens where rows are missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from helpers_results import LLMS, TASKS, make_header, make_results
from smcs.bench.report import Report, build_report
from smcs.bench.report.evidence import merge_results
from smcs.bench.report.summary import ArmSummary
from smcs.bench.results import ArmSpec, ResultFile, Row
from smcs.errors import ConfigError
from smcs.prior import pairwise_ranking_score

DRAWS = 200


def build(results: ResultFile, **keywords: Any) -> Report:
    return build_report([("r.jsonl.gz", results)], draws=DRAWS, **keywords)


@pytest.fixture(scope="module")
def results() -> ResultFile:
    return make_results(30)


@pytest.fixture(scope="module")
def report(results: ResultFile) -> Report:
    return build(results)


def arm_of(report: Report, name: str) -> ArmSummary:
    return next(arm for arm in report.summary.arms if arm.name == name)


def scores_by_question(results: ResultFile, arm: str, task: str) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for row in results.rows:
        if row.arm == arm and row.task == task and row.score is not None:
            scores.setdefault(row.question, []).append(row.score)
    return {question: sum(values) / len(values) for question, values in scores.items()}


def changed(results: ResultFile, change: Callable[[Row], Row | None], **header: Any) -> ResultFile:
    rows = tuple(new for row in results.rows if (new := change(row)) is not None)
    return replace(results, header=replace(results.header, **header), rows=rows)


def tiny(arms: dict[str, list[float | None]], **columns: Any) -> ResultFile:
    """One task; one score per question and arm, `None` for a failed answer."""
    header = make_header(tasks=("t",), seeds=(0,), arms=tuple(ArmSpec(name, name) for name in arms))
    rows = tuple(
        Row(f"q{number}", "t", name, 0, score=score, status="failed" if score is None else "ok", **columns)
        for name, scores in arms.items()
        for number, score in enumerate(scores)
    )
    return ResultFile(header, rows)


def test_accuracy_is_the_mean_over_tasks_of_means_over_questions(results: ResultFile, report: Report) -> None:
    for arm in report.summary.arms:
        means = []
        for task, cell in zip(TASKS, arm.cells, strict=True):
            scores = scores_by_question(results, arm.name, task)
            means.append(sum(scores.values()) / len(scores))
            assert cell.accuracy is not None
            assert cell.accuracy.value == pytest.approx(means[-1])
            assert cell.accuracy.n == len(scores)
        assert arm.mean.accuracy is not None
        assert arm.mean.accuracy.value == pytest.approx(sum(means) / len(means))
        assert arm.mean.accuracy.low <= arm.mean.accuracy.value <= arm.mean.accuracy.high


def test_arms_are_compared_on_common_questions(results: ResultFile, report: Report) -> None:
    paired = arm_of(report, "smcs").mean.against
    assert paired is not None
    differences, wins = [], 0
    for task in TASKS:
        ours, theirs = scores_by_question(results, "smcs", task), scores_by_question(results, "single", task)
        common = ours.keys() & theirs.keys()
        differences.append(sum(ours[q] - theirs[q] for q in common) / len(common))
        wins += sum(ours[q] > theirs[q] for q in common)
    assert paired.difference == pytest.approx(sum(differences) / 2)
    assert paired.wins == wins
    assert arm_of(report, "single").mean.against is None


def test_counts_add_up_and_nothing_missing_is_a_zero(results: ResultFile, report: Report) -> None:
    for arm in report.summary.arms:
        rows = [row for row in results.rows if row.arm == arm.name]
        counts = arm.mean.counts
        assert (counts.ok, counts.failed) == tuple(sum(row.status == s for row in rows) for s in ("ok", "failed"))
        assert counts.planned == 30 * 2 * 2
        total = [sum(row.score or 0 for row in rows if row.task == task) / 60 for task in TASKS]
        assert arm.mean.at_least == pytest.approx(sum(total) / 2)


def test_a_failed_answer_is_left_out_of_accuracy_and_said() -> None:
    report = build(tiny({"a": [1.0, None, 1.0, 0.0], "b": [1.0, 1.0, 0.0, 0.0]}))
    accuracy = arm_of(report, "a").mean.accuracy
    assert accuracy is not None
    assert accuracy.value == pytest.approx(2 / 3)
    assert arm_of(report, "a").mean.at_least == pytest.approx(0.5)
    common = arm_of(report, "b").common
    assert common is not None
    assert common.value == pytest.approx(1 / 3)
    assert any("1 failed: no answer" in caution and "(most: a, 1)" in caution for caution in report.cautions)
    assert any("all of them on 3 of 4" in caution for caution in report.cautions)


def test_a_clean_result_file_has_nothing_to_caution() -> None:
    assert build(make_results(5, holes=False)).cautions == ()


def test_rows_that_only_other_arms_have_are_counted() -> None:
    results = make_results(6, holes=False)
    cut = changed(results, lambda row: None if row.arm == "moa" and row.task == "mmlu_pro" else row)
    report = build(cut)
    moa = arm_of(report, "moa")
    assert moa.mean.counts.not_run == 12
    assert moa.mean.accuracy is None
    assert moa.cells[0].accuracy is not None
    assert any("12 were not run" in caution for caution in report.cautions)
    assert any("moa cannot be compared with single" in caution for caution in report.cautions)


def test_a_task_that_has_not_begun_is_said(results: ResultFile) -> None:
    report = build(changed(results, lambda row: row if row.task == "mmlu_pro" else None))
    assert report.tasks == ("mmlu_pro",)
    assert report.cautions[0] == "No question of arithmetic was answered yet: left out of every mean."


def test_doubtful_provenance_is_said() -> None:
    results = make_results(2, holes=False)
    later = replace(results.header, commit="f" * 40, dirty=True)
    said = " ".join(build(replace(results, resumed=(later,))).cautions)
    assert "changes that are in no commit" in said
    assert "2 sittings of different commits" in said
    assert "does not say by which commit" in " ".join(build(changed(results, lambda row: row, commit=None)).cautions)


def test_the_baseline_is_the_single_llm_unless_told() -> None:
    results = make_results(3)
    assert build(results).summary.baseline == "single"
    assert build(results, baseline="moa").summary.baseline == "moa"
    assert build(tiny({"a": [1.0], "b": [0.0]})).summary.baseline == "a"
    with pytest.raises(ConfigError, match=r"Unknown baseline 'mao'\. Did you mean 'moa'"):
        build(results, baseline="mao")


def test_without_common_questions_there_is_no_report() -> None:
    with pytest.raises(ConfigError, match="'a' has no graded question in common with any other arm"):
        build(tiny({"a": [1.0, None], "b": [None, 1.0]}))
    with pytest.raises(ConfigError, match="No answer is graded"):
        build(tiny({"a": [None], "b": [None]}))
    with pytest.raises(ConfigError, match="no question was answered yet"):
        build(ResultFile(make_header(), ()))


def test_adjusted_p_values_are_never_smaller(report: Report) -> None:
    for arm in report.summary.arms:
        if arm.mean.against is not None:
            assert arm.mean.adjusted_p is not None
            assert arm.mean.adjusted_p >= arm.mean.against.p_value


def test_one_unknown_price_makes_the_mean_unknown() -> None:
    results = tiny({"a": [1.0, 0.0], "b": [1.0, 1.0]}, cost_usd=0.5)
    first = results.rows[0]
    report = build(replace(results, rows=(replace(first, cost_usd=None), *results.rows[1:])))
    usage = arm_of(report, "a").mean.usage.cost_usd
    assert (usage.value, usage.known, usage.share) == (None, 0.5, 0.5)
    assert any("The cost of a is known for 50%" in caution for caution in report.cautions)


def test_the_budget_is_money_then_tokens_then_calls(report: Report) -> None:
    assert report.budget is not None
    assert report.budget.measure == "cost_usd"
    unpriced = build(make_results(4, priced=False)).budget
    assert unpriced is not None
    assert unpriced.measure == "tokens"
    free = build(tiny({"a": [1.0], "b": [0.0]}, calls=3, cost_usd=0.0)).budget
    assert free is not None
    assert free.measure == "calls"


def test_the_matched_arm_costs_no_more_and_is_no_worse(report: Report) -> None:
    assert report.budget is not None
    for point in report.budget.points:
        assert point.best_spent <= point.spent
        assert point.best_accuracy >= point.accuracy.value
        assert (point.best == point.arm) == (point.gain is None)
    on_front = [point for point in report.budget.points if point.arm in report.budget.front]
    assert all(point.best == point.arm for point in on_front)


def test_arms_that_differ_in_pool_size_are_a_series(report: Report) -> None:
    (series,) = report.scaling
    assert series.name == "smcs"
    assert [size for size, _ in series.points] == [3, 5, 7]
    full = arm_of(report, "smcs").mean.accuracy
    assert series.points[-1][1] == full


def test_a_list_of_llms_counts_as_its_length() -> None:
    arms = (ArmSpec("small", "moa", {"llms": ["x", "y"]}), ArmSpec("large", "moa"))
    results = tiny({"small": [1.0, 0.0], "large": [1.0, 1.0]})
    (series,) = build(replace(results, header=replace(results.header, arms=arms))).scaling
    assert [size for size, _ in series.points] == [2, len(LLMS)]


def test_ablations_stand_beside_the_full_arm(report: Report) -> None:
    (group,) = report.ablations
    assert [entry.without for entry in group.arms] == [
        (), ("rps",), ("similarity",), ("perplexity",), ("prior_drop",),
    ]  # fmt: skip
    assert group.full is group.arms[0]
    assert group.full.arm == "smcs"
    assert [name for name, _ in report.ablation_bars] == [
        f"without {part}" for part in ("rps", "similarity", "perplexity", "prior_drop")
    ]
    for entry in group.arms[1:]:
        assert entry.against_full is not None
        assert entry.against_full.difference == pytest.approx(
            entry.accuracy.value - group.arms[0].accuracy.value, abs=0.03
        )


def test_bars_of_several_full_arms_name_theirs() -> None:
    arms = [ArmSpec(f"{name}{tail}", "smcs", {"k": k, **without}) for name, k in (("small", 3), ("large", 7))
            for tail, without in (("", {}), (" bare", {"without": ["rps", "similarity"]}))]  # fmt: skip
    results = tiny({"small": [1.0, 0.0], "small bare": [0.0, 0.0], "large": [1.0, 1.0], "large bare": [1.0, 0.0]})
    found = build(replace(results, header=replace(results.header, arms=tuple(arms))))
    bars = {name: paired.difference for name, paired in found.ablation_bars}
    assert bars == {"without rps, similarity (small)": -0.5, "without rps, similarity (large)": -0.5}


def test_candidates_hold_what_the_rows_say(results: ResultFile, report: Report) -> None:
    quality = {entry.arm: entry for entry in report.candidates}
    assert "moa" not in quality
    assert "single" not in quality
    shares: dict[str, dict[str, list[bool]]] = {task: {} for task in TASKS}
    for row in results.rows:
        if row.arm == "smcs" and row.candidate_scores:
            shares[row.task].setdefault(row.question, []).append(any(row.candidate_scores))
    means = [np.mean([np.mean(seeds) for seeds in questions.values()]) for questions in shares.values()]
    assert quality["smcs"].one.value == pytest.approx(np.mean(means))
    assert quality["smcs"].multiple.value <= quality["smcs"].one.value


def test_support_sources_are_shares(report: Report) -> None:
    support = report.support
    assert support is not None
    assert support.level == "task"
    assert set(support.targets) == set(TASKS)
    assert support.sources == (*support.targets, "other")
    for row, target in zip(support.shares, support.targets, strict=True):
        assert sum(row) == pytest.approx(1)
        assert max(row) == row[support.sources.index(target)]


def test_with_one_task_sources_are_by_subject(results: ResultFile) -> None:
    support = build(changed(results, lambda row: row if row.task == "mmlu_pro" else None)).support
    assert support is not None
    assert support.level == "subject"
    assert set(support.targets) == {"law", "physics", "history"}


def test_many_sources_are_summed_up() -> None:
    support = {f"t/s{number:02}": 1 / 40 for number in range(40)}
    found = build(tiny({"a": [1.0], "b": [0.0]}, support=support, subject="s00")).support
    assert found is not None
    assert len(found.sources) == 21
    assert found.sources[-1] == "others"
    assert found.shares[0][-1] == pytest.approx(0.5)


def test_ranking_uses_the_references_of_all_arms(results: ResultFile, report: Report) -> None:
    graded: dict[tuple[str, int], dict[str, float | None]] = {}
    for row in results.rows:
        graded.setdefault((row.question, row.seed), {}).update(row.reference_scores)
    rows = [row for row in results.rows if row.arm == "rps"]
    priors = [[row.priors[llm] for llm in LLMS] for row in rows]
    correct = [[graded[row.question, row.seed].get(llm, math.nan) for llm in LLMS] for row in rows]
    (entry,) = report.ranking
    assert entry.name == f"rps +{len(entry.arms) - 1}"
    assert "smcs" in entry.arms
    assert entry.conflicts == 0
    expected = pairwise_ranking_score(np.array(priors, dtype=float), np.array(correct, dtype=float))
    assert entry.score.value == pytest.approx(expected)


def test_references_that_arms_did_not_share_are_said() -> None:
    results = tiny({"a": [1.0], "b": [1.0]}, priors={"x": 2.0, "y": 1.0})
    first, second = results.rows
    rows = (
        replace(first, reference_scores={"x": 1.0, "y": 0.0}),
        replace(second, reference_scores={"x": 0.0, "y": 1.0}),
    )
    report = build(replace(results, rows=rows))
    assert [entry.score.value for entry in report.ranking] == [1.0, 0.0]
    assert [entry.name for entry in report.ranking] == ["a", "b"]
    assert any("did not share references" in caution for caution in report.cautions)


def test_files_with_other_tasks_are_put_together() -> None:
    results = make_results(5)
    parts = []
    for task in TASKS:
        rows = tuple(row for row in results.rows if row.task == task)
        parts.append((task, ResultFile(replace(results.header, tasks=(task,)), rows)))
    together, whole = build_report(parts, draws=DRAWS), build(results)
    for arm in whole.summary.arms:
        ours = arm_of(together, arm.name).mean.accuracy
        assert arm.mean.accuracy is not None
        assert ours is not None
        assert ours.value == pytest.approx(arm.mean.accuracy.value)
    assert together.tasks == TASKS


def test_an_arm_that_only_shares_its_name_is_renamed() -> None:
    first, second = tiny({"a": [1.0, 0.0], "b": [0.0, 0.0]}), tiny({"a": [1.0, 1.0], "b": [0.0, 0.0]})
    arms = (ArmSpec("a", "a", {"k": 3}), ArmSpec("b", "b"))
    moved = changed(second, lambda row: row if row.arm == "a" else None, arms=arms, name="later")
    evidence = merge_results([("x", first), ("y", moved)])
    assert [arm.name for arm in evidence.arms] == ["a", "b", "a (later)"]
    with pytest.raises(ConfigError, match="both hold arm 'a' on question 'q0' under seed 0"):
        merge_results([("x", first), ("y", first)])


def test_a_question_cannot_be_in_two_tasks() -> None:
    results = tiny({"a": [1.0], "b": [1.0]})
    rows = (results.rows[0], replace(results.rows[1], task="u"))
    with pytest.raises(ConfigError, match="'q0' is in two tasks: 't' and 'u'"):
        build(ResultFile(replace(results.header, tasks=("t", "u")), rows))


def test_equal_files_give_an_equal_report(results: ResultFile, report: Report) -> None:
    assert build(results) == report

"""Tables of runs: the right arms in the right rows, missing rows left out, and a command for what is not there."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import typer

from helpers_reproduce import arms_from, cell, lifelike, line, ours, panel, results
from smcs.bench.arms import parse_arm, parse_sweep
from smcs.bench.paper import NAMES
from smcs.bench.reproduce import REPRODUCTIONS, Evidence, Panel, Reproduction, check_names, reproduce
from smcs.bench.results import ArmSpec, ResultFile
from smcs.cli.app import app
from smcs.errors import ConfigError
from smcs.strategies import STRATEGIES

SMCS = ArmSpec("smcs", "smcs")


@pytest.fixture(scope="module")
def made_up() -> Evidence:
    return lifelike()


def evidence(*files: ResultFile) -> Evidence:
    return Evidence(arms=arms_from(*files))


def all_commands(found: Reproduction) -> list[str]:
    return [part.strip() for missing in found.missing for part in missing.command.split("&&")]


def test_every_figure_of_the_paper_can_be_asked_for() -> None:
    assert tuple(REPRODUCTIONS) == NAMES
    assert check_names(["fig4", "table1", "fig4"]) == ("fig4", "table1")
    assert check_names(["all"]) == NAMES
    with pytest.raises(ConfigError, match="Did you mean 'table10'"):
        check_names(["table 10"])


@pytest.mark.parametrize("name", NAMES)
def test_without_evidence_each_names_the_missing_run_and_its_command(name: str) -> None:
    found = reproduce(name, Evidence())
    assert found.measured == 0
    assert found.missing
    for command in all_commands(found):
        check_command(command)


@pytest.mark.parametrize("name", NAMES)
def test_a_lifelike_result_file_goes_through_all(name: str, made_up: Evidence) -> None:
    found = reproduce(name, made_up)
    assert all(panel.lines for panel in found.panels)
    for panel_ in found.panels:
        for one in panel_.lines:
            assert one.cells, one
            for part in one.cells:
                if part.ours is not None and part.ours.low is not None and part.ours.high is not None:
                    assert part.ours.low - 1e-9 <= part.ours.value <= part.ours.high + 1e-9


@cache
def command_tree() -> object:
    return typer.main.get_command(app)


def check_command(command: str) -> None:
    """Check that the command line knows the command and its options, and its arms can be read."""
    words = shlex.split(command)
    assert words.pop(0) == "smcs"
    group: object = command_tree()
    while words and not words[0].startswith("-") and hasattr(group, "commands"):
        group = group.commands[words.pop(0)]
    known = {option for parameter in group.params for option in parameter.opts}  # type: ignore[attr-defined]
    options = {word for word in words if word.startswith("--")}
    assert options <= known, options - known
    for option, value in itertools.pairwise(words):
        if option == "--arm":
            parse_arm(value)
        elif option == "--sweep":
            parse_sweep(value)
        elif option == "--strategies":
            assert set(value.split(",")) <= set(STRATEGIES)


def test_accuracies_stand_in_the_papers_rows() -> None:
    arms = (SMCS, ArmSpec("moa", "moa"), ArmSpec("one", "single", {"llm": "a"}), ArmSpec("own", "prior_vote"))
    scores: dict[str, list[float | None]] = {
        "smcs": [1, 1, 1, None],
        "moa": [1, 0, 0, 0],
        "one": [0, 0, 0, 1],
        "own": [0, 0, 1, 1],
    }
    found = reproduce("table1", evidence(results(arms, scores)))
    accuracy = panel(found, "Accuracy")
    figure = ours(line(accuracy, "SMCS"), "mmlu_pro")
    assert (figure.value, figure.n, figure.left_out) == (100, 3, 1)
    assert (figure.low, figure.high) == (100, 100)
    assert cell(line(accuracy, "SMCS", ours=False), "mmlu_pro").paper == 82.02
    moa = ours(line(accuracy, "MoA"), "mmlu_pro")
    assert moa.value == 25
    assert {"a", "prior_vote", "own"} & {one.name for one in accuracy.lines} == {"a", "own"}
    missing = [missing.what for missing in found.missing]
    assert missing[0].startswith("symbolic_moe, self_moa, self_consistency, majority_vote, simple_router:")
    assert "AIME, MATH-500" in missing[1]
    assert "MMLU-PRO" not in missing[1]


def test_claimed_margins_are_paired_comparisons_of_one_file() -> None:
    arms = (SMCS, ArmSpec("moa", "moa"))
    scores: dict[str, list[float | None]] = {"smcs": [1, 1, 1, 0, None], "moa": [1, 0, 0, 1, 1]}
    other = results([ArmSpec("self_moa", "self_moa")], {"self_moa": [1, 1, 1, 1, 1]})
    found = reproduce("table1", evidence(results(arms, scores), other))
    claims = {claim.name: claim.ours for claim in found.claims if claim.ours is not None}
    assert set(claims) == {"SMCS over MoA"}  # Self-MoA is in another file
    margin = claims["SMCS over MoA"]
    assert (margin.value, margin.n, margin.left_out) == (25, 4, 1)
    assert margin.low is not None
    assert margin.low < 0


def test_single_llms_give_average_and_upper_bound() -> None:
    arms = [ArmSpec(name, "single", {"llm": name}) for name in "ab"]
    found = reproduce("table1", evidence(results(arms, {"a": [1, 1, 0, 0], "b": [1, 1, 1, None]})))
    accuracy = panel(found, "Accuracy")
    assert ours(line(accuracy, "Open-source average (2 LLMs)"), "mmlu_pro").value == 75
    assert ours(line(accuracy, "Open-source upper bound (2 LLMs)"), "mmlu_pro").value == 100


def test_a_mean_is_the_papers_only_over_the_papers_tasks() -> None:
    figure = panel(reproduce("table10", evidence()), "Accuracy")
    tasks = figure.columns[:4]
    arms = (SMCS, ArmSpec("bare", "smcs", {"without": ["rps", "similarity", "perplexity", "prior_drop"]}))
    files = [results(arms, {"smcs": [1, 0], "bare": [0, 0]}, task=task) for task in tasks]
    whole = results(arms, {"smcs": [1, 0], "bare": [0, 0]})
    merged = replace(
        whole, header=replace(whole.header, tasks=tasks), rows=tuple(row for file in files for row in file.rows)
    )
    accuracy = panel(reproduce("table10", evidence(merged)), "Accuracy")
    full = line(accuracy, "RPS + MPS + PPL + prior drop")
    assert ours(full, "mean").value == 50
    assert ours(line(accuracy, "none of them"), "mean").value == 0


def test_ablations_combine_and_other_settings_do_not_mix_in() -> None:
    arms = (
        SMCS,
        ArmSpec("no drop prior", "smcs", {"without": ["prior_drop"]}),
        ArmSpec("no rps", "smcs", {"without": ["rps"]}),
        ArmSpec("small", "smcs", {"k": 3}),
        ArmSpec("two", "smcs", {"llms": 2}),
    )
    scores = {arm.name: [1, 1, 0, 0] for arm in arms} | {"no rps": [0, 0, 0, 0]}
    found = reproduce("table10", evidence(results(arms, scores)))
    accuracy = panel(found, "Accuracy")
    assert [one.name for one in accuracy.lines if one.source] == [
        "RPS + MPS + PPL",
        "RPS + MPS + PPL + prior drop",
        "all but RPS",
    ]
    assert "4 of the 6 rows" in found.missing[0].what
    assert "without=rps+similarity+perplexity+prior_drop" in found.missing[0].command


def test_candidates_by_how_references_were_dropped() -> None:
    arms = (SMCS, ArmSpec("random", "smcs", {"without": ["prior_drop"]}), ArmSpec("none", "smcs", {"drop": 0}))
    file = results(arms, {arm.name: [1, 1, 1, 1] for arm in arms})
    shares: dict[str, Sequence[tuple[float | None, ...]]] = {
        "smcs": [(1, 1, 0), (1, 0, 0), (0, 0, 0), (1, None, 1)],
        "random": [(1, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, None)],
        "none": [(0, 0), (0, 0), (0, 0), (0, 0)],
    }
    rows = tuple(replace(row, candidate_scores=shares[row.arm][int(row.question[1:])]) for row in file.rows)
    found = reproduce("fig6", evidence(replace(file, rows=rows)))
    one, many = panel(found, "at least one"), panel(found, "more than one")

    def value(where: Panel, name: str) -> tuple[float, int, int]:
        figure = ours(line(where, name), "mmlu_pro")
        return round(figure.value, 2), figure.n, figure.left_out

    assert value(one, "prior drop") == (75, 4, 0)
    assert value(many, "prior drop") == (50, 4, 0)
    assert value(one, "random drop") == (33.33, 3, 1)  # the last rests on a candidate that is not graded
    assert value(one, "no drop") == (0, 4, 0)
    assert not found.missing


def test_cost_is_unknown_where_a_price_is() -> None:
    priced = results([SMCS], {"smcs": [1, 0]}, row={"cost_usd": 0.002, "calls": 15, "latency": 3.0})
    free = results([SMCS], {"smcs": [1, 0]}, row={"calls": 15})
    figures = panel(reproduce("table2", evidence(priced, free)), "Per question")
    known, unknown = figures.lines
    cost = ours(known, "USD per 1,000 questions")
    assert cost.value == pytest.approx(2)
    assert "USD per 1,000 questions" not in {part.column for part in unknown.cells}
    assert ours(unknown, "calls").value == 15


def test_seeds_give_mean_and_deviation() -> None:
    file = results([SMCS], {"smcs": [1, 0, 1, 1]}, seeds=(0, 1, 2))
    rows = tuple(replace(row, score=1.0) if row.seed == 2 else row for row in file.rows)
    found = reproduce("table9", evidence(replace(file, rows=rows)))
    figure = ours(line(panel(found, "deviation"), "SMCS (smcs)"), "mmlu_pro")
    assert figure.value == pytest.approx(250 / 3)
    assert figure.n == 3
    assert figure.deviation == pytest.approx(np.std([75, 75, 100], ddof=1))
    assert found.claims[0].ours is not None
    assert found.claims[0].ours.value == pytest.approx(figure.deviation)
    assert not found.missing


def test_a_sweep_is_the_arms_that_differ_in_one_setting() -> None:
    arms = (
        *(ArmSpec(f"k={k}", "smcs", {"k": k}) for k in (7, 1, 3)),
        ArmSpec("n=4", "smcs", {"n": 4}),
        ArmSpec("moe", "symbolic_moe"),
    )
    scores = {arm.name: [1, 1, 0, 0] for arm in arms}
    found = reproduce("table11", evidence(results(arms, scores)))
    curve = panel(found, "Ours on mmlu_pro")
    assert [one.name for one in curve.lines] == ["K = 1", "K = 3", "K = 7", "Symbolic-MoE*"]
    assert found.missing[0].what == "K = 5"
    assert "--sweep k=5" in found.missing[0].command
    assert [one.name for one in panel(reproduce("table12", evidence(results(arms, scores))), "Ours").lines] == [
        "n = 4",
        "n = 8",
        "Symbolic-MoE*",
    ]


def test_pools_aggregators_and_banks_are_told_apart() -> None:
    scores = {"smcs": [1, 1, 0, 0], "two": [1, 0, 0, 0], "alone": [1, 1, 1, 1], "random": [0, 0, 0, 0]}
    pools = results([SMCS, ArmSpec("two", "smcs", {"llms": ["a", "b"]})], scores)
    lines = panel(reproduce("fig4", evidence(pools)), "size of its pool").lines
    assert [one.name for one in lines] == ["2 LLMs", "3 LLMs"]

    alone = ArmSpec("alone", "single", {"llm": "c"})
    other = results([SMCS], scores, aggregators=("b",))
    merged = reproduce("fig7", evidence(results([SMCS, alone], scores), other))
    assert [one.name for one in panel(merged, "by aggregator").lines] == ["c merges", "b merges", "c alone"]
    assert not merged.missing

    small = results([SMCS], scores, bank={"name": "mmlu_pro.db", "questions": 5512})
    random = results([ArmSpec("random", "smcs", {"without": ["rps"]})], scores)
    banks = reproduce("table3", evidence(results([SMCS], scores), small, random))
    assert [one.name for one in panel(banks, "by bank").lines][1:] == [
        "bank: mmlu_pro.db (5,512 questions)",
        "random choice",
    ]
    assert not banks.missing


def test_long_answers_are_another_table() -> None:
    scores = {"smcs": [1, 1]}
    long = results([SMCS], scores, config={"sampling": {"max_tokens": 32768}})
    given = evidence(results([SMCS], {"smcs": [0, 0]}), long)
    for name, value in (("table1", 0), ("table6", 100)):
        lines = [one for one in panel(reproduce(name, given), "Accuracy").lines if one.source]
        assert [part.ours.value for one in lines for part in one.cells if part.ours] == [value]


def test_priors_of_runs_are_ranked_against_what_each_llm_answered() -> None:
    arms = [SMCS, *(ArmSpec(name, "single", {"llm": name}) for name in "abc")]
    file = results(arms, {"smcs": [1, 1], "a": [1, 0], "b": [0, 0], "c": [0, 1]})
    priors: dict[str, float | None] = {"a": 3.0, "b": 2.0, "c": 1.0}
    rows = tuple(
        replace(row, priors=priors) if row.arm == "smcs" else replace(row, answered_by=row.arm) for row in file.rows
    )
    found = reproduce("table4", evidence(replace(file, rows=rows)))
    figure = ours(line(panel(found, "ranking"), "SMCS (RPS)"), "mmlu_pro")
    # q0: a is right and above both; q1: c is right and below both.
    assert (figure.value, figure.n) == (50, 2)


def test_support_sources_of_runs_are_added_up_by_task() -> None:
    support = {"aime": 0.5, "math500/algebra": 0.2, "math500/geometry": 0.3}
    file = results([SMCS], {"smcs": [1, 1]}, task="math500", row={"support": support, "subject": "algebra"})
    lines = panel(reproduce("fig5", evidence(file)), "file0").lines
    assert {one.name: round(one.cells[0].ours.value, 6) for one in lines if one.cells[0].ours} == {
        "math500 <- aime": 50,
        "math500 <- math500 (its own)": 50,
    }
    alone = {"math500/algebra": 0.9, "math500/geometry": 0.1}
    file = results([SMCS], {"smcs": [1]}, task="math500", row={"support": alone, "subject": "algebra"})
    names = [one.name for one in panel(reproduce("fig5", evidence(file)), "file0").lines]
    assert names == ["algebra <- algebra (its own)", "algebra <- geometry"]


def test_the_command_line_reads_what_commands_say() -> None:
    with pytest.raises(KeyError):
        check_command("smcs bench walk --tasks a")
    with pytest.raises(AssertionError):
        check_command("smcs bench run --taks a")

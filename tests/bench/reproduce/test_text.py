"""Reproductions as text, and perplexities out of an answer store."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from helpers_reproduce import line, ours, panel
from smcs.bench.reproduce import (
    Cell,
    Claim,
    Evidence,
    Line,
    Measured,
    Panel,
    Reproduction,
    claim_grid,
    figure_text,
    grids,
    reproduce,
    to_markdown,
)
from smcs.bench.reproduce.report import Missing
from smcs.errors import ConfigError
from smcs.llms import AnswerStore
from smcs.types import Choice, Completion, Usage

OURS = Measured(81.234, 1196, low=79.0, high=83.5, left_out=4)
TABLE = Panel(
    "Accuracy",
    "%",
    ("mmlu_pro", "aime", "mean"),
    (
        Line("SMCS", (Cell("mmlu_pro", 82.02), Cell("mean", 76.78)), recomputed=76.779),
        Line("MoA", (Cell("mmlu_pro", 79.6),), about=True),
        Line("SMCS (small)", (Cell("mmlu_pro", ours=OURS),), source="file: arm <b>|`x`"),
    ),
)


def test_the_papers_table_stands_whole_before_ours() -> None:
    paper, own = grids(TABLE)
    assert paper.header == ("", "whose", "MMLU-PRO", "mean", "mean of the cells")
    assert paper.rows == (
        ("SMCS", "paper", "82.02", "76.78", "76.78"),
        ("MoA", "paper", "about 79.6", "", ""),
    )
    assert own.title == "Accuracy (%): ours"
    assert own.header == ("", "whose", "MMLU-PRO")
    assert own.rows == (
        ("SMCS", "paper", "82.02"),
        ("SMCS (small)", "ours [1]", "81.23 [79.0, 83.5] n=1,196 of 1,200"),
    )
    assert own.legend == ("[1] file: arm <b>|`x`",)


def test_with_the_same_columns_they_are_one_table() -> None:
    (whole,) = grids(replace(TABLE, columns=("mmlu_pro",), lines=(TABLE.lines[1], TABLE.lines[2])))
    assert [row[0] for row in whole.rows] == ["MoA", "SMCS (small)"]


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Measured(66.7224, 1196, low=64.05, high=69.31), "66.72 [64.0, 69.3] n=1,196"),
        (Measured(1.8, 3, low=1.25, high=2.5), "1.80 [1.25, 2.50] n=3"),
        (Measured(0.0421, 3, low=0.04, high=0.05), "0.0421 [0.0400, 0.0500] n=3"),
        (Measured(0.0, 3, low=0.0, high=0.0), "0.00 [0.00, 0.00] n=3"),
        (Measured(82.0, 3, deviation=0.55), "82.00 ± 0.55 n=3"),
        (Measured(-3.5, 4, low=-12.0, high=5.0), "-3.50 [-12.00, 5.00] n=4"),
    ],
)
def test_figures_have_the_places_that_mean_something(figure: Measured, text: str) -> None:
    assert figure_text(figure) == text


def test_claims_stand_beside_what_their_cells_say() -> None:
    claims = [
        Claim("margin", 2.04, "points", "v1", recomputed=0.56, note="wrong"),
        Claim("deviation", 0.6, "points", "v2", bound="below", ours=Measured(0.4, 3, deviation=0.1)),
    ]
    assert claim_grid(claims).rows == (
        ("margin (wrong)", "2.04 points", "0.56", "", "v1"),
        ("deviation", "below 0.6 points", "", "0.4000 ± 0.10 n=3", "v2"),
    )


def test_markdown_cannot_be_broken_by_a_file() -> None:
    found = Reproduction(
        "table1", "Main", "a source", (TABLE,), (), ("a note",), (Missing("more", "smcs bench run --tasks a"),)
    )
    text = to_markdown([found])
    assert "[1] file: arm &lt;b&gt;\\|'x'" in text
    assert "```sh\nsmcs bench run --tasks a\n```" in text
    assert "| SMCS | paper | 82.02 | 76.78 | 76.78 |" in text
    assert found.to_dict()["measured"] == 1


def recorded_store(path: Path) -> None:
    with AnswerStore(path) as store:
        for number, logprobs in enumerate([(-0.1, -0.3), (0.0,), (-1.0, -1.0), ()]):
            store.append(f"key{number}", "merger", Completion((Choice("x", logprobs=logprobs or None),), Usage()), 1.0)
        store.append("other", "quiet", Completion((Choice("y"),), Usage()), 1.0)


def test_perplexities_come_from_the_answers_that_have_log_probabilities(tmp_path: Path) -> None:
    recorded_store(tmp_path / "store.db")
    found = reproduce("table8", Evidence(store=tmp_path / "store.db"))
    (only,) = panel(found, "Perplexity").lines
    assert only.name == "merger"
    values = [math.exp(0.2), 1.0, math.e]

    merger = line(panel(found, "Perplexity"), "merger")
    assert ours(merger, "mean").n == 3
    assert ours(merger, "mean").value == pytest.approx(sum(values) / 3)
    assert ours(merger, "least").value == 1
    assert ours(merger, "largest").value == pytest.approx(math.e)
    assert ours(merger, "% in [1, 2]").value == pytest.approx(200 / 3)
    assert [claim.ours.value for claim in found.claims if claim.ours] == [1, pytest.approx(math.e)]
    assert not found.missing


def test_a_store_without_log_probabilities_names_the_run(tmp_path: Path) -> None:
    AnswerStore(tmp_path / "store.db").close()
    found = reproduce("table8", Evidence(store=tmp_path / "store.db"))
    assert found.missing[0].what == "no answer with log-probabilities is recorded"
    with pytest.raises(ConfigError, match="no answer store"):
        reproduce("table8", Evidence(store=tmp_path / "none.db"))

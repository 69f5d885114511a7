"""The paper's figures: complete, consistent with their own cells, and honest about those that are not."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from smcs.bench.paper import NAMES, load_figures, paper_figure, parse_figures, recomputed
from smcs.errors import ConfigError

RAW = (files("smcs.bench.paper") / "figures.json").read_bytes()


def changed(name: str, **changes: Any) -> bytes:
    data = json.loads(RAW)
    data["figures"][name].update(changes)
    return json.dumps(data).encode()


def test_every_table_and_figure_has_a_source() -> None:
    figures = load_figures()
    assert tuple(figures.figures) == NAMES
    assert figures.source("table10") == "arXiv 2507.14200v2, Table 10; v1: Table 2; numbers read from the text of v1"
    assert figures.source("fig7") == "arXiv 2507.14200v2, Figure 7; v1: Figure 6; numbers read from the text of v2"
    assert "not in v1" in figures.source("table11")


@pytest.mark.parametrize("name", ["table1", "table6"])
def test_cells_add_up_to_the_printed_means_but_for_the_known_ones(name: str) -> None:
    figure = paper_figure(name)
    off = {row.name for row in figure.rows if abs((row.recomputed_mean or 0) - (row.mean or 0)) > 0.0101}
    assert off == set(figure.wrong_means)
    assert (
        off
        == {
            "table1": {"Closed-source upper bound", "Simple Router"},
            "table6": {"Closed-source upper bound", "Open-source upper bound"},
        }[name]
    )


def test_the_wrong_means_recomputed() -> None:
    def mean(name: str, row: str) -> float:
        return round(paper_figure(name).row(row).recomputed_mean or 0, 2)

    assert mean("table1", "Closed-source upper bound") == 76.21
    assert mean("table6", "Open-source upper bound") == 78.89
    assert mean("table1", "Simple Router") == 68.12
    assert mean("table1", "SMCS") == 76.78


def test_averages_and_bounds_are_those_of_the_rows() -> None:
    figure = paper_figure("table1")
    for group, size in (("closed", 5), ("open", 15)):
        rows = [row.values for row in figure.rows if row.group == group]
        assert len(rows) == size
        columns = list(zip(*rows, strict=True))
        average = figure.row(f"{group.capitalize()}-source average").values
        assert average == pytest.approx([sum(c) / size for c in columns], abs=0.02)
        bound = figure.row(f"{group.capitalize()}-source upper bound").values
        above = [b for b, column in zip(bound, columns, strict=True) if b != max(column)]
        assert above == ([88.5] if group == "closed" else [])


def test_claims_are_checked_against_the_cells() -> None:
    off = {}
    for name in NAMES:
        figure = paper_figure(name)
        for statement in figure.stated:
            value = recomputed(figure, statement)
            if value is not None and abs(value - statement.value) > 0.05:
                off[statement.name, name] = round(value, 2)
    assert off == {
        ("SMCS over Claude-3.5-Sonnet", "table1"): 14.62,
        ("SMCS over the closed-source upper bound", "table1"): 0.56,
        ("SMCS over the open-source upper bound", "table6"): 2.12,
        ("SMCS over the closed-source upper bound", "table6"): 4.8,
        ("gain of PPL, MMLU-Pro", "table10"): 0.09,
    }


def test_names_of_benchmarks_are_ours_and_the_papers() -> None:
    figures = load_figures()
    assert figures.task_of("MMLU-PRO") == figures.task_of("mmlu_pro") == "mmlu_pro"
    assert figures.task_of("MATH") == "math500"
    assert figures.task_of("my own") == "my own"
    assert figures.label("gpqa") == "GPQA-Diamond"
    assert figures.label("seed/code") == "seed/code"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "cannot be read"),
        (json.dumps({**json.loads(RAW), "extra": 1}).encode(), "unknown field"),
        (json.dumps({**json.loads(RAW), "figures": {}}).encode(), "must be table1"),
        (changed("table1", wrong_means={}), "mean of 'Simple Router' is printed as 68.4 and recomputed as 68.12"),
        (changed("table1", wrong_means={"nobody": "x"}), "a mean of no row is called wrong"),
        (changed("table4", columns=["aime"]), "has 5 cells for 1 columns"),
        (changed("table4", rows=json.loads(RAW)["figures"]["table4"]["rows"] * 2), "is there twice"),
        (changed("table6", rows=[], wrong_means={}), "rests on an unknown row"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_figures(raw)


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'table1"):
        paper_figure("tabel1")
    with pytest.raises(ConfigError, match="no row 'SMACS'"):
        paper_figure("table1").row("SMACS")

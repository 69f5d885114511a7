"""Table 10 and figure 6: what each component adds, and whether dropping by the prior makes better candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bench.paper import PaperRow, paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import ArmRows, values_per_question, varying
from smcs.bench.reproduce.evidence import Evidence, bench_run, fits, missing_run, plain_tasks
from smcs.bench.reproduce.report import Line, Panel, Reproduction, assemble, paper_lines
from smcs.bench.results import Row
from smcs.bench.statistics import multiple_correct, one_correct

__all__ = ("candidates", "components")

_PARTS = {"rps": "RPS", "similarity": "MPS", "perplexity": "PPL", "prior_drop": "prior drop"}


def components(evidence: Evidence) -> Reproduction:
    """Table 10: SMCS with components left out."""
    figure = paper_figure("table10")
    arms = [arm for same in varying(evidence.of("smcs"), "without") for arm in same]
    lines = list(paper_lines(figure))
    for row in figure.rows:
        lines += [_accuracy(arm, row.name, figure.columns) for arm in arms if fits(arm, row)]
    printed = {frozenset(row.settings["without"]) for row in figure.rows}
    for arm in arms:
        if arm.without not in printed and arm.without <= set(_PARTS):
            left_out = " and ".join(_PARTS[part] for part in sorted(arm.without))
            lines.append(_accuracy(arm, f"all but {left_out}", figure.columns))
    lines = [line for line in lines if line.cells]
    columns = tuple(dict.fromkeys([*figure.columns, *(cell.column for line in lines for cell in line.cells)]))
    missing = []
    if left := [row.settings for row in figure.rows if not any(fits(arm, row) for arm in arms)]:
        command = bench_run(evidence, "table10", tasks=plain_tasks(figure), arms=left)
        missing.append(missing_run(f"{len(left)} of the 6 rows of the ablation", command))
    notes = ["Leaving out both similarity and perplexity leaves no score: the first candidate is taken."]
    return assemble("table10", [Panel("Accuracy", "%", columns, tuple(lines))], missing=missing, notes=notes)


def candidates(evidence: Evidence) -> Reproduction:
    """Figure 6: share of questions with at least one (OCA), and with more than one (MCA), correct candidate."""
    figure = paper_figure("fig6")
    panels: dict[str, list[Line]] = {"OCA": [], "MCA": []}
    left: list[Mapping[str, Any]] = []
    for row in figure.rows:
        found = [arm for arm in evidence.of("smcs") if _drops_as(arm, row)]
        for arm in found:
            panels["OCA"].append(_share(arm, row.name, one_correct))
            panels["MCA"].append(_share(arm, row.name, multiple_correct))
        if not any(any(line.name == row.name and line.cells for line in lines) for lines in panels.values()):
            left.append(row.settings)
    missing = []
    if left:
        tasks = plain_tasks(paper_figure("table10"))
        command = bench_run(evidence, "fig6", tasks=tasks, arms=left)
        names = ", ".join(row.name for row in figure.rows if row.settings in left)
        missing.append(missing_run(f"candidates of {names}", command))
    titles = {"OCA": "Questions with at least one correct candidate", "MCA": "Questions with more than one"}
    return assemble("fig6", [_panel(titles[name], lines) for name, lines in panels.items()], missing=missing)


def _drops_as(arm: ArmRows, row: PaperRow) -> bool:
    """Return whether an arm's candidates are made in a row's way; terms of the score do not change them."""
    if "rps" in arm.without or arm.llms < len(arm.header.llms):
        return False
    if arm.settings.get("drop") == 0:
        return row.settings.get("drop") == 0
    return row.settings.get("drop") is None and ("prior_drop" in arm.without) == bool(row.settings["without"])


def _share(arm: ArmRows, name: str, share: Any) -> Line:
    def value(row: Row) -> float | None:
        return float(share([row.candidate_scores])[0]) if row.candidate_scores else None

    groups: dict[str, NDArray[np.float64]] = {
        task: values_per_question(rows, value)
        for task, rows in arm.by_task.items()
        if any(row.candidate_scores for row in rows)
    }
    return Line(name, measure.group_cells(tuple(groups), list(groups.values())), group="ours", source=arm.source)


def _accuracy(arm: ArmRows, name: str, paper: Sequence[str]) -> Line:
    tasks = tuple(arm.by_task)
    cells = measure.group_cells(tasks, [arm.scores(task) for task in tasks], paper=paper)
    return Line(name, cells, group="ours", source=arm.source)


def _panel(title: str, lines: Sequence[Line]) -> Panel:
    kept = tuple(line for line in lines if line.cells)
    return Panel(title, "%", tuple(dict.fromkeys(cell.column for line in kept for cell in line.cells)), kept)

"""Figure 5: which datasets the support questions come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from smcs.bench.paper import load_figures, paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import ArmRows
from smcs.bench.reproduce.evidence import Evidence
from smcs.bench.reproduce.outcomes import OutcomeTable
from smcs.bench.reproduce.report import Cell, Line, Missing, Panel, Reproduction, assemble, paper_lines

__all__ = ("support_sources",)

_SHOWN = 3
"""Sources named for each dataset."""


def support_sources(evidence: Evidence) -> Reproduction:
    """Shares of the support set's similarity by source, from runs or from the embeddings of a bank."""
    figure = paper_figure("fig5")
    panels = [Panel("In the paper", "%", figure.columns, paper_lines(figure))]
    panels += [_panel(table.source, _of_table(table)) for table in evidence.tables]
    seen: set[tuple[str, str]] = set()
    for arm in evidence.arms:
        key = (arm.file, str(arm.settings.get("support_base")))
        if key not in seen and any(row.support for row in arm.rows):
            seen.add(key)
            panels.append(_panel(arm.source, _of_arm(arm)))
    missing = []
    if len(panels) == 1:
        missing.append(Missing("a bank, or a run with RPS", "smcs reproduce fig5 --bank seed"))
    return assemble("fig5", panels, missing=missing)


def _of_table(table: OutcomeTable) -> dict[str, dict[str, NDArray[np.float64]]]:
    routing = table.routing
    groups = table.groups[routing.rows]
    return {
        name: {source: routing.sources[groups == name, column] for column, source in enumerate(table.group_names)}
        for name in table.group_names
        if (groups == name).any()
    }


def _of_arm(arm: ArmRows) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Shares by task; by subject where the bank has one task alone."""
    rows = [row for row in arm.rows if row.support and row.seed == arm.header.seeds[0]]
    known = {*arm.header.tasks, *load_figures().tasks}
    one_task = len({_task_of(source, known) for row in rows for source in row.support}) == 1
    shares: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        own = row.subject if one_task and row.subject else row.task
        merged: dict[str, float] = defaultdict(float)
        for source, share in row.support.items():
            task = _task_of(source, known)
            merged[source.removeprefix(f"{task}/") if one_task else task] += share
        shares[own].append(merged)
    sources = sorted({source for found in shares.values() for one in found for source in one})
    return {
        own: {source: np.array([one.get(source, 0.0) for one in found]) for source in sources}
        for own, found in sorted(shares.items())
    }


def _task_of(source: str, tasks: Collection[str]) -> str:
    """Return the task of a "task" or "task/subject" label; a task's own name may hold a slash."""
    fitting = [task for task in tasks if source == task or source.startswith(f"{task}/")]
    return max(fitting, key=len) if fitting else source.rpartition("/")[0] or source


def _panel(source_name: str, shares: dict[str, dict[str, NDArray[np.float64]]]) -> Panel:
    lines = []
    for own, by_source in shares.items():
        ranked = sorted(by_source, key=lambda source: -float(by_source[source].mean()))
        shown = [source for source in ranked if source == own or source in ranked[:_SHOWN]]
        for source in shown:
            cell = Cell("share", ours=measure.mean(by_source[source]))
            name = f"{own} <- {source}" + (" (its own)" if source == own else "")
            lines.append(Line(name, (cell,), group="ours", source=source_name))
        rest = sum((by_source[source] for source in ranked if source not in shown), start=np.zeros(1))
        if len(shown) < len(ranked):
            lines.append(
                Line(f"{own} <- others", (Cell("share", ours=measure.mean(rest)),), group="ours", source=source_name)
            )
    return Panel(f"Share of the support set's similarity: {source_name}", "%", ("share",), tuple(lines))

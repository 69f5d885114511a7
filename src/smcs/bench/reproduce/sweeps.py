"""Tables 11 to 13: accuracy against cost as K, n or N_sup_base changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from smcs.bench.paper import PaperFigure, paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import ArmRows, values_per_question, varying
from smcs.bench.reproduce.evidence import Evidence, bench_run, missing_run
from smcs.bench.reproduce.report import Cell, Line, Panel, Reproduction, assemble, paper_lines

__all__ = ("sweep",)

_SWEEPS = {
    "table11": ("k", "K", (1, 3, 5, 7)),
    "table12": ("n", "n", (1, 2, 4, 8, 16, 32, 64)),
    "table13": ("support_base", "N_sup_base", (50, 100, 200, 400, 800)),
}
_BASELINES = ("symbolic_moe", "self_moa")


def sweep(name: str) -> Callable[[Evidence], Reproduction]:
    """Return what reproduces one of the three tables."""

    def reproduce(evidence: Evidence) -> Reproduction:
        figure = paper_figure(name)
        key, label, points = _SWEEPS[name]
        task = figure.task or ""
        curve = tuple(arm for same in varying(evidence.of("smcs"), key) for arm in same)
        panels = [Panel("In the paper (MMLU-Pro)", "accuracy in %, cost in $", figure.columns, paper_lines(figure))]
        panels += _panels(curve, key, label, evidence, figure)
        missing = []
        there = {arm.settings.get(key) for arm in curve}
        if left := [point for point in points if point not in there]:
            options = f"--sweep {key}={','.join(map(str, left))}"
            command = bench_run(evidence, name, tasks=[task], strategies=["smcs"], options=options)
            missing.append(missing_run(f"{label} = {', '.join(map(str, left))}", command))
        return assemble(name, panels, missing=missing)

    return reproduce


def _panels(curve: Sequence[ArmRows], key: str, label: str, evidence: Evidence, figure: PaperFigure) -> list[Panel]:
    names = {row.strategy: row.name for row in figure.rows if row.group == "method"}
    lines: dict[str, list[Line]] = defaultdict(list)
    for arm in (*curve, *evidence.of(*_BASELINES)):
        swept = arm.spec.strategy == "smcs"
        name = f"{label} = {arm.settings.get(key)}" if swept else names[arm.spec.strategy]
        for task in arm.by_task:
            cells = _cells(arm, task)
            if cells:
                lines[task].append(Line(name, cells, group="ours" if swept else "method", source=arm.source))
    return [
        Panel(f"Ours on {task}", "accuracy in %, cost in USD per 1,000 questions", figure.columns, tuple(found))
        for task, found in lines.items()
    ]


def _cells(arm: ArmRows, task: str) -> tuple[Cell, ...]:
    found = {
        "accuracy": measure.mean(arm.scores(task)),
        "cost": measure.mean(values_per_question(arm.by_task[task], lambda row: row.cost_usd), scale=1000.0),
        "calls": measure.mean(values_per_question(arm.by_task[task], lambda row: row.calls), scale=1.0),
    }
    return tuple(Cell(column, ours=value) for column, value in found.items() if value is not None)

"""Figure 4: accuracy as LLMs are added to the pool."""

from __future__ import annotations

import numpy as np

from smcs.bench.paper import paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import varying
from smcs.bench.reproduce.evidence import Evidence, bench_run, missing_run
from smcs.bench.reproduce.outcomes import OutcomeTable
from smcs.bench.reproduce.report import Cell, Line, Panel, Reproduction, assemble, paper_lines

__all__ = ("number_of_llms",)

_ORDERS = 10
_POINTS = 9
_TASKS = ("mmlu_pro", "medmcqa", "math500", "mbpp")


def number_of_llms(evidence: Evidence) -> Reproduction:
    """Nested pools in several random orders for recorded answers; arms with smaller pools for runs."""
    figure = paper_figure("fig4")
    panels = [Panel("SMCS in the paper", "%", figure.columns, paper_lines(figure)), _panel_of_runs(evidence)]
    panels += [_panel_of(table) for table in evidence.tables]
    missing = []
    if not panels[1].lines:
        arms = [{"llms": count} for count in (5, 10, 15)]
        command = bench_run(evidence, "fig4", tasks=_TASKS, arms=arms)
        missing.append(missing_run("full SMCS over pools of several sizes", command))
    return assemble("fig4", panels, missing=missing)


def _panel_of_runs(evidence: Evidence) -> Panel:
    arms = [arm for arm in evidence.of("smcs") if not arm.without]
    arms = [arm for same in varying(arms, "llms") for arm in same]
    lines = []
    for arm in sorted(arms, key=lambda arm: (arm.llms, arm.source)):
        cells = measure.group_cells(tuple(arm.by_task), [arm.scores(task) for task in arm.by_task])
        lines.append(Line(_name(arm.llms), cells, group="ours", source=arm.source))
    columns = tuple(dict.fromkeys(cell.column for line in lines for cell in line.cells))
    return Panel("SMCS by the size of its pool", "%", columns, tuple(lines))


def _panel_of(table: OutcomeTable) -> Panel:
    """Add LLMs in random orders; the same orders at every call."""
    rng = np.random.default_rng(4)
    pool = len(table.llms)
    sizes = sorted(set(np.linspace(1, pool, min(pool, _POINTS)).round().astype(int).tolist()))
    orders = [rng.permutation(pool) for _ in range(_ORDERS)]
    routing = table.routing
    columns = ("best prior alone", "weighted vote of the 7 best", "oracle")
    lines = []
    for size in sizes:
        found: dict[str, list[float]] = {column: [] for column in columns}
        for order in orders:
            chosen = np.sort(order[:size])
            priors, scores = routing.priors[:, chosen], table.scores[np.ix_(routing.rows, chosen)]
            top = np.nan_to_num(priors, nan=-np.inf).argmax(axis=1)
            found[columns[0]].append(100 * float(np.nanmean(scores[np.arange(len(scores)), top])))
            if table.answers is not None:
                vote = table.vote(routing.rows, routing.priors, llms=chosen.tolist())
                found[columns[1]].append(100 * float(np.nanmean(vote)))
            found[columns[2]].append(100 * float(np.nan_to_num(scores, nan=0.0).max(axis=1).mean()))
        cells = [Cell(column, ours=measure.spread(values)) for column, values in found.items() if values]
        lines.append(Line(_name(size), tuple(cells), group="ours", source=table.source))
    title = f"{len(routing.rows):,} questions, mean and deviation over {_ORDERS} random orders (n counts orders)"
    return Panel(title, "%", columns, tuple(lines), notes=table.notes)


def _name(size: int) -> str:
    return f"{size} LLM{'s' * (size > 1)}"

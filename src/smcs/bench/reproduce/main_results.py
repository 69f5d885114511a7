"""Tables 1, 2, 6 and 7: what the methods get right, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smcs.bench.paper import PaperFigure, load_figures, paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import ArmRows, values_per_question
from smcs.bench.reproduce.evidence import LONG_TOKENS, Evidence, bench_run, missing_run, plain_tasks
from smcs.bench.reproduce.margins import margins, pool_lines
from smcs.bench.reproduce.outcomes import OutcomeTable
from smcs.bench.reproduce.report import Cell, Line, Measured, Missing, Panel, Reproduction, assemble, paper_lines
from smcs.bench.results import Row

__all__ = ("accuracy_lines", "cost_and_latency", "long_results", "more_ood", "short_results")

_METHODS = ("smcs", "symbolic_moe", "moa", "self_moa", "self_consistency", "majority_vote", "simple_router")
_Floats = NDArray[np.float64]


def short_results(evidence: Evidence) -> Reproduction:
    """Table 1: accuracy of every method, up to 8,192 output tokens."""
    return _main_results(evidence, "table1", long=False)


def long_results(evidence: Evidence) -> Reproduction:
    """Table 6: the same with up to 32,768 output tokens."""
    return _main_results(evidence, "table6", long=True)


def more_ood(evidence: Evidence) -> Reproduction:
    """Table 7: three tasks that the bank has no question of."""
    figure = paper_figure("table7")
    tasks = plain_tasks(figure)
    arms = [arm for arm in evidence.arms if arm.whole_method and set(arm.by_task) & set(tasks)]
    lines = accuracy_lines(arms, figure, tasks=tasks)
    done = {arm.spec.strategy for arm in arms}
    missing: list[Missing] = []
    if left := [name for name in ("smcs", "moa", "symbolic_moe", "single") if name not in done]:
        command = bench_run(evidence, "table7", tasks=tasks, strategies=left)
        missing.append(missing_run(f"{', '.join(left)} on the out-of-distribution tasks", command))
    return assemble("table7", [Panel("Accuracy on tasks outside the bank", "%", tasks, lines)], missing=missing)


def cost_and_latency(evidence: Evidence) -> Reproduction:
    """Table 2: what a question costs, and how long it takes if the calls of a stage run at once."""
    columns = ("accuracy, %", "USD per 1,000 questions", "latency, s", "calls", "tokens written")
    lines = tuple(_cost_line(arm) for arm in evidence.of(long=False) if arm.whole_method)
    done = {arm.spec.strategy for arm in evidence.arms}
    tasks = plain_tasks(paper_figure("table1"))
    missing = []
    if left := [name for name in ("smcs", "symbolic_moe", "moa", "self_moa", "self_consistency") if name not in done]:
        command = bench_run(evidence, "table1", tasks=tasks, strategies=left)
        missing.append(missing_run(f"cost and time of {', '.join(left)}", command))
    notes = (
        "A mean over questions. The price of an LLM without a price is unknown, never $0: such rows have no cost.",
    ) * bool(lines)
    return assemble("table2", [Panel("Per question", "", columns, lines)], missing=missing, notes=notes)


def accuracy_lines(arms: Sequence[ArmRows], figure: PaperFigure, *, tasks: Sequence[str] = ()) -> tuple[Line, ...]:
    """Return a line of accuracies per arm, under the name of the paper's row that it is.

    Args:
        arms: Whose.
        figure: The paper's table.
        tasks: Only these; all when empty.
    """
    lines = []
    for arm in arms:
        columns = [task for task in arm.by_task if not tasks or task in tasks]
        cells = measure.group_cells(columns, [arm.scores(task) for task in columns], paper=figure.columns)
        if cells:
            lines.append(Line(_row_name(arm, figure), cells, group=_group(arm.spec.strategy), source=arm.source))
    return tuple(lines)


def _main_results(evidence: Evidence, name: str, *, long: bool) -> Reproduction:
    figure = paper_figure(name)
    arms = [arm for arm in evidence.of(long=long) if arm.whole_method]
    lines = [*paper_lines(figure), *accuracy_lines(arms, figure), *pool_lines(arms)]
    tables = [table for table in evidence.tables if ((table.output_tokens or 0) >= LONG_TOKENS) == long]
    for table in tables:
        lines += _table_lines(table, figure)
    columns = tuple(dict.fromkeys([*figure.columns, "mean", *(cell.column for line in lines for cell in line.cells)]))
    missing = _missing_methods(evidence, arms, figure, name, long=long)
    unit_notes = () if not tables else ("LLMs, votes and routers above come from outcomes that were recorded once.",)
    return assemble(
        name,
        [Panel("Accuracy", "%", columns, tuple(lines))],
        missing=missing,
        notes=unit_notes,
        claims=margins(arms, figure),
    )


def _missing_methods(
    evidence: Evidence, arms: Sequence[ArmRows], figure: PaperFigure, name: str, *, long: bool
) -> list[Missing]:
    """Name the methods without a row, and for those that have some the paper's tasks that they lack."""
    options = f"--max-tokens {LONG_TOKENS}" if long else ""
    wanted = ("smcs", "single") if long else (*_METHODS, "single")
    covered = {
        method: {task for arm in arms if arm.spec.strategy == method for task in arm.by_task} for method in wanted
    }
    missing = []
    if none := [method for method in wanted if not covered[method]]:
        command = bench_run(evidence, name, tasks=figure.columns, strategies=none, options=options)
        missing.append(missing_run(f"{', '.join(none)}: no result file holds them", command))
    some = [method for method in wanted if covered[method]]
    tasks = [task for task in figure.columns if any(task not in covered[method] for method in some)]
    if some and tasks:
        labels = ", ".join(load_figures().label(task) for task in tasks)
        command = bench_run(evidence, name, tasks=tasks, strategies=some, options=options)
        missing.append(missing_run(f"{', '.join(some)} on {labels}", command))
    return missing


def _row_name(arm: ArmRows, figure: PaperFigure) -> str:
    if arm.spec.strategy == "single":
        return str(arm.settings.get("llm") or "best single LLM on the bank")
    for row in figure.rows:
        if row.strategy == arm.spec.strategy and not row.settings:
            own = {key: value for key, value in arm.spec.settings.items() if value not in ([], ())}
            return f"{row.name} ({arm.spec.name})" if own else row.name
    return arm.spec.name


def _group(strategy: str) -> str:
    return {"single": "open", "smcs": "ours", "smcs_guarded": "ours"}.get(strategy, "method")


def _table_lines(table: OutcomeTable, figure: PaperFigure) -> list[Line]:
    """Return what the outcomes of single LLMs say without another call."""
    routing = table.routing
    tasks = tuple(dict.fromkeys(table.tasks[routing.rows].tolist()))
    inside = [table.tasks[routing.rows] == task for task in tasks]

    def line(name: str, grades: _Floats, group: str) -> Line:
        cells = measure.group_cells(tasks, [grades[rows] for rows in inside], paper=figure.columns)
        return Line(name, cells, group=group, source=table.source)

    scores = table.scores[routing.rows]
    lines = [line(llm, scores[:, column], "open") for column, llm in enumerate(table.llms)]
    lines.append(line("Open-source average", _row_mean(scores), "summary"))
    best = [np.nanmax(np.nanmean(scores[rows], axis=0)) for rows in inside]
    upper = [
        Cell(task, ours=Measured(100 * float(value), int(rows.sum())))
        for task, value, rows in zip(tasks, best, inside, strict=True)
    ]
    lines.append(
        Line("Open-source upper bound", tuple(upper), group="summary", source=table.source, remark="no interval")
    )
    lines.append(line("Simple Router", _simple_router(table), "method"))
    lines.append(line("RPS, best prior alone", table.top(routing.priors, routing.rows), "ours"))
    if table.answers is not None:
        lines.append(line("Majority Voting", table.vote(routing.rows, None), "method"))
        weighted = table.vote(routing.rows, routing.priors)
        lines.append(line("RPS, prior-weighted vote of the 7 best", weighted, "ours"))
    return lines


def _simple_router(table: OutcomeTable) -> _Floats:
    """Return the grade of the LLM that is best on the question's task (or subject) in its bank, (Q,)."""
    rows = table.routing.rows
    grades = np.full(len(rows), np.nan)
    for fold in np.unique(table.folds[rows]):
        bank = table.folds != fold
        for name in table.group_names:
            asked = (table.folds[rows] == fold) & (table.groups[rows] == name)
            known = bank & (table.groups == name)
            if asked.any():
                mean = np.nanmean(table.scores[known if known.any() else bank], axis=0)
                grades[asked] = table.scores[rows[asked], np.nan_to_num(mean, nan=-1.0).argmax()]
    return grades


def _row_mean(scores: _Floats) -> _Floats:
    known = ~np.isnan(scores)
    total, count = np.where(known, scores, 0.0).sum(axis=1), known.sum(axis=1)
    mean: _Floats = np.divide(total, count, out=np.full(len(scores), np.nan), where=count > 0)
    return mean


def _cost_line(arm: ArmRows) -> Line:
    def total(rows: Sequence[Row], name: str, scale: float = 1.0) -> Measured | None:
        def value(row: Row) -> float | None:
            found: float | None = getattr(row, name) if row.status in ("ok", "ungraded") else None
            return found

        return measure.mean(values_per_question(rows, value), scale=scale)

    figures = {
        "accuracy, %": measure.mean(values_per_question(arm.rows, lambda row: row.score)),
        "USD per 1,000 questions": total(arm.rows, "cost_usd", 1000.0),
        "latency, s": total(arm.rows, "latency"),
        "calls": total(arm.rows, "calls"),
        "tokens written": total(arm.rows, "completion_tokens"),
    }
    cells = tuple(Cell(column, ours=value) for column, value in figures.items() if value is not None)
    return Line(arm.spec.name, cells, group=_group(arm.spec.strategy), source=arm.source)

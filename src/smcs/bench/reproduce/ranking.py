"""Table 4: how well a prior, known before any answer, ranks right LLMs above wrong ones."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from smcs.bench.paper import paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import ArmRows
from smcs.bench.reproduce.evidence import Evidence, bench_run, missing_run, plain_tasks
from smcs.bench.reproduce.outcomes import OutcomeTable
from smcs.bench.reproduce.report import Cell, Line, Panel, Reproduction, assemble, paper_lines
from smcs.prior.models import PRIORS

__all__ = ("ranking_scores",)

_Floats = NDArray[np.float64]
_NAMES = {"rps": "SMCS (RPS)", "symbolic_moe": "Symbolic-MoE"}


def ranking_scores(evidence: Evidence) -> Reproduction:
    """Every prior there is, per task: from outcomes, and from the priors that runs recorded."""
    figure = paper_figure("table4")
    lines = list(paper_lines(figure))
    for table in evidence.tables:
        lines += _of_table(table)
    grades = _single_grades(evidence)
    seen: set[tuple[str, str]] = set()
    for arm in evidence.arms:
        key = (arm.file, _prior_of(arm))
        line = None if key in seen or "rps" in arm.without else _of_arm(arm, grades)
        if line is not None:
            seen.add(key)
            lines.append(line)
    columns = tuple(dict.fromkeys([*figure.columns, *(cell.column for line in lines for cell in line.cells)]))
    missing = []
    if not any(prior == "symbolic_moe" for _, prior in seen):
        tasks = plain_tasks(figure)
        command = bench_run(evidence, "table4", tasks=tasks, strategies=["smcs", "symbolic_moe", "single"])
        missing.append(missing_run("Symbolic-MoE with skills that an LLM infers per question", command))
    notes = [
        "Eq. 8: pairs are pooled over questions, and equal priors count as a pair in the wrong order.",
        "`Per subject` is what Symbolic-MoE's profiles come to where a question's subject is the skill it needs.",
        "n counts questions with at least one right and one wrong LLM; missing outcomes are left out.",
    ]
    return assemble(
        "table4", [Panel("Pairwise ranking score", "%", columns, tuple(lines))], missing=missing, notes=notes
    )


def _of_table(table: OutcomeTable) -> list[Line]:
    routing = table.routing
    priors = {"rps": routing.priors, **_others(table)}
    tasks = table.tasks[routing.rows]
    lines = []
    for name, values in priors.items():
        cells = []
        for task in dict.fromkeys(tasks.tolist()):
            inside = tasks == task
            score = measure.ranking(values[inside], table.correct[routing.rows[inside]])
            if score is not None:
                cells.append(Cell(task, ours=score))
        group = "ours" if name == "rps" else "method"
        lines.append(Line(_NAMES.get(name, name), tuple(cells), group=group, source=table.source))
    return lines


def _others(table: OutcomeTable) -> dict[str, _Floats]:
    """Return (Q, R) of every other prior that smcs has, fitted on the bank of each fold."""
    rows = table.routing.rows
    found: dict[str, _Floats] = {}
    for name, spec in PRIORS.items():
        if name == "rps":
            continue
        values = np.full((len(rows), len(table.llms)), np.nan)
        for fold in np.unique(table.folds[rows]):
            asked, bank = table.folds[rows] == fold, table.folds != fold
            fitted = spec.model().fit(table.vectors[bank], table.scores[bank], table.labels[bank], _at(table, bank))
            some = rows[asked]
            values[asked] = fitted.predict(table.vectors[some], table.labels[some], _at(table, some))
        found[spec.title] = values
    return found


def _at(table: OutcomeTable, rows: NDArray[np.bool_] | NDArray[np.intp]) -> _Floats | None:
    return None if table.features is None else table.features[rows]


def _single_grades(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Return question -> LLM -> verdict of its own answer, from all arms that asked it."""
    grades: dict[str, dict[str, float]] = defaultdict(dict)
    for arm in evidence.arms:
        for row in arm.rows:
            for name, score in row.reference_scores.items():
                if score is not None:
                    grades[row.question].setdefault(name, float(score >= 0.5))
            if arm.spec.strategy == "single" and row.answered_by and row.score is not None:
                grades[row.question].setdefault(row.answered_by, float(row.score >= 0.5))
    return grades


def _prior_of(arm: ArmRows) -> str:
    """Return the name of the prior that an arm's strategy works with."""
    return "symbolic_moe" if arm.spec.strategy == "symbolic_moe" else str(arm.settings.get("prior", "rps"))


def _of_arm(arm: ArmRows, grades: dict[str, dict[str, float]]) -> Line | None:
    cells = []
    for task, rows in arm.by_task.items():
        kept = [row for row in rows if row.priors]
        llms = sorted({llm for row in kept for llm in row.priors})
        if len(llms) < 2:
            continue
        priors = np.array([[_number(row.priors.get(llm)) for llm in llms] for row in kept])
        correct = np.array([[_number(grades[row.question].get(llm)) for llm in llms] for row in kept])
        score = measure.ranking(priors, correct, questions=[row.question for row in kept])
        if score is not None:
            cells.append(Cell(task, ours=score))
    if not cells:
        return None
    prior = _prior_of(arm)
    group = "ours" if prior == "rps" else "method"
    return Line(
        _NAMES.get(prior, prior), tuple(cells), group=group, source=arm.source, remark="among the LLMs that were asked"
    )


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)

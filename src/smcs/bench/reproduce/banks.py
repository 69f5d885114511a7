"""Table 3: what prior selection loses when the bank holds nothing of the question's own dataset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcs.bench.paper import paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import ArmRows
from smcs.bench.reproduce.evidence import Evidence, bench_run, missing_run
from smcs.bench.reproduce.outcomes import OutcomeTable
from smcs.bench.reproduce.report import Line, Panel, Reproduction, assemble

__all__ = ("other_banks",)

_OTHERS = ("math500", "mbpp", "gpqa", "medmcqa")
_K = 7


def other_banks(evidence: Evidence) -> Reproduction:
    """Compare banks: all of it, without the question's dataset, and random choice."""
    panels = [_panel_of_runs(evidence)]
    for table in evidence.tables:
        panels += _panels_of(table)
    notes = ["Where a bank has one task, its subjects stand for datasets."] if evidence.tables else []
    kinds = {(_bank_name(arm), "rps" in arm.without) for arm in evidence.of("smcs")}
    missing = []
    if not any(random for _, random in kinds):
        command = bench_run(evidence, "table3-random", tasks=_OTHERS, arms=[{"without": ["rps"]}])
        missing.append(missing_run("full SMCS with randomly chosen referencers", command))
    if len({bank for bank, random in kinds if not random}) < 2:
        command = bench_run(evidence, "table3-mmlu-pro", tasks=_OTHERS, arms=[{}], options="--bank mmlu_pro.db")
        build = f"smcs bank build --config {evidence.config} --tasks mmlu_pro --bank mmlu_pro.db && {command}"
        missing.append(missing_run("full SMCS with a bank of MMLU-Pro alone (5,512 questions)", build))
    return assemble("table3", panels, missing=missing, notes=notes)


def _panel_of_runs(evidence: Evidence) -> Panel:
    figure = paper_figure("table3")
    lines = []
    for arm in evidence.of("smcs"):
        if arm.without not in (frozenset(), frozenset({"rps"})) or arm.llms < len(arm.header.llms):
            continue
        columns = tuple(arm.by_task)
        cells = measure.group_cells(columns, [arm.scores(task) for task in columns], paper=figure.columns)
        name = "random choice" if "rps" in arm.without else f"bank: {_bank_name(arm)}"
        if cells:
            lines.append(Line(name, cells, group="ours", source=arm.source))
    columns = tuple(dict.fromkeys(cell.column for line in lines for cell in line.cells))
    return Panel("Accuracy of SMCS by bank", "%", columns, tuple(lines))


def _panels_of(table: OutcomeTable) -> list[Panel]:
    if len(table.group_names) < 2:
        return []
    inside, outside = table.routing, table.routing_elsewhere
    rows = inside.rows
    at_random = np.nanmean(table.scores[rows], axis=1) if len(table.llms) else np.zeros(0)
    top = {
        "whole bank": table.top(inside.priors, rows),
        "bank without the question's own dataset": table.top(outside.priors, outside.rows),
        "random LLM (expected)": at_random,
    }
    panels = [_panel(table, "Accuracy of the LLM with the best prior", top)]
    if table.answers is not None and len(table.llms) > _K:
        votes = {
            "whole bank": table.vote(rows, inside.priors),
            "bank without the question's own dataset": table.vote(outside.rows, outside.priors),
            "random LLMs": table.vote(rows, np.random.default_rng(0).random((len(rows), len(table.llms)))),
        }
        panels.append(_panel(table, f"Accuracy of the weighted vote of the {_K} best priors", votes))
    return panels


def _panel(table: OutcomeTable, title: str, arms: dict[str, NDArray[np.float64]]) -> Panel:
    groups = table.groups[table.routing.rows]
    masks = [groups == name for name in table.group_names]
    lines = tuple(
        Line(
            name,
            measure.group_cells(table.group_names, [grades[mask] for mask in masks]),
            group="ours",
            source=table.source,
        )
        for name, grades in arms.items()
    )
    columns = tuple(dict.fromkeys(cell.column for line in lines for cell in line.cells))
    return Panel(title, "%", columns, lines)


def _bank_name(arm: ArmRows) -> str:
    bank = arm.header.bank
    name = bank.get("name") or str(bank.get("hash", "unnamed"))[:12]
    questions = bank.get("questions")
    return f"{name} ({questions:,} questions)" if isinstance(questions, int) else str(name)

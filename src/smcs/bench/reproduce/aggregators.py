"""Figure 7: the same references merged by different aggregators."""

from __future__ import annotations

from dataclasses import replace

from smcs.bench.reproduce import measure
from smcs.bench.reproduce.evidence import Evidence, bench_run, missing_run
from smcs.bench.reproduce.report import Line, Panel, Reproduction, assemble

__all__ = ("aggregator_choice",)

_TASKS = ("mmlu_pro", "ifeval", "medmcqa", "math500", "mbpp")


def aggregator_choice(evidence: Evidence) -> Reproduction:
    """Accuracy by aggregator, beside that of the same LLM alone where a run holds it."""
    merging = [arm for arm in evidence.of("smcs", "moa") if arm.whole_method and arm.aggregator]
    names = sorted({arm.aggregator for arm in merging})
    lines = []
    for arm in merging if len(names) > 1 else []:
        cells = measure.group_cells(tuple(arm.by_task), [arm.scores(task) for task in arm.by_task])
        lines.append(Line(f"{arm.aggregator} merges", cells, group="ours", source=arm.source))
    for arm in evidence.of("single") if len(names) > 1 else []:
        if arm.settings.get("llm") in names:
            cells = measure.group_cells(tuple(arm.by_task), [arm.scores(task) for task in arm.by_task])
            lines.append(Line(f"{arm.settings['llm']} alone", cells, group="open", source=arm.source))
    lines = [line for line in lines if line.cells]
    columns = tuple(dict.fromkeys(cell.column for line in lines for cell in line.cells))
    missing = []
    if len(names) < 2:
        commands = []
        for number, name in enumerate(("Llama-3.3-70B-Instruct", "Qwen3-32B"), start=1):
            config = f"fig7-{number}.yaml"
            # One store for all: every aggregator merges the same references.
            run = bench_run(replace(evidence, config=config), f"fig7-{number}", tasks=_TASKS, arms=[{}], store="fig7")
            commands.append(f"smcs pool preset paper-15 --aggregator {name} --out {config} && {run}")
        what = "runs with two aggregators or more (`smcs pool preset paper-15 --experiments` lists six)"
        missing.append(missing_run(what, " && ".join(commands)))
    panel = Panel("Accuracy by aggregator", "%", columns, tuple(lines))
    return assemble("fig7", [panel], missing=missing)

"""Tables 8 and 9: the perplexities that the score rests on, and how much a figure moves with the seed."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from smcs.bench.paper import paper_figure
from smcs.bench.reproduce import measure
from smcs.bench.reproduce.arms import ArmRows
from smcs.bench.reproduce.evidence import Evidence, bench_run, missing_run, plain_tasks
from smcs.bench.reproduce.report import Cell, Line, Measured, Missing, Panel, Reproduction, assemble
from smcs.llms import AnswerStore
from smcs.posterior import perplexity

__all__ = ("perplexities", "seeds")

_SEEDS = 3
_QUANTILES = {"5%": 0.05, "median": 0.5, "95%": 0.95}


def perplexities(evidence: Evidence) -> Reproduction:
    """Table 8: perplexity of recorded answers per LLM that wrote them."""
    missing: list[Missing] = []
    lines: tuple[Line, ...] = ()
    columns = ("mean", "least", *_QUANTILES, "largest", "% in [1, 2]")
    claims: dict[str, Measured] = {}
    if evidence.store is not None:
        found = _stored(evidence.store)
        lines = tuple(_line(llm, np.array(values), evidence.store.name) for llm, values in sorted(found.items()))
        everything = [value for values in found.values() for value in values]
        if everything:
            claims["least perplexity"] = Measured(min(everything), len(everything))
            claims["largest perplexity"] = Measured(max(everything), len(everything))
    if not lines:
        tasks = plain_tasks(paper_figure("table1"))
        run = bench_run(evidence, "table1", tasks=tasks, strategies=["smcs"])
        command = f"{run} && smcs reproduce table8 --store experiments/table1.db"
        what = "no answer with log-probabilities is recorded" if evidence.store else "no answer store was given"
        missing.append(missing_run(what, command))
    notes = (
        "A store does not know which dataset a prompt belongs to, so ours are per LLM.",
        "References of an LLM that also aggregates are among its answers.",
    ) * bool(lines)
    return assemble("table8", [Panel("Perplexity", "", columns, lines)], missing=missing, notes=notes, claims=claims)


def seeds(evidence: Evidence) -> Reproduction:
    """Table 9: mean and standard deviation of SMCS over seeds."""
    figure = paper_figure("table9")
    lines, widest, enough = [], 0.0, 0
    for arm in evidence.of("smcs"):
        if arm.without or len(arm.header.seeds) < 2:
            continue
        spreads = {task: measure.spread(_by_seed(arm, task)) for task in arm.by_task if len(_by_seed(arm, task)) > 1}
        cells = tuple(Cell(task, ours=value) for task, value in spreads.items())
        if cells:
            lines.append(Line(f"SMCS ({arm.spec.name})", cells, group="ours", source=arm.source))
            enough = max(enough, min(value.n for value in spreads.values()))
            widest = max([widest, *(value.deviation or 0.0 for value in spreads.values())])
    columns = tuple(dict.fromkeys([*figure.columns, *(cell.column for line in lines for cell in line.cells)]))
    claims = {}
    if lines:
        claims[figure.stated[0].name] = Measured(widest, enough)
        claims[figure.stated[1].name] = Measured(enough, enough)
    missing = []
    if enough < _SEEDS:
        command = bench_run(evidence, "table9", tasks=plain_tasks(figure), arms=[{}], seeds=_SEEDS)
        missing.append(missing_run("SMCS with three seeds", command))
    panel = Panel("Accuracy: mean and standard deviation over seeds (n counts seeds)", "%", columns, tuple(lines))
    return assemble("table9", [panel], missing=missing, claims=claims)


def _by_seed(arm: ArmRows, task: str) -> list[float]:
    grades: dict[int, list[float]] = defaultdict(list)
    for row in arm.by_task[task]:
        if row.score is not None:
            grades[row.seed].append(row.score)
    return [100 * float(np.mean(values)) for values in grades.values()]


def _line(llm: str, values: np.ndarray[tuple[int], np.dtype[np.float64]], source: str) -> Line:
    n = len(values)
    figures = {
        "least": float(values.min()),
        **{name: float(np.quantile(values, share)) for name, share in _QUANTILES.items()},
        "largest": float(values.max()),
        "% in [1, 2]": 100 * float(((values >= 1) & (values <= 2)).mean()),
    }
    cells = (
        Cell("mean", ours=measure.mean(values, scale=1.0)),
        *(Cell(k, ours=Measured(v, n)) for k, v in figures.items()),
    )
    return Line(llm, cells, group="ours", source=source)


def _stored(path: Path) -> dict[str, list[float]]:
    """Return the perplexities of the answers in a store that have log-probabilities, by LLM.

    Raises:
        ConfigError: There is no such store, or it cannot be read.
    """
    found: dict[str, list[float]] = defaultdict(list)
    with AnswerStore(path, create=False) as store:
        for llm, answer in store.answers():
            if answer.choice.logprobs:
                found[llm].append(perplexity(answer.choice.logprobs))
    return found

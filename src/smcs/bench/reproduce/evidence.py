"""What a reproduction may draw on, and the commands that would make more of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from smcs.bench.paper import PaperFigure, PaperRow, load_figures
from smcs.bench.reproduce.arms import ArmRows
from smcs.bench.reproduce.outcomes import OutcomeTable
from smcs.bench.reproduce.report import Missing

__all__ = ("LONG_TOKENS", "Evidence", "bench_run", "fits", "missing_run", "plain_tasks")

LONG_TOKENS = 32_768
"""Output tokens of table 6."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was given."""

    _: KW_ONLY
    arms: tuple[ArmRows, ...] = ()
    """Of all result files."""
    tables: tuple[OutcomeTable, ...] = ()
    """Of a bank, of recorded answers, of the released data."""
    store: Path | None = None
    """An answer store."""
    config: str = "smcs.yaml"
    """Named in the commands of missing runs."""

    def of(self, *strategies: str, long: bool | None = None) -> tuple[ArmRows, ...]:
        """Return the arms of some strategies.

        Args:
            strategies: Names; all when none is given.
            long: Only those with (or without) the output tokens of table 6; one that does not say counts as without.
        """
        found = [arm for arm in self.arms if not strategies or arm.spec.strategy in strategies]
        if long is None:
            return tuple(found)
        return tuple(arm for arm in found if ((arm.output_tokens or 0) >= LONG_TOKENS) == long)


def fits(arm: ArmRows, row: PaperRow) -> bool:
    """Return whether an arm is what a row of the paper is about: the same strategy and the row's settings."""
    if row.strategy != arm.spec.strategy:
        return False
    for name, wanted in row.settings.items():
        if name == "without":
            if arm.without != frozenset(wanted):
                return False
        elif name == "llms":
            if arm.llms != wanted:
                return False
        elif arm.settings.get(name) != wanted:
            return False
    return True


def bench_run(
    evidence: Evidence,
    name: str,
    *,
    tasks: Sequence[str],
    strategies: Sequence[str] = (),
    arms: Sequence[Mapping[str, Any]] = (),
    seeds: int = 1,
    options: str = "",
    store: str = "",
) -> str:
    """Return the command that makes a result file.

    Args:
        evidence: Names the config.
        name: The file's name under `experiments/`.
        tasks: Names of tasks.
        strategies: Names, each with the config's settings.
        arms: Settings of SMCS arms, one each.
        seeds: How many.
        options: Further options, as they are typed.
        store: Name of the answer store, if not that of the file.
    """
    parts = ["smcs bench run", f"--config {evidence.config}", f"--tasks {','.join(tasks)}"]
    parts += [f"--strategies {','.join(strategies)}"] * bool(strategies)
    parts += [f"--arm '{_arm(settings)}'" for settings in arms]
    parts += [f"--seeds {','.join(map(str, range(seeds)))}"] * (seeds > 1)
    parts += [options] * bool(options)
    parts += [f"--record experiments/{store or name}.db", f"--out experiments/{name}.jsonl"]
    return " ".join(parts)


def missing_run(what: str, command: str) -> Missing:
    """Return a run that is missing; one line each."""
    return Missing(what, " ".join(command.split()))


def plain_tasks(figure: PaperFigure) -> tuple[str, ...]:
    """Return the tasks that a table of the paper is about."""
    if figure.task is not None:
        return (figure.task,)
    known = load_figures().tasks
    return tuple(column for column in figure.columns if column in known)


def _arm(settings: Mapping[str, Any]) -> str:
    """Write the settings of an SMCS arm as the command line takes them: `smcs:k=3,without=rps+similarity`."""
    values = (
        f"{name}={'+'.join(value) if isinstance(value, list | tuple) else value}"
        for name, value in settings.items()
        if value not in ((), [])
    )
    text = ",".join(values)
    return f"smcs:{text}" if text else "smcs"

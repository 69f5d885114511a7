"""Result files as arms: which rows belong to which way of answering, and what they measure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcs.bench.results import ArmSpec, Header, ResultFile, Row, read_results
from smcs.strategies import Settings

__all__ = ("ArmRows", "arms_of", "read_arms", "values_per_question", "varying")


@dataclass(frozen=True)
class ArmRows:
    """One arm of one result file."""

    file: str
    header: Header
    spec: ArmSpec
    rows: tuple[Row, ...]

    @property
    def source(self) -> str:
        """How it is named beside its figures."""
        return f"{self.file}: {self.spec.name}"

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """All its settings: its own, over those of the file, over the defaults."""
        whole = self.header.config.get("settings")
        shared = whole if isinstance(whole, dict) else {}
        return {**Settings().to_dict(), **shared, **self.spec.settings}

    @cached_property
    def without(self) -> frozenset[str]:
        """Parts left out."""
        return frozenset(self.settings.get("without") or ())

    @property
    def llms(self) -> int:
        """How many LLMs it may ask."""
        chosen = self.spec.settings.get("llms", self.header.llms)
        return chosen if isinstance(chosen, int) else len(chosen)

    @property
    def whole_method(self) -> bool:
        """Whether nothing is left out: no component, no LLM of the pool."""
        return not self.without and self.llms == len(self.header.llms)

    @property
    def aggregator(self) -> str:
        """Who merges."""
        named = self.settings.get("aggregator") or next(iter(self.header.aggregators), "")
        return str(named)

    @property
    def output_tokens(self) -> int | None:
        """Longest answer allowed, where the file says."""
        sampling = self.settings.get("sampling")
        own = sampling.get("max_tokens") if isinstance(sampling, dict) else None
        whole = self.header.config.get("sampling")
        laid_over = whole.get("max_tokens") if isinstance(whole, dict) else None
        return laid_over or own

    @cached_property
    def by_task(self) -> Mapping[str, tuple[Row, ...]]:
        """Its rows by task, in the header's order."""
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            groups[row.task].append(row)
        return {task: tuple(groups[task]) for task in self.header.tasks if task in groups}

    def scores(self, task: str) -> NDArray[np.float64]:
        """Return the mean grade over seeds of each question of a task, NaN where no seed has one."""
        return values_per_question(self.by_task.get(task, ()), lambda row: row.score)


def read_arms(paths: Iterable[Path | str]) -> tuple[ArmRows, ...]:
    """Read result files.

    Raises:
        ConfigError: One is missing, damaged or of another version.
    """
    return tuple(arm for path in paths for arm in arms_of(Path(path).name, read_results(path)))


def arms_of(name: str, results: ResultFile) -> tuple[ArmRows, ...]:
    """Return the arms of a result file that have rows."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in results.rows:
        rows[row.arm].append(row)
    return tuple(
        ArmRows(name, results.header, spec, tuple(rows[spec.name])) for spec in results.header.arms if rows[spec.name]
    )


def varying(arms: Iterable[ArmRows], key: str) -> tuple[tuple[ArmRows, ...], ...]:
    """Return sets of arms that differ in one setting alone, each ordered by it; arms that stand alone are left out.

    Args:
        arms: Of one strategy.
        key: The setting; seeds may differ as well.
    """
    sets: dict[str, list[ArmRows]] = defaultdict(list)
    for arm in arms:
        rest = {name: value for name, value in arm.settings.items() if name not in (key, "seed")}
        about = [rest, arm.header.bank, arm.header.llms, arm.header.aggregators, arm.header.tasks]
        sets[json.dumps(about, sort_keys=True, default=str)].append(arm)
    found = []
    for same in sets.values():
        values = {json.dumps(arm.settings.get(key), default=str) for arm in same}
        if len(values) > 1:
            found.append(tuple(sorted(same, key=lambda arm: _order(arm.settings.get(key)))))
    return tuple(found)


def values_per_question(rows: Sequence[Row], value: Callable[[Row], float | None]) -> NDArray[np.float64]:
    """Return the mean over seeds for each question, by its id; NaN where no seed has a value.

    Args:
        rows: Of one arm.
        value: What to take of a row; `None` or NaN leaves it out.
    """
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        taken = value(row)
        found[row.question] += [] if taken is None or np.isnan(taken) else [taken]
    return np.array([np.mean(found[name]) if found[name] else np.nan for name in sorted(found)], dtype=np.float64)


def _order(value: Any) -> tuple[float, str]:
    """Order numbers by size, and lists by length."""
    size = value if isinstance(value, int | float) else len(value) if isinstance(value, list | tuple) else 0
    return float(size), str(value)

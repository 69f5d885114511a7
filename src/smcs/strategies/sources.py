"""Where the questions of a support set come from, added up over hundreds of them at the speed of arrays."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smcs.prior import SupportSet
from smcs.types import Question

__all__ = ("Sources", "source_of")

_UNKNOWN = -1


class Sources:
    """The source of each question of one state of a bank, learned as support sets are met; any thread may use it."""

    def __init__(self) -> None:
        self._numbers = np.empty(0, dtype=np.int32)  # Of the source of each row: its place in `_names`.
        self._names: list[str] = []
        self._lock = threading.Lock()

    def knows(self, rows: NDArray[np.intp]) -> bool:
        """Say whether the sources of some rows of the bank have been learned."""
        numbers = self._numbers
        return bool(rows.max() < len(numbers) and (numbers[rows] != _UNKNOWN).all())

    def learn(self, rows: NDArray[np.intp], questions: Sequence[Question]) -> None:
        """Take note of what stands in some rows.

        Args:
            rows: At least one.
            questions: What stands there, in the same order.
        """
        with self._lock:
            size = max(len(self._numbers), int(rows.max()) + 1)
            numbers = np.full(size, _UNKNOWN, dtype=np.int32)
            numbers[: len(self._numbers)] = self._numbers
            known = {name: number for number, name in enumerate(self._names)}
            found = [known.setdefault(source_of(each.task, each.subject), len(known)) for each in questions]
            numbers[rows] = found
            # A new list and a new array, not a change of the old ones: they are read without the lock.
            self._names, self._numbers = list(known), numbers

    def shares(self, support: SupportSet) -> dict[str, float]:
        """Return the share of a support set's similarity by source, largest first; empty where it adds up to nothing.

        Args:
            support: Its rows must be known; a similarity below zero counts as zero.
        """
        numbers = self._numbers[support.indices]
        sums = np.bincount(numbers, weights=np.maximum(support.similarities, 0.0))
        total = float(sums.sum())
        if not total:
            return {}
        names = self._names
        shares = {names[number]: float(sums[number]) / total for number in np.unique(numbers).tolist()}
        return dict(sorted(shares.items(), key=lambda each: (-each[1], each[0])))


def source_of(task: str, subject: str) -> str:
    """Return the name of a question's source: "task/subject", or the one of the two that there is."""
    return f"{task}/{subject}" if task and subject else task or subject

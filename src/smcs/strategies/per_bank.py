"""What was computed from a bank, kept as long as the bank stays the same; whoever asks meanwhile waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from smcs.bank import QuestionBank

__all__ = ("PerBank",)

V = TypeVar("V")


@dataclass(slots=True)
class _Kept(Generic[V]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    values: dict[Hashable, V] = field(default_factory=dict[Hashable, V])


class PerBank(Generic[V]):
    """Remembers the last few values made for each open bank; a bank that is dropped takes its values with it.

    Args:
        most: Values kept per bank; the oldest goes first.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._kept: WeakKeyDictionary[QuestionBank, _Kept[V]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, bank: QuestionBank, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value of a key, made by the first who asks; call it in a thread where making takes long.

        Args:
            bank: What it was computed from.
            key: Everything the value depends on, the bank's state included.
            make: Computes it.
        """
        with self._lock:
            kept = self._kept.setdefault(bank, _Kept())
        with kept.lock:
            if key not in kept.values:
                while len(kept.values) >= self._most:
                    del kept.values[next(iter(kept.values))]
                kept.values[key] = make()
            return kept.values[key]

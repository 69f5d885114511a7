"""What a family of seed questions is: a function that writes one question of a wanted level."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from random import Random
from typing import Any

__all__ = ("LEVELS", "Draft", "Maker")

LEVELS = 3
"""Levels of difficulty: 1 (a 135M LLM may manage) to 3 (a 1.5B LLM often fails)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A question before it has an id, and before its options are in their final order."""

    text: str
    _: KW_ONLY
    gold: str | None = None
    """The right answer: a number, or the text of the right option when there are `distractors`."""
    distractors: tuple[str, ...] = ()
    """Wrong options, all different from `gold` and from each other."""
    check: Mapping[str, Any] = field(default_factory=dict[str, Any])


Maker = Callable[[Random, int], Draft]
"""Writes one question: (random source, level from 1 to `LEVELS`) -> draft. It may repeat itself; the caller redraws."""

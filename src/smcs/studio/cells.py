"""A cell of a table, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ("Cell", "Column", "Tone")

Tone = Literal["good", "warn", "bad", "muted"]
"""What a colour says; the word and the icon beside it say the same."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    name: str
    numeric: bool = False
    """Whether its cells are figures, which stand on the right."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table."""

    text: str
    icon: str = ""
    """Name of a Material icon; the cell is a chip then."""
    tone: Tone = "muted"
    href: str = ""
    """Page of the studio that it leads to."""

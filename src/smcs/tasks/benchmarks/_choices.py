"""What the multiple-choice benchmarks share."""

from __future__ import annotations

from smcs.errors import InputError
from smcs.tasks._records import LETTERS

__all__ = ("letter_of",)


def letter_of(index: int) -> str:
    """Return the letter of an option, "A" for 0.

    Raises:
        InputError: There is no such letter.
    """
    if not 0 <= index < len(LETTERS):
        raise InputError(f"the index of the right option must be from 0 to {len(LETTERS) - 1}, got {index}")
    return LETTERS[index]

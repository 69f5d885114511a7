"""The parameters of one instruction, checked as they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smcs.errors import InputError

__all__ = ("Builder", "Check", "Parameters")

Check = Callable[[str], bool]
"""Tells whether an answer, which is not blank, follows an instruction."""

_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "at least": lambda found, wanted: found >= wanted,
    "less than": lambda found, wanted: found < wanted,
}


class Parameters:
    """What `kwargs` holds for one instruction; null counts as absent, what a type does not read is ignored."""

    def __init__(self, question_id: str, instruction_id: str, values: Mapping[str, Any]) -> None:
        self._where = f"Question {question_id!r}, instruction {instruction_id!r}"
        self._values = values

    def text(self, name: str) -> str:
        """Return a text that is not blank, without white space around it.

        Raises:
            InputError: It is missing, blank or no text.
        """
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(name, "a text that is not blank")
        return value.strip()

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, none of them blank, as they are written.

        Raises:
            InputError: It is missing, empty, no list, or holds something else.
        """
        value = self._values.get(name)
        if (
            not isinstance(value, list | tuple)
            or not value
            or not all(isinstance(item, str) and item.strip() for item in value)
        ):
            raise self.error(name, "a list of texts that are not blank")
        return tuple(value)

    def count(self, name: str, *, least: int = 0) -> int:
        """Return a whole number; 3.0 counts as 3, since tables with gaps store numbers so.

        Raises:
            InputError: It is missing, no whole number, or below `least`.
        """
        value = self._values.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(name, f"a whole number of at least {least}")
        return value

    def comparison(self, relation: str, count: str) -> Callable[[int], bool]:
        """Return the test that a number found stands in the relation ("at least", "less than") to the one wanted.

        Raises:
            InputError: The relation is neither, or the number is missing.
        """
        name, wanted = self._values.get(relation), self.count(count)
        compare = _RELATIONS.get(name) if isinstance(name, str) else None
        if compare is None:
            raise self.error(relation, "'at least' or 'less than'")
        return lambda found: compare(found, wanted)

    def error(self, name: str, wanted: str) -> InputError:
        """Return the error to raise for a parameter that is not what is wanted."""
        return InputError(f"{self._where}: `{name}` must be {wanted}, got {self._values.get(name)!r}.")


Builder = Callable[[Parameters], Check]
"""Reads the parameters of an instruction and returns its check."""

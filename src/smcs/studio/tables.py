"""A table of texts that is drawn in the browser: one element, however many cells it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nicegui import ui

from smcs.studio.cells import Cell, Column
from smcs.studio.text import printable

__all__ = ("TextTable", "printable_values")


class TextTable(ui.element, component="text_table.js"):
    """A table of texts, which scrolls in its own box where it is too wide.

    Args:
        caption: What it shows, for screen readers.
        columns: Its columns; the first one names the rows.
        rows: Its cells; a text alone is a cell with nothing else.
        marker: `data-testid` of every row, a constant.
    """

    def __init__(
        self, caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], *, marker: str = ""
    ) -> None:
        super().__init__()
        if marker:
            self._props["marker"] = marker
        self._props["caption"] = caption
        self._props["columns"] = [printable_values(asdict(column)) for column in columns]
        # A tuple, here and wherever much is sent: NiceGUI watches every item of a list for changes.
        self._props["rows"] = tuple(
            [printable_values(asdict(Cell(cell) if isinstance(cell, str) else cell)) for cell in row] for row in rows
        )


def printable_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return values whose texts can be shown: names and questions are anybody's."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in values.items()}

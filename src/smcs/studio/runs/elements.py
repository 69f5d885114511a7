"""Elements of the pages about runs whose drawing is done in the browser: one element each, however much they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nicegui import ui

from smcs.studio.runs.cells import Cell, Column
from smcs.studio.runs.rows import RowView
from smcs.studio.runs.words import PieceKind, TextDifference
from smcs.studio.text import printable

__all__ = ("RunList", "TextTable", "WordDifference")


class RunList(ui.element, component="run_list.js"):
    """The list of runs, from which two can be picked to be compared.

    Args:
        rows: What is shown, the newest run first.
        with_keys: Whether to show whose runs they are.
    """

    def __init__(self, rows: Sequence[RowView], *, with_keys: bool) -> None:
        super().__init__()
        self._props["rows"] = [_printable(asdict(row)) for row in rows]
        self._props["keys"] = with_keys


class TextTable(ui.element, component="text_table.js"):
    """A table of texts, which scrolls in its own box where it is too wide.

    Args:
        caption: What it shows, for screen readers.
        columns: Its columns; the first one names the rows.
        rows: Its cells; a text alone is a cell with nothing else.
    """

    def __init__(self, caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> None:
        super().__init__()
        self._props["caption"] = caption
        self._props["columns"] = [_printable(asdict(column)) for column in columns]
        self._props["rows"] = [
            [_printable(asdict(Cell(cell) if isinstance(cell, str) else cell)) for cell in row] for row in rows
        ]


class WordDifference(ui.element, component="word_difference.js"):
    """One of two texts with its differences marked.

    Args:
        difference: Both texts.
        added: Whether the second one is shown; else the first.
    """

    def __init__(self, difference: TextDifference, *, added: bool) -> None:
        super().__init__()
        own: PieceKind = "added" if added else "removed"
        shown = [piece for piece in difference.pieces if piece.kind in ("same", own)]
        self._props["pieces"] = [[piece.kind != "same", piece.text] for piece in shown]
        self._props["added"] = added


def _printable(values: dict[str, Any]) -> dict[str, Any]:
    """Return values whose texts can be shown: names and questions are anybody's."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in values.items()}

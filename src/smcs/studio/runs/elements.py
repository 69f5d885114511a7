"""Elements of the pages about runs whose drawing is done in the browser: one element each, however much they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from nicegui import ui

from smcs.studio.runs.rows import RowView
from smcs.studio.runs.words import PieceKind, TextDifference
from smcs.studio.tables import printable_values

__all__ = ("RunList", "WordDifference")


class RunList(ui.element, component="run_list.js"):
    """The list of runs, from which two can be picked to be compared.

    Args:
        rows: What is shown, the newest run first.
        with_keys: Whether to show whose runs they are.
    """

    def __init__(self, rows: Sequence[RowView], *, with_keys: bool) -> None:
        super().__init__()
        self._props["rows"] = tuple(printable_values(asdict(row)) for row in rows)
        self._props["keys"] = with_keys


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
        self._props["pieces"] = tuple((piece.kind != "same", piece.text) for piece in shown)
        self._props["added"] = added

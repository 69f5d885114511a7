"""The report as Markdown, with links to its figures."""

from __future__ import annotations

import re
from collections.abc import Collection

from smcs.bench.report.cells import Section, Table, Value
from smcs.bench.report.model import Report
from smcs.bench.report.provenance import facts

__all__ = ("render_markdown",)

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def render_markdown(report: Report, parts: tuple[Section, ...], figures: Collection[str]) -> str:
    """Return the report.

    Args:
        report: What is shown.
        parts: Its sections.
        figures: Keys of the sections whose figure is in `figures/`.
    """
    lines = [f"# {_escape(report.title)}", ""]
    if report.cautions:
        lines += ["**Before you read the figures**", ""]
        lines += [f"- {_escape(caution)}" for caution in report.cautions]
        lines += ["", "[Counts per arm](#what-is-missing)"]
    else:
        lines.append("Nothing is missing: every arm answered every question, and every answer has a verdict.")
    for part in parts:
        lines += ["", f"## {_escape(part.title)}", "", _escape(part.text)]
        if part.key in figures:
            lines += ["", f"![{_escape(part.title)}](figures/{part.key}.png)"]
        for table in part.tables:
            lines += ["", *_table(table)]
    lines += ["", "## Provenance"]
    for name, sittings in report.files:
        for number, header in enumerate(sittings, start=1):
            sitting = f", sitting {number}" if len(sittings) > 1 else ""
            lines += ["", f"### {_escape(name)}{sitting}", ""]
            lines += [f"- {key}: {_escape(text)}" for key, text in facts(header)]
    return "\n".join(lines) + "\n"


def _table(table: Table) -> list[str]:
    align = "|".join([" --- ", *[" ---: "] * (len(table.columns) - 1)])
    return [
        _line([_escape(name) for name in table.columns]),
        f"|{align}|",
        *(_line([_cell(value) for value in row]) for row in table.rows),
    ]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Value) -> str:
    text = _escape(value.text)
    text = f"**{text}**" if value.best else text
    return f"{text} ({_escape(value.detail)})" if value.detail else text


def _escape(text: str) -> str:
    """Show a text as it is, on one line, whatever it holds."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))

"""The report as one page: no other file, no request, plots and scripts inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from smcs.bench.report.cells import Section, Table, Value, percent
from smcs.bench.report.model import Report
from smcs.bench.report.provenance import facts
from smcs.bench.report.theme import DARK, LIGHT

__all__ = ("render_page",)


def render_page(report: Report, parts: tuple[Section, ...], plots: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        report: What is shown.
        parts: Its sections.
        plots: SVG element of each section that has a figure, by the section's key.
    """
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    links = "".join(f'<li><a href="#{part.key}">{escape(part.title)}</a></li>' for part in parts)
    body = "\n".join(_section(part, plots.get(part.key, "")) for part in parts)
    title = escape(report.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{_colours()}
{_asset("page.css")}</style>
</head>
<body>
<header class="bar">
<div><h1>{title}</h1>
<p class="meta">{escape(_scope(report))}</p></div>
<button id="theme" type="button" hidden>Theme</button>
</header>
<main>
{_cautions(report)}
{_tiles(report)}
<nav aria-label="Sections"><ul>{links}<li><a href="#provenance">Provenance</a></li></ul></nav>
{body}
{_provenance(report)}
<footer>Made by <code>smcs bench report</code> from result files alone.</footer>
</main>
<script>{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return files("smcs.bench.report").joinpath("assets", name).read_text(encoding="utf-8")


def _colours() -> str:
    light = "".join(f" --{role}: {colour};" for role, colour in LIGHT.items())
    dark = "".join(f" --{role}: {colour};" for role, colour in DARK.items())
    return "\n".join(
        (
            f":root {{{light} }}",
            f"@media screen and (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{{dark} }} }}",
            f"@media screen {{ :root[data-theme=dark] {{ color-scheme: dark;{dark} }} }}",
            ":root[data-theme=light] { color-scheme: light; }",
        )
    )


def _scope(report: Report) -> str:
    def count(number: int, noun: str) -> str:
        return f"{number:,} {noun}{'s' * (number != 1)}"

    parts = (
        count(len(report.summary.arms), "arm"),
        count(report.summary.questions, "question"),
        f"{count(len(report.tasks), 'task')} ({', '.join(report.tasks)})",
        count(len(report.seeds), "seed"),
        count(len(report.llms), "LLM"),
    )
    return " · ".join(parts)


def _cautions(report: Report) -> str:
    if not report.cautions:
        return (
            '<div class="caution fine"><h2>Nothing is missing</h2>'
            "<p>Every arm answered every question, and every answer has a verdict.</p></div>"
        )
    items = "".join(f"<li>{escape(caution)}</li>" for caution in report.cautions)
    return (
        f'<div class="caution"><h2>Before you read the figures</h2><ul>{items}</ul>'
        '<p><a href="#counts">Counts per arm</a></p></div>'
    )


def _tiles(report: Report) -> str:
    """Return the headline: the best arm, the baseline, and what lies between them."""
    summary = report.summary
    accuracies = [(arm, arm.mean.accuracy) for arm in summary.arms if arm.mean.accuracy is not None]
    if not accuracies:
        return ""
    best, accuracy = max(accuracies, key=lambda pair: pair[1].value)
    tiles = [(f"Best: {best.name}", f"{percent(accuracy.value)}%", _range(accuracy.low, accuracy.high))]
    for arm, own in accuracies:
        if arm.name == summary.baseline and arm is not best:
            tiles.append((f"Baseline: {arm.name}", f"{percent(own.value)}%", _range(own.low, own.high)))
    if (paired := best.mean.against) is not None:
        p = "p < 0.001" if paired.p_value < 0.001 else f"p = {paired.p_value:.3f}"
        detail = f"{100 * paired.low:+.1f} to {100 * paired.high:+.1f} points, {p} before adjusting, n = {paired.n:,}"
        tiles.append(("Difference on common questions", f"{100 * paired.difference:+.1f}", detail))
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(detail)}</small></dd></div>"
        for name, value, detail in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _range(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}"


def _section(part: Section, plot: str) -> str:
    figure = f"<figure>{plot}</figure>" if plot else ""
    tables = "".join(_table(table) for table in part.tables)
    heading = f'<h2 id="{part.key}-title">{escape(part.title)}</h2>'
    return (
        f'<section id="{part.key}" aria-labelledby="{part.key}-title">{heading}'
        f"<p>{escape(part.text)}</p>{figure}{tables}</section>"
    )


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col"><button type="button">{escape(name)}</button></th>' for name in table.columns)
    rows = "".join(f"<tr>{_row(row)}</tr>" for row in table.rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption)}"><table>'
        f"<caption>{escape(table.caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(row: tuple[Value, ...]) -> str:
    first, *rest = row
    return f'<th scope="row"><span>{_content(first)}</span></th>' + "".join(_cell(value) for value in rest)


def _cell(value: Value) -> str:
    order = "" if value.order is None else f' data-order="{value.order:.10g}"'
    return f"<td{order}{' class=best' * value.best}>{_content(value)}</td>"


def _content(value: Value) -> str:
    detail = f"<small>{escape(value.detail)}</small>" if value.detail else ""
    return escape(value.text) + detail


def _provenance(report: Report) -> str:
    blocks = []
    for name, sittings in report.files:
        for number, header in enumerate(sittings, start=1):
            sitting = f", sitting {number}" if len(sittings) > 1 else ""
            entries = "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in facts(header))
            blocks.append(f"<h3>{escape(name)}{sitting}</h3><dl class=facts>{entries}</dl>")
    return (
        '<section id="provenance" aria-labelledby="provenance-title"><h2 id="provenance-title">Provenance</h2>'
        f"{''.join(blocks)}</section>"
    )

"""A report written to a folder."""

from __future__ import annotations

from html import escape
from pathlib import Path

from smcs.bench.report.figures import draw
from smcs.bench.report.markdown import render_markdown
from smcs.bench.report.model import Report
from smcs.bench.report.page import render_page
from smcs.bench.report.sections import sections
from smcs.bench.report.sheet import render_csv
from smcs.bench.report.theme import drawing, inline_svg, require_matplotlib, save
from smcs.errors import ConfigError

__all__ = ("write_report",)


def write_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write `report.html`, `report.md`, `report.csv` and `figures/*.png|svg`; equal reports give equal bytes.

    Args:
        report: What to write.
        folder: Made when absent; files of those names in it are replaced.

    Returns:
        The files written, the page first.

    Raises:
        MissingExtraError: matplotlib is not installed; nothing is written.
        ConfigError: The folder cannot be written to.
    """
    require_matplotlib()
    _make(folder / "figures")
    parts = sections(report)
    plots: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in parts:
        with drawing():
            figure = draw(report, part.key)
            if figure is None:
                continue
            files[f"figures/{part.key}.png"] = save(figure, "png")
            files[f"figures/{part.key}.svg"] = save(figure, "svg")
        with drawing(text_as_text=True):
            label = escape(f"Plot: {part.title}. The table below holds the same figures.")
            plots[part.key] = inline_svg(figure, part.key, label)
    written = {
        "report.html": render_page(report, parts, plots).encode(),
        "report.md": render_markdown(report, parts, plots).encode(),
        "report.csv": render_csv(report).encode(),
        **files,
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return tuple(folder / name for name in written)


def _make(folder: Path) -> None:
    """Make a folder before anything is drawn in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot write the report to {folder.parent}: {error.strerror or error}.") from error

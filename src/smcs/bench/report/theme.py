"""Colours and drawing defaults of the plots, and plots made fit for a page with two themes.

A plot is drawn in the light theme's colours. On the page each of them becomes the CSS variable of its role, so that one
drawing follows the theme.
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from smcs.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ("DARK", "LIGHT", "SERIES", "Role", "drawing", "inline_svg", "require_matplotlib", "save")

Role = Literal["surface", "ink", "muted", "grid", "blue", "orange", "green", "violet", "gray"]
"""What a colour is for."""

LIGHT: Final[dict[Role, str]] = {
    "surface": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "grid": "#d9dee3",
    "blue": "#2668c5",
    "orange": "#c2500f",
    "green": "#11774b",
    "violet": "#7a45c9",
    "gray": "#818b98",
}
DARK: Final[dict[Role, str]] = {
    "surface": "#12161c",
    "ink": "#e8ecf1",
    "muted": "#a3adb8",
    "grid": "#343b45",
    "blue": "#6ea8fe",
    "orange": "#f3905b",
    "green": "#4cc38a",
    "violet": "#b995f5",
    "gray": "#7d8794",
}
SERIES: Final[tuple[Role, ...]] = ("blue", "orange", "green", "violet")
"""Colours of several lines, in order; markers tell them apart too."""

_DOTS_PER_INCH = 200


def require_matplotlib() -> None:
    """Raise at once where plots cannot be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("Drawing a report's plots", "bench")


@contextmanager
def drawing(*, text_as_text: bool = False) -> Iterator[None]:
    """Set the defaults of all plots while drawing and saving one.

    Args:
        text_as_text: Whether SVG files hold text as text, in the reader's fonts, rather than as outlines.
    """
    import matplotlib as mpl

    settings: Any = {
        "axes.edgecolor": LIGHT["grid"],
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelcolor": LIGHT["muted"],
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.5,
        "grid.color": LIGHT["grid"],
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "svg.fonttype": "none" if text_as_text else "path",
        "svg.hashsalt": "smcs",
        "text.color": LIGHT["ink"],
        "text.parse_math": False,  # names of arms may hold a dollar sign
        "xtick.color": LIGHT["grid"],
        "xtick.labelcolor": LIGHT["muted"],
        "ytick.color": LIGHT["grid"],
        "ytick.labelcolor": LIGHT["ink"],
    }
    with mpl.rc_context(settings):
        yield


def save(figure: Figure, kind: Literal["png", "svg"]) -> bytes:
    """Return a figure as a file in the light theme on white; equal figures give equal bytes."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=_DOTS_PER_INCH, facecolor=LIGHT["surface"], metadata=metadata)
    return buffer.getvalue()


def inline_svg(figure: Figure, key: str, label: str) -> str:
    """Return a figure as an SVG element for a page, in CSS variables.

    Args:
        figure: The plot; call this under `drawing(text_as_text=True)`.
        key: Prefix of its ids, which keeps those of several figures apart.
        label: What it shows, for those who cannot see it; safe inside an attribute.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{key}-', svg)
    svg = re.sub(r'(xlink:href|href)="#', rf'href="#{key}-', svg)
    svg = svg.replace("url(#", f"url(#{key}-")
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font: \1 var(--font)", svg)
    for role, colour in LIGHT.items():
        svg = svg.replace(colour, f"var(--{role})")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    opening = f'<svg role="img" aria-label="{label}" viewBox="{size.group(0)[9:-1]}"' if size else "<svg"
    return re.sub(r"<svg[^>]*", opening, svg, count=1)

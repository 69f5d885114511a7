"""Labels of points that do not cover each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from smcs.bench.report.theme import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

__all__ = ("place_labels",)

_SIZE = 8.0
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_DISTANCES = (6, 10, 16, 24, 34, 46)
_LEADER_FROM = 16
_POINT = 4.0
_LINE_WEIGHT = 0.3
_OUTSIDE_WEIGHT = 4.0
_DISTANCE_WEIGHT = 0.15

Offset = tuple[float, float]


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float, str]],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
) -> None:
    """Write each point's name beside it, as near as there is room; a thin line leads to one that is further off.

    Args:
        axes: Its limits and scales must be set.
        points: x, y (data coordinates) and name.
        lines: Ends of horizontal and vertical lines that names should not stand on.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    figure = axes.figure.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes are always made on a figure here
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    frame = axes.get_window_extent()
    centres = [tuple(axes.transData.transform((x, y))) for x, y, _ in points]
    reach = _POINT * scale
    dots = [Bbox.from_extents(x - reach, y - reach, x + reach, y + reach) for x, y in centres]
    strokes = []
    for ends in lines:
        (ax, ay), (bx, by) = axes.transData.transform(ends)
        strokes.append(Bbox.from_extents(min(ax, bx) - 1, min(ay, by) - 1, max(ax, bx) + 1, max(ay, by) + 1))
    written: list[Bbox] = []
    for number in sorted(range(len(points)), key=lambda index: (-points[index][1], points[index][0])):
        x, y, name = points[number]
        text = _write(axes, (x, y), (0.0, 0.0), name)
        extent = text.get_window_extent()
        text.remove()
        others = [*dots[:number], *dots[number + 1 :], *written]
        best: tuple[float, Bbox, Offset] | None = None
        for offset, box in _places(extent, centres[number], scale):
            cost = sum(_overlap(box, other) for other in others)
            cost += _LINE_WEIGHT * sum(_overlap(box, stroke) for stroke in strokes)
            cost += _OUTSIDE_WEIGHT * _outside(box, frame)
            cost += _DISTANCE_WEIGHT * box.height * max(abs(offset[0]), abs(offset[1])) * scale
            if best is None or cost < best[0]:
                best = (cost, box, offset)
        if best is not None:
            _write(axes, (x, y), best[2], name)
            written.append(best[1])


def _places(extent: Bbox, centre: tuple[float, ...], scale: float) -> Iterator[tuple[Offset, Bbox]]:
    """Yield where a text of this size may stand: offset in points, and box in pixels."""
    from matplotlib.transforms import Bbox

    for distance in _DISTANCES:
        for across, up in _DIRECTIONS:
            offset = (float(across * distance), float(up * distance))
            x, y = centre[0] + offset[0] * scale, centre[1] + offset[1] * scale
            left = x if across > 0 else x - extent.width if across < 0 else x - extent.width / 2
            bottom = y - extent.height / 2 if across or not up else y if up > 0 else y - extent.height
            yield offset, Bbox.from_bounds(left, bottom, extent.width, extent.height)


def _write(axes: Axes, point: tuple[float, float], offset: Offset, name: str) -> Annotation:
    across, up = offset
    far = max(abs(across), abs(up)) >= _LEADER_FROM
    text = axes.annotate(
        name,
        point,
        xytext=offset,
        textcoords="offset points",
        fontsize=_SIZE,
        ha="left" if across > 0 else "right" if across < 0 else "center",
        va="center" if up == 0 or across else "bottom" if up > 0 else "top",
        arrowprops={"arrowstyle": "-", "color": LIGHT["gray"], "linewidth": 0.6, "shrinkB": 3} if far else None,
    )
    text.set_in_layout(False)  # or the axes would move away from where it was placed
    return text


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return float(max(0.0, width) * max(0.0, height))


def _outside(box: Bbox, frame: Bbox) -> float:
    beyond = max(0.0, box.x1 - frame.x1) + max(0.0, frame.x0 - box.x0)
    above = max(0.0, box.y1 - frame.y1) + max(0.0, frame.y0 - box.y0)
    return float(box.height * beyond + box.width * above)

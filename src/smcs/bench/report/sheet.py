"""The report's figures as CSV, one row per arm and task."""

from __future__ import annotations

import csv
import io
from typing import Any

from smcs.bench.report.model import Report
from smcs.bench.report.summary import ArmSummary, Cell

__all__ = ("MEAN", "render_csv")

MEAN = "(mean over tasks)"
"""What stands in the column of tasks for the mean over them."""


def render_csv(report: Report) -> str:
    """Return the table; shares are from 0 to 1, what is unknown is empty."""
    buffer = io.StringIO()
    rows = [_row(report, arm, cell) for arm in report.summary.arms for cell in _cells(report, arm)]
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _cells(report: Report, arm: ArmSummary) -> tuple[Cell, ...]:
    return (*arm.cells, arm.mean) if len(report.tasks) > 1 else arm.cells


def _row(report: Report, arm: ArmSummary, cell: Cell) -> dict[str, Any]:
    accuracy, paired, counts, usage, seeds = cell.accuracy, cell.against, cell.counts, cell.usage, cell.seeds
    return {
        "arm": _plain(arm.name),
        "strategy": _plain(arm.strategy),
        "task": MEAN if cell.task is None else _plain(cell.task),
        "accuracy": _figure(accuracy.value if accuracy else None),
        "low": _figure(accuracy.low if accuracy else None),
        "high": _figure(accuracy.high if accuracy else None),
        "questions": accuracy.n if accuracy else 0,
        "accuracy_at_least": _figure(cell.at_least),
        "seeds": seeds.n if seeds else 0,
        "seed_deviation": _figure(seeds.deviation if seeds else None),
        "baseline": _plain(report.summary.baseline),
        "difference": _figure(paired.difference if paired else None),
        "difference_low": _figure(paired.low if paired else None),
        "difference_high": _figure(paired.high if paired else None),
        "p_value": _figure(paired.p_value if paired else None),
        "p_adjusted": _figure(cell.adjusted_p),
        "wins": paired.wins if paired else "",
        "ties": paired.ties if paired else "",
        "losses": paired.losses if paired else "",
        "compared_questions": paired.n if paired else "",
        **{
            name: getattr(counts, name)
            for name in ("planned", "ok", "ungraded", "failed", "missing", "not_run", "degraded")
        },
        **{name: _figure(getattr(usage, name).value) for name in usage.__dataclass_fields__},
        "cost_known_share": _figure(usage.cost_usd.share),
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _plain(text: str) -> str:
    """Keep spreadsheets from taking a name for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

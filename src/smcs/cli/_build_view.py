"""How a build is shown: a table that grows on a terminal, now and then a line elsewhere, and the report at the end."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from smcs.cli._console import dollars, number, printable, stderr

if TYPE_CHECKING:
    from smcs.evaluate import BuildEstimate, GradingProgress, GradingReport

__all__ = ("BuildView", "estimate_table", "failure_lines", "print_lines", "report_json", "report_table")

_LINE_SECONDS = 15.0
_FAILURES_SHOWN = 5
_STATUS = {
    "complete": "complete",
    "failures": "some calls failed",
    "gave_up": "stopped: it kept failing",
    "budget": "stopped: budget",
    "skipped": "skipped",
}


@dataclass
class BuildView:
    """Shows how far each LLM is, on stderr, while its block runs."""

    names: tuple[str, ...]
    latest: dict[str, GradingProgress] = field(default_factory=dict)
    """What was last heard of each LLM."""

    def __post_init__(self) -> None:
        self._console = stderr()
        self._live: Live | None = None
        self._spoken: dict[str, float] = {}

    def __enter__(self) -> BuildView:
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __rich__(self) -> Table:
        """Return the table as it stands."""
        table = _progress_table()
        for name in self.names:
            progress = self.latest.get(name)
            if progress is None:
                table.add_row(printable(name), "waiting")
            else:
                table.add_row(*_cells(progress), _minutes(progress.eta_seconds))
        return table

    def on(self, progress: GradingProgress) -> None:
        """Take in where one LLM is."""
        before = self.latest.get(progress.llm)
        self.latest[progress.llm] = progress
        if self._live is not None or progress == before:
            return
        now = time.monotonic()
        finished = progress.done == progress.total and (before is None or before.done < before.total)
        if finished or now - self._spoken.setdefault(progress.llm, now) >= _LINE_SECONDS:
            self._spoken[progress.llm] = now
            print_lines(self._console, _line(progress))


def estimate_table(estimate: BuildEstimate) -> Table:
    """Return what a build is expected to take."""
    table = Table("LLM", title="Estimate of what is left to do", title_justify="left")
    for heading in ("questions", "calls", "tokens read", "tokens written", "expected", "at most"):
        table.add_column(heading, justify="right")
    for row in estimate.llms:
        table.add_row(
            printable(row.llm),
            f"{row.questions:,}",
            f"{row.calls:,}",
            f"{row.prompt_tokens:,}",
            f"{row.completion_tokens:,}",
            dollars(row.cost_usd),
            dollars(row.most_usd),
        )
    table.add_section()
    total = dollars(estimate.cost_usd, at_least=estimate.known_usd)
    table.add_row("all", "", f"{sum(row.calls for row in estimate.llms):,}", "", "", total, dollars(estimate.most_usd))
    return table


def report_table(report: GradingReport) -> Table:
    """Return how a build ended."""
    table = _progress_table("how it ended")
    for row in report.answerers:
        table.add_row(*_cells(row.progress), _STATUS[row.status])
    return table


def failure_lines(report: GradingReport) -> list[str]:
    """Return why LLMs are not complete, with the first failures of each, in one line each."""
    lines = []
    for row in report.answerers:
        if row.note:
            lines.append(printable(f"{row.progress.llm}: {_STATUS[row.status]} ({row.note})"))
        shown = row.failures[:_FAILURES_SHOWN]
        lines += [printable(f"{row.progress.llm}, {f.question_id}: {f.error}") for f in shown]
        if row.progress.failed > len(shown):
            lines.append(f"{row.progress.llm}: {row.progress.failed - len(shown):,} more calls failed")
    return lines


def report_json(report: GradingReport) -> dict[str, Any]:
    """Return the report as JSON."""
    return {
        "complete": report.complete,
        "seconds": report.seconds,
        "llms": [
            {
                **asdict(row.progress),
                "status": row.status,
                "note": row.note,
                "failures": [asdict(failure) for failure in row.failures],
            }
            for row in report.answerers
        ],
    }


def print_lines(console: Console, *lines: str) -> None:
    """Print lines that are not cut or wrapped."""
    for line in lines:
        console.print(line, soft_wrap=True)


def _progress_table(last: str = "left") -> Table:
    table = Table("LLM")
    for heading in ("done", "accuracy", "tokens", "cost", "per second", "failed", last):
        table.add_column(heading, justify="left" if heading == last else "right")
    return table


def _cells(progress: GradingProgress) -> tuple[str, ...]:
    written = progress.usage.completion_tokens
    return (
        printable(progress.llm),
        f"{progress.done:,}/{progress.total:,}",
        _percent(progress),
        "unknown" if written is None else f"{written:,}",
        dollars(progress.cost_usd),
        number(progress.rate, 2),
        f"{progress.failed:,}",
    )


def _line(progress: GradingProgress) -> str:
    name, done, accuracy, tokens, cost, rate, failed = _cells(progress)
    parts = [f"{name}: {done}", f"accuracy {accuracy}", f"{tokens} tokens", f"cost {cost}", f"{rate}/s"]
    parts += [f"{failed} failed"] * (progress.failed > 0)
    if progress.done < progress.total and progress.eta_seconds is not None:
        parts.append(f"{_minutes(progress.eta_seconds)} left")
    return ", ".join(parts)


def _percent(progress: GradingProgress) -> str:
    return "-" if progress.accuracy is None else f"{100 * progress.accuracy:.1f} %"


def _minutes(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"

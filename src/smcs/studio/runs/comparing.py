"""What differs between two runs as tables of words: every difference has a word and an icon beside its colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from smcs.gateway.entries import StoredRun
from smcs.studio.ask.words import plain_reason
from smcs.studio.cells import Cell, Tone
from smcs.studio.frame import format_count, format_seconds, format_usd
from smcs.studio.runs.difference import AnswerVerdict, Candidates, Difference, Figure, PriorChange
from smcs.studio.runs.rows import STATUS_VIEWS, strategy_label

__all__ = ("VERDICTS", "figure_cells", "ledger_rows", "prior_rows", "setting_rows", "summary_rows")

Row = tuple[Cell, ...]

VERDICTS: Final[Mapping[AnswerVerdict, Cell]] = {
    "same text": Cell("The same text", "drag_handle", "good"),
    "same answer": Cell("The same answer, in other words", "check_circle", "good"),
    "different": Cell("Different answers", "difference", "warn"),
    "unknown": Cell("Nobody can tell whether the answers agree", "help_outline", "muted"),
}
"""How two answers compare, in words."""

_NONE: Final = "none"
_MINUS: Final = "\u2212"
_SAME: Final = Cell("same", "drag_handle", "muted")
_CHANGED: Final = Cell("different", "difference", "warn")
_UNKNOWN: Final = Cell("unknown", "help_outline", "muted")
_LESS_IS_GOOD: Final = frozenset({"calls", "failed calls", "prompt tokens", "completion tokens", "cost", "seconds"})
_NAMES: Final[Mapping[str, str]] = {
    "calls": "Calls to LLMs",
    "failed calls": "Calls that gave nothing",
    "prompt tokens": "Tokens read",
    "completion tokens": "Tokens written",
    "cost": "Cost",
    "seconds": "Took",
    "support size": "Similar bank questions",
}

_SETTINGS: Final[Mapping[str, str]] = {"without": "without (parts of the method left out)"}


def summary_rows(difference: Difference, models: tuple[str, str]) -> tuple[Row, ...]:
    """Return what was asked of whom and what it took: name, run A, run B, what differs.

    Args:
        difference: The two runs.
        models: As they were asked for.
    """
    pairs = [
        ("Model asked for", models),
        ("Strategy", (strategy_label(difference.strategies[0]), strategy_label(difference.strategies[1]))),
        ("Answer written by", tuple(name or _NONE for name in difference.answered_by)),
        ("LLMs that answered", _referencers(difference)),
        ("Candidates", tuple(_candidates_text(each) for each in difference.candidates)),
        ("Less than asked for", tuple(_reasons(reasons) for reasons in difference.degraded)),
    ]
    told = [(Cell(name), Cell(a), Cell(b), _SAME if a == b else _CHANGED) for name, (a, b) in pairs]
    return (*told, *(figure_cells(figure) for figure in difference.figures))


def figure_cells(figure: Figure) -> Row:
    """Return a figure of both runs, and how much more or less the second one has."""
    change = figure.change
    before = _amount(figure.name, figure.before, figure.before_least)
    after = _amount(figure.name, figure.after, figure.after_least)
    return Cell(_NAMES[figure.name]), Cell(before), Cell(after), _changed(figure, change)


def ledger_rows(a: StoredRun, b: StoredRun) -> tuple[Row, ...]:
    """Return what the ledger alone says of two runs, where the record of at least one is missing."""
    pairs = (
        ("Model asked for", a.row.model, b.row.model),
        ("Strategy", strategy_label(a.row.strategy), strategy_label(b.row.strategy)),
        ("Status", STATUS_VIEWS[a.row.status].word, STATUS_VIEWS[b.row.status].word),
    )
    figures = (
        Figure("calls", a.row.calls, b.row.calls),
        Figure("prompt tokens", a.row.prompt_tokens, b.row.prompt_tokens),
        Figure("completion tokens", a.row.completion_tokens, b.row.completion_tokens),
        Figure(
            "cost",
            a.row.cost_usd,
            b.row.cost_usd,
            before_least=a.row.known_cost_usd,
            after_least=b.row.known_cost_usd,
        ),
        Figure("seconds", a.row.seconds, b.row.seconds),
    )
    told = [(Cell(name), Cell(one), Cell(other), _SAME if one == other else _CHANGED) for name, one, other in pairs]
    return (*told, *map(figure_cells, figures))


def setting_rows(difference: Difference) -> tuple[Row, ...]:
    """Return the parameters that differ: name, run A, run B."""
    return tuple(
        (Cell(_SETTINGS.get(each.name, each.name)), Cell(_setting(each.before)), Cell(_setting(each.after)))
        for each in difference.settings
    )


def _setting(value: str) -> str:
    return {"": "not set", "[]": _NONE}.get(value, value)


def prior_rows(difference: Difference) -> tuple[Row, ...]:
    """Return the LLMs whose estimate differs: name, run A, run B, how much."""
    return tuple(
        (Cell(each.llm), Cell(_share(each.before)), Cell(_share(each.after)), _prior_change(each))
        for each in difference.priors
    )


def _prior_change(each: PriorChange) -> Cell:
    if each.change is None:
        return Cell("only in B", "add", "muted") if each.before is None else Cell("only in A", "remove", "muted")
    up = each.change > 0
    points = f"{'+' if up else _MINUS}{abs(each.change) * 100:.1f} points"
    return Cell(points, "arrow_upward" if up else "arrow_downward", "good" if up else "bad")


def _referencers(difference: Difference) -> tuple[str, str]:
    before, after = (*difference.kept, *difference.removed), (*difference.kept, *difference.added)
    return ", ".join(before) or _NONE, ", ".join(after) or _NONE


def _candidates_text(candidates: Candidates) -> str:
    if not candidates.count:
        return _NONE
    parts = [str(candidates.count)]
    if candidates.distinct is not None:
        parts.append(f"{candidates.distinct} different answers" if candidates.distinct != 1 else "all of one answer")
    if candidates.score is not None:
        parts.append(f"best score {candidates.score:.3f}")
    if candidates.agreement is not None:
        parts.append(f"{candidates.agreement:.0%} of the votes")
    return ", ".join(parts)


def _reasons(reasons: tuple[str, ...]) -> str:
    return "; ".join(map(plain_reason, reasons)) or "no"


def _changed(figure: Figure, change: float | None) -> Cell:
    if change is None:
        return _UNKNOWN
    if change == 0:
        return _SAME
    more = change > 0
    amount = _amount(figure.name, abs(change), 0.0)
    tone: Tone = "muted" if figure.name not in _LESS_IS_GOOD else "bad" if more else "good"
    icon = "arrow_upward" if more else "arrow_downward"
    return Cell(f"{'+' if more else _MINUS}{amount}{_share_of(figure.before, change)}", icon, tone)


def _share_of(before: float | None, change: float) -> str:
    """Return a change as a share of what it was, where that says something."""
    return "" if not before else f" ({'+' if change > 0 else _MINUS}{abs(change) / before:.0%})"


def _amount(name: str, value: float | None, least: float) -> str:
    match name:
        case "cost":
            return format_usd(value, least)
        case "seconds":
            return format_seconds(value)
        case _ if value is None:
            return f"unknown, at least {least:,.0f}" if least else "unknown"
        case _:
            return format_count(int(value))


def _share(accuracy: float | None) -> str:
    return "no estimate" if accuracy is None else f"{accuracy:.1%}"

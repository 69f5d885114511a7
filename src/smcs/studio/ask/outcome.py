"""The steps after the answers: how candidates compare, who waited for whom, and what it cost."""

from __future__ import annotations

import math
from typing import Final

from nicegui import ui

from smcs.studio.ask.parts import NO_FIGURE, Figures, hint, plain, say, shortened, step
from smcs.studio.ask.state import Call, Progress, ScoreTable, Span, Term, Totals
from smcs.studio.ask.words import call_line, listed, plural
from smcs.studio.frame import format_count, format_seconds, format_usd
from smcs.studio.plot_data import Table
from smcs.studio.plots import data_button

__all__ = ("CostStep", "ScoresStep", "TimelineStep", "nice_scale", "timeline_table", "waited_for")

_TERM_NAMES: Final[dict[Term, str]] = {
    "similarity": "Similarity",
    "sureness": "1 - perplexity",
    "agreement": "Vote",
}
_EXPLAINED: Final[dict[Term, str]] = {
    "similarity": "Similarity: how alike a text is to all candidates on average (1 is the same).",
    "sureness": "1 - perplexity: how surely it was written (0 is best; the more the writer hesitated, the lower).",
    "agreement": "Vote: the share of the vote for its answer.",
}
_NAME: Final = 60
_ROWS: Final = 60
_TICKS: Final = 4
_ROW: Final = (
    "display: grid; grid-template-columns: minmax(4.5rem, 1fr) minmax(6rem, 3fr) minmax(4rem, 1fr); gap: .6rem"
)


class ScoresStep:
    """The table that says why one candidate won."""

    def __init__(self) -> None:
        with step("Why this one", "All candidates were scored, and the best total won.") as self._box:
            self._box.props("data-testid=step-scores")
            self._body = ui.element("div")
        self._shown: ScoreTable | None = None

    def show(self, progress: Progress) -> None:
        """Show the scores."""
        if progress.scores == self._shown:
            return
        self._shown = progress.scores
        self._box.set_visibility(progress.scores is not None)
        self._body.clear()
        if progress.scores is not None:
            with self._body:
                _scores(progress.scores)


def _scores(table: ScoreTable) -> None:
    answers = any(row.group is not None for row in table.rows)
    columns = [("Candidate", False), ("Written by", False), ("From", False)]
    columns += [("Answer", True)] if answers else []
    columns += [(_TERM_NAMES[term], True) for term in table.terms]
    view = Figures([*columns, ("Total", True), ("", False)], "Scores of the candidates")
    for row in table.rows[:_ROWS]:
        cells = [f"{row.number}", shortened(row.llm, _NAME), listed(row.members) if row.members else "its own answer"]
        cells += [_group(row.group)] if answers else []
        cells += [_figure(value) for value in row.terms]
        view.set(f"{row.number}", [*cells, _figure(row.total), "chosen" if row.chosen else ""])
    if len(table.rows) > _ROWS:
        hint(f"The best {_ROWS} of {plural(len(table.rows), 'candidate')}.")
    hint(f"{table.formula[:1].upper()}{table.formula[1:]}.")
    for term in table.terms:
        hint(_EXPLAINED[term])
    if answers:
        hint(
            "Answer: candidates with the same number say the same; a dash is a text in which no short answer was found."
        )


def _group(group: int | None) -> str:
    return NO_FIGURE if group is None or group < 0 else f"{group + 1}"


def _figure(value: float | None) -> str:
    if value is None:
        return NO_FIGURE
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.2e}"


class TimelineStep:
    """Every call as a bar on the clock."""

    def __init__(self) -> None:
        explained = "Every call from when it was sent to when it ended, in seconds after your question."
        with step("Timeline", explained) as self._box:
            self._box.props("data-testid=step-timeline")
            rows = ui.element("div").props("role=list").classes("smcs-stack").style("gap: .2rem")
            with rows:
                self._stages, self._calls = (
                    ui.element("div").props("role=presentation").style("display: contents") for _ in range(2)
                )
            self._axis = _Axis()
            self._cut = hint("")
            data_button(lambda: "Timeline", lambda: timeline_table(self._shown))
        self._shown = Progress()
        self._bars: dict[str, _Bar] = {}
        self._scale = 0.0

    def show(self, progress: Progress) -> None:
        """Move the bars; those that stand still cost nothing."""
        self._shown = progress
        calls = [call for call in progress.calls if call.status != "skipped"]
        self._box.set_visibility(bool(calls))
        if not calls:
            return
        now = progress.seconds
        scale = nice_scale(now)
        if scale != self._scale:
            self._scale = scale
            self._axis.show(scale)
        shown = calls[:_ROWS]
        keys = {*(f"span/{span.name}" for span in progress.spans), *(call.key for call in shown)}
        if any(key not in keys for key in self._bars):
            self._bars.clear()
            self._stages.clear()
            self._calls.clear()
        for span in progress.spans:
            self._bar(f"span/{span.name}", span.name, stage=True).show(*_of_span(span, now), scale)
        for call in shown:
            end = now if call.seconds is None else (call.started or 0.0) + call.seconds
            self._bar(call.key, call.llm, stage=False).show(call.started or 0.0, end, _said(call, calls), scale, call)
        say(self._cut, f"The first {_ROWS} of {plural(len(calls), 'call')}." if len(calls) > _ROWS else "")

    def _bar(self, key: str, name: str, *, stage: bool) -> _Bar:
        bar = self._bars.get(key)
        if bar is None:
            with self._stages if stage else self._calls:
                bar = self._bars[key] = _Bar(name, stage=stage)
        return bar


class _Bar:
    """One row of the timeline."""

    def __init__(self, name: str, *, stage: bool) -> None:
        with ui.element("div").props("role=listitem data-testid=timeline-row").style(f"{_ROW}; align-items: center"):
            label = plain(name, _NAME).classes("smcs-small")
            label.style("font-weight: 600" if stage else "padding-left: .6rem")
            with ui.element("div").style("position: relative; height: .8rem; background: var(--smcs-sunken)"):
                self._bar = ui.element("div").props("aria-hidden=true")
                self._bar.style("position: absolute; top: 0; bottom: 0; min-width: 2px; border-radius: 3px")
            self._said = plain("").classes("smcs-small smcs-muted")
        self._stage = stage
        self._at: tuple[float, float, str] | None = None

    def show(self, start: float, end: float, said: str, scale: float, call: Call | None = None) -> None:
        """Place it.

        Args:
            start: Seconds after the run began.
            end: The same.
            said: What stands beside it.
            scale: Seconds the track is long.
            call: What it is, unless it is a stage.
        """
        left = 100 * min(start / scale, 1.0) if scale > 0 else 0.0
        width = 100 * min(max(end - start, 0.0) / scale, 1.0) if scale > 0 else 0.0
        at = (round(left, 2), round(min(width, 100 - left), 2), _paint(call))
        if at != self._at:
            self._at = at
            self._bar.style(f"left: {at[0]}%; width: {at[1]}%; background: {at[2]}")
            self._bar.props["title"] = f"{start:.2f} s to {end:.2f} s"
        say(self._said, said)


def _paint(call: Call | None) -> str:
    if call is None:
        return "var(--smcs-muted)"
    if call.failed:
        return "var(--smcs-bad)"
    if call.status == "cancelled":
        return "var(--smcs-warn)"
    return "var(--smcs-accent)" if call.stage == "reference" else "var(--smcs-good)"


def timeline_table(progress: Progress) -> Table:
    """Return when stages and calls began and ended, in seconds after the question; empty is not known yet."""
    calls = [call for call in progress.calls if call.status != "skipped"]
    rows: list[tuple[str | float | None, ...]] = [
        ("stage", span.name, span.start, span.end, "", "") for span in progress.spans
    ]
    for call in calls:
        last = waited_for(call, calls)
        rows.append((call.stage, call.llm, call.started, _end(call), call.status, "" if last is None else last.llm))
    return Table(("What", "Name", "Began (s)", "Ended (s)", "Status", "Waited for"), tuple(rows))


class _Axis:
    """The seconds under the bars."""

    def __init__(self) -> None:
        with ui.element("div").style(_ROW).props("aria-hidden=true"):
            ui.label("Seconds").classes("smcs-muted smcs-small")
            with ui.element("div").style("display: flex; justify-content: space-between"):
                self._ticks = [ui.label().classes("smcs-muted smcs-small smcs-num") for _ in range(_TICKS + 1)]
            ui.element("div")

    def show(self, scale: float) -> None:
        for at, tick in enumerate(self._ticks):
            tick.set_text(f"{scale * at / _TICKS:.3g}")


def nice_scale(seconds: float) -> float:
    """Return a number of seconds that so many fit in, round and with round quarters; the bars seldom move with it."""
    least = max(seconds * 1.02, 0.1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= least)


def _of_span(span: Span, now: float) -> tuple[float, float, str]:
    end = now if span.end is None else span.end
    return span.start, end, format_seconds(end - span.start) if span.end is not None else "going on"


def _said(call: Call, calls: list[Call]) -> str:
    if call.seconds is None:
        return call_line(call)
    took = format_seconds(call.seconds)
    if call.status != "ok":
        return f"{took}, {call_line(call)}"
    last = waited_for(call, calls)
    return f"{took}, waited for {last.llm}" if last is not None else took


def waited_for(call: Call, calls: list[Call]) -> Call | None:
    """Return the call whose end a merge began after; `None` where that is not known.

    A merge that began while somebody still answered needed its members alone. Where everybody had come to an end,
    all were waited for: a vote over all answers may say whether they are merged.
    """
    if not call.members or call.started is None:
        return None
    before = [(end, each) for each in calls if (end := _end(each)) is not None and end <= call.started]
    answers = sum(each.stage == "reference" and each.started is not None for each in calls)
    everybody = answers == sum(each.stage == "reference" for _, each in before)
    needed = [
        (end, each)
        for end, each in before
        if (each.llm in call.members and each.status == "ok") or (everybody and each.stage == "reference")
    ]
    return max(needed, key=lambda ended: ended[0])[1] if needed else None


def _end(call: Call) -> float | None:
    return None if call.started is None or call.seconds is None else call.started + call.seconds


class CostStep:
    """What the calls took, by LLM."""

    def __init__(self) -> None:
        explained = "Tokens are pieces of words: those an LLM reads and those it writes are what providers charge for."
        with step("Cost and tokens", explained) as self._box:
            self._box.props("data-testid=step-cost")
            columns = ("LLM", False), ("Calls", True), ("Read", True), ("Written", True), ("Cost", True), ("Time", True)
            self._table = Figures(columns, "Calls, tokens, cost and time by LLM")
            self._cut = hint("")
        self._shown: Totals | None = None
        self._order: tuple[str, ...] = ()

    def show(self, progress: Progress) -> None:
        """Show what was taken so far."""
        totals = progress.totals
        if totals == self._shown or not totals.by_llm:
            return
        self._shown = totals
        self._box.set_visibility(True)
        order = tuple(use.llm for use in totals.by_llm)
        if order != self._order:
            self._order = order
            self._table.clear()
        for use in totals.by_llm[:_ROWS]:
            read, written = format_count(use.prompt_tokens), format_count(use.completion_tokens)
            cost = format_usd(use.cost_usd, use.known_cost_usd)
            calls = f"{use.calls:,}"
            self._table.set(
                use.llm, [shortened(use.llm, _NAME), calls, read, written, cost, format_seconds(use.seconds)]
            )
        many = len(totals.by_llm)
        say(self._cut, f"The dearest {_ROWS} of {plural(many, 'LLM')}; All has the others too." if many > _ROWS else "")
        usage = totals.usage
        cost = format_usd(totals.cost_usd, totals.known_cost_usd)
        read, written = format_count(usage.prompt_tokens), format_count(usage.completion_tokens)
        self._table.set("", ["All", f"{totals.calls:,}", read, written, cost, NO_FIGURE])

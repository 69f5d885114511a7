"""The live view of a run, and the report after it; both read nothing but the run's events and its record."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from smcs.cli._console import dollars, number, printable
from smcs.run import (
    AttemptFinished,
    AttemptStarted,
    Candidate,
    CandidateArrived,
    CandidatesScored,
    Degraded,
    EstimatedPrior,
    Event,
    PriorFound,
    Run,
    RunFinished,
    RunStarted,
    SubsetsDrawn,
    SupportQuestion,
)

__all__ = ("LiveView", "explain", "summary")

_BAR = 16
_ANSWERING = "answering"


@dataclass
class LiveView:
    """Shows a run while it happens: hand it to `rich.live.Live` and feed it events through `on`."""

    _query: str = ""
    _support: tuple[SupportQuestion, ...] = ()
    _support_size: int = 0
    _priors: tuple[EstimatedPrior, ...] = ()
    _referencers: tuple[str, ...] = ()
    _status: dict[str, Text] = field(default_factory=dict[str, Text])
    _subsets: tuple[tuple[str, ...], ...] = ()
    _candidates: list[Candidate] = field(default_factory=list[Candidate])
    _chosen: int | None = None
    _aggregating: list[str] = field(default_factory=list[str])
    _degraded: list[str] = field(default_factory=list[str])
    _done: bool = False
    _spinner: Spinner = field(default_factory=lambda: Spinner("dots"))
    _begun: float = field(default_factory=time.perf_counter)

    def on(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case RunStarted(query=query):
                self._query = query.text
            case PriorFound():
                self._support, self._support_size = event.support, event.support_size
                self._priors, self._referencers = event.priors, event.referencers
            case SubsetsDrawn(subsets=subsets):
                self._subsets = subsets
            case AttemptStarted(llm=llm, stage="reference"):
                self._status[llm] = Text(_ANSWERING, style="yellow")
            case AttemptStarted(llm=llm, stage="aggregation"):
                self._aggregating.append(llm)
            case AttemptFinished(attempt=attempt) if attempt.stage == "reference":
                ok = attempt.status == "ok"
                words = f"answered in {attempt.seconds:.1f} s" if ok else f"{attempt.status}: {attempt.error}"
                self._status[attempt.llm] = Text(printable(words), style="green" if ok else "red")
            case AttemptFinished(attempt=attempt) if attempt.llm in self._aggregating:
                self._aggregating.remove(attempt.llm)
            case CandidateArrived(candidate=candidate):
                self._candidates.append(candidate)
            case CandidatesScored(candidates=candidates, chosen=chosen):
                self._candidates, self._chosen = list(candidates), chosen
            case Degraded(reason=reason):
                self._degraded.append(reason)
            case RunFinished():
                self._done = True
            case _:
                pass

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [Text(printable(self._query)[:300], style="bold")]
        if not self._priors and not self._status:
            self._spinner.update(text=Text("choosing whom to ask"))
            return Group(*parts, self._spinner)
        parts += [self._support_line(), self._llms()] if self._priors else [self._asked()]
        if self._candidates or self._aggregating:
            parts.append(score_table(self._candidates, self._chosen))
        parts += [Text(f"degraded: {printable(reason)}", style="yellow") for reason in self._degraded]
        if not self._done:
            self._spinner.update(text=self._doing())
            parts.append(self._spinner)
        return Group(*parts)

    def _support_line(self) -> Text:
        nearest = self._support[0] if self._support else None
        if nearest is None:
            return Text("no question bank: every LLM has the same prior", style="dim")
        return Text(
            f"{self._support_size} similar questions; nearest ({nearest.similarity:.2f}): "
            f"{' '.join(printable(nearest.text).split())[:90]}",
            style="dim",
        )

    def _llms(self) -> Table:
        table = Table("LLM", "right on similar questions", "", box=None, pad_edge=False)
        for estimate in self._priors:
            chosen = estimate.llm in self._referencers
            name = Text(estimate.llm, style="bold" if chosen else "dim")
            table.add_row(name, _bar(estimate), self._status.get(estimate.llm, Text("" if chosen else "not asked")))
        return table

    def _asked(self) -> Table:
        """Return who was asked, for strategies that need no priors."""
        table = Table("LLM", "", box=None, pad_edge=False)
        for name, status in self._status.items():
            table.add_row(Text(name, style="bold"), status)
        return table

    def _doing(self) -> Text:
        seconds = time.perf_counter() - self._begun
        if self._aggregating:
            names = ", ".join(dict.fromkeys(self._aggregating))
            return Text(f"{names} merges references: {len(self._candidates)} of {len(self._subsets)} ({seconds:.0f} s)")
        answers = [self._status.get(name) for name in self._referencers or self._status]
        if any(status is None or status.plain == _ANSWERING for status in answers):
            return Text(f"waiting for references ({seconds:.0f} s)")
        return Text(f"comparing candidates ({seconds:.0f} s)")


def _bar(estimate: EstimatedPrior) -> Text:
    if estimate.accuracy is None:
        return Text("unknown", style="dim")
    filled = round(max(0.0, min(1.0, estimate.accuracy)) * _BAR)
    return Text.assemble(("█" * filled, "cyan"), ("░" * (_BAR - filled), "dim"), f" {estimate.accuracy:4.0%}")


def score_table(candidates: list[Candidate], chosen: int | None) -> Table:
    """Return the candidates with the terms of their score and its total."""
    voted = any(candidate.agreement is not None for candidate in candidates)
    columns = ("draw", "from", "similarity", "perplexity", *(("agreement",) if voted else ()), "total", "")
    table = Table(*columns, box=None, pad_edge=False)
    for index, candidate in enumerate(candidates):
        best = index == chosen
        text = " ".join(printable(candidate.text).split())
        table.add_row(
            str(candidate.draw + 1),
            ", ".join(candidate.members) or candidate.llm,
            number(candidate.similarity),
            number(candidate.perplexity),
            *((number(candidate.agreement),) if voted else ()),
            number(candidate.score),
            Text(text[:60] + ("…" if len(text) > 60 else ""), style="green" if best else "dim"),
            style="bold" if best else "",
        )
    return table


def summary(run: Run) -> Text:
    """Return one line on what a run took."""
    bound = "at least " if run.usage.completion_tokens is None else ""
    parts = [
        f"{run.seconds:.1f} s",
        f"{run.calls} calls",
        f"{bound}{run.known_usage.completion_tokens} tokens written",
        f"cost {dollars(run.cost_usd, at_least=run.known_cost_usd)}",
        f"written by {run.answered_by}",
    ]
    return Text(", ".join(parts), style="dim")


def explain(run: Run) -> RenderableType:
    """Return the evidence behind an answer: support questions, priors, calls and the score table."""
    support = Table("similarity", "task", "question", title="Support questions", title_justify="left", box=None)
    for question in run.support:
        support.add_row(f"{question.similarity:.3f}", question.task, " ".join(printable(question.text).split())[:100])
    priors = Table("LLM", "prior", "accuracy", "first-draw weight", title="Priors", title_justify="left", box=None)
    for estimate in run.priors:
        priors.add_row(estimate.llm, number(estimate.prior), number(estimate.accuracy), number(estimate.drop_weight))
    calls = Table("call", "LLM", "status", "seconds", "tokens", "cost", title="Calls", title_justify="left", box=None)
    for attempt in run.attempts:
        status = attempt.status if attempt.error is None else f"{attempt.status}: {printable(attempt.error)}"
        tokens = attempt.usage.completion_tokens
        calls.add_row(
            attempt.stage,
            attempt.llm,
            status,
            f"{attempt.seconds:.2f}",
            "-" if tokens is None else str(tokens),
            dollars(attempt.cost_usd),
        )
    scores = score_table(list(run.candidates), run.chosen)
    scores.title, scores.title_justify = "Candidates", "left"
    shown = f"{len(run.support)} nearest of {run.support_size} support questions"
    stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in run.stage_seconds.items())
    parts: list[RenderableType] = [Text(shown, style="dim"), support, priors, calls, scores, Text(stages, style="dim")]
    parts += [Text(f"{name}: {printable(str(value))[:200]}", style="dim") for name, value in run.notes.items()]
    parts += [Text(f"degraded: {printable(reason)}", style="yellow") for reason in run.degraded]
    return Panel(Group(*parts), title="why this answer", title_align="left")

"""From a run's events, or its stored record, to what is shown of it.

Events are folded in as they come, a piece of text in well under a microsecond; `Fold.progress` makes the frozen view,
a few times a second, and keeps the parts that did not change the same objects, so that a view can skip them. A stored
record goes the same way: the last event of a live run is its record, so both end in the same view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from smcs.gateway.entries import StoredRun
from smcs.run import (
    AnswerBegins,
    AttemptFinished,
    AttemptStarted,
    Candidate,
    CandidateArrived,
    CandidatesScored,
    Degraded,
    EstimatedPrior,
    Event,
    Noted,
    PriorFound,
    Replaced,
    Run,
    RunFinished,
    RunStarted,
    SubsetsDrawn,
    SupportQuestion,
    TextArrived,
)
from smcs.studio.ask.calls import CallBook
from smcs.studio.ask.scores import score_table
from smcs.studio.ask.state import Answer, Phase, PoolRow, Progress, Span, Support
from smcs.studio.ask.totals import add_up
from smcs.studio.ask.words import left_out, out_of_reach, plain_reason, remarks_of

__all__ = ("Fold", "of_run")


class Fold:
    """Collects the events of one run; feed it on the event loop and ask for `progress` whenever a view is due."""

    def __init__(self) -> None:
        self._book = CallBook()
        self._shown = Progress()
        self._changed: set[str] = set()
        self._at = 0.0
        self._priors: tuple[EstimatedPrior, ...] = ()
        self._referencers: tuple[str, ...] = ()
        self._replaced: list[tuple[str, str]] = []
        self._found_at: float | None = None
        self._subsets: tuple[tuple[str, ...], ...] = ()
        self._candidates: list[Candidate] = []
        self._degraded: list[str] = []
        self._notes: dict[str, Any] = {}
        self._writes: tuple[str, str] | None = None
        self._pieces: list[str] = []
        self._on: dict[type, Callable[[Any], None]] = {
            RunStarted: self._started,
            PriorFound: self._prior,
            SubsetsDrawn: self._drawn,
            AttemptStarted: self._sent,
            Replaced: self._took_over,
            AnswerBegins: self._begins,
            TextArrived: self._text,
            AttemptFinished: self._ended,
            CandidateArrived: self._arrived,
            CandidatesScored: self._scored,
            Noted: self._noted,
            Degraded: self._lessened,
            RunFinished: self._finished,
        }
        self._make: dict[str, Callable[[], Any]] = {
            "pool": lambda: _pool(self._priors, self._referencers, self._replaced, self._degraded),
            "answers": self._book.answers,
            "merges": lambda: self._book.merges(self._candidates),
            "subsets": lambda: self._subsets or None,
            "candidates": lambda: tuple(self._candidates) or None,
            "scores": lambda: score_table(self._candidates or None, self._shown.chosen, self._shown.settings),
            "answer": self._make_answer,
            "degradations": lambda: tuple(map(plain_reason, self._degraded)),
            "remarks": lambda: (*left_out(self._shown.strategy, self._shown.settings), *remarks_of(self._notes)),
            "spans": lambda: _spans(self._book, self._found_at, None, None),
            "totals": lambda: add_up(self._book.taken()),
        }

    def add(self, event: Event) -> None:
        """Take an event in."""
        self._on[type(event)](event)

    @property
    def has_news(self) -> bool:
        """Whether anything but the time has changed since `progress` was last asked for."""
        return bool(self._changed)

    def end(self, phase: Phase, error: str = "", *, elapsed: float = 0.0) -> None:
        """Say that a run ended without an answer: "failed", with why, or "stopped".

        Args:
            phase: Which of the two.
            error: Why it failed.
            elapsed: Seconds since it began.
        """
        at = max(self._at, elapsed, self._shown.seconds)
        self._book.close("the run was cancelled" if phase == "stopped" else "the run ended before it", at)
        self._shown = replace(self._shown, phase=phase, error=error, seconds=at)
        self._touch("answers", "merges", "answer", "spans", "totals")

    def progress(self, elapsed: float = 0.0) -> Progress:
        """Return what is to be shown now.

        Args:
            elapsed: Seconds since the run began, for one that goes on and says nothing.
        """
        old = self._shown
        if old.phase == "done":
            return old
        changed, self._changed = self._changed, set()
        made = {name: self._make[name]() for name in changed}
        new = {name: value for name, value in made.items() if value != getattr(old, name)}
        seconds = old.seconds if old.has_ended else max(self._at, elapsed, old.seconds)
        phase = old.phase if old.has_ended else self._phase()
        self._shown = replace(old, phase=phase, seconds=seconds, **new)
        return self._shown

    # Events

    def _started(self, event: RunStarted) -> None:
        self._shown = replace(
            self._shown,
            run_id=event.run_id,
            strategy=event.strategy,
            question=event.query.text,
            settings=event.settings,
        )
        self._touch("remarks")

    def _prior(self, event: PriorFound) -> None:
        self._at = self._found_at = event.at
        self._priors, self._referencers = event.priors, event.referencers
        self._book.recruit(event.referencers)
        support = _support(event.support_size, event.support, event.sources)
        self._shown = replace(self._shown, support=support)
        self._touch("pool", "answers", "spans")

    def _drawn(self, event: SubsetsDrawn) -> None:
        self._at = event.at
        self._subsets = event.subsets
        self._touch("subsets")

    def _sent(self, event: AttemptStarted) -> None:
        self._at = event.at
        self._book.start(event)
        self._touch("answers", "merges", "spans")

    def _took_over(self, event: Replaced) -> None:
        self._at = event.at
        lost, by = event.lost, event.by
        self._replaced.append((lost, by))
        self._notes["replaced"] = [list(pair) for pair in self._replaced]
        self._priors = _moved(self._priors, lost, by)
        self._referencers = tuple(by if name == lost else name for name in self._referencers)
        self._subsets = tuple(tuple(by if name == lost else name for name in subset) for subset in self._subsets)
        self._book.replace(lost, by)
        self._touch("pool", "answers", "subsets", "remarks")

    def _begins(self, event: AnswerBegins) -> None:
        self._at = event.at
        self._writes = (event.llm, event.stage)
        self._touch("answer")

    def _text(self, event: TextArrived) -> None:
        self._at = event.at
        stage = event.stage
        if event.text:
            self._book.write(event)
            self._changed.add("answers" if stage == "reference" else "merges")
            if self._writes is not None and self._writes == (event.llm, stage):
                self._pieces.append(event.text)
                self._changed.add("answer")

    def _ended(self, event: AttemptFinished) -> None:
        self._at = event.at
        self._book.finish(event.attempt, event.call)
        self._touch("answers", "merges", "spans", "totals")

    def _arrived(self, event: CandidateArrived) -> None:
        self._at = event.at
        self._candidates.append(event.candidate)
        self._candidates.sort(key=lambda candidate: candidate.draw)
        self._touch("candidates")

    def _scored(self, event: CandidatesScored) -> None:
        self._at = event.at
        self._candidates = list(event.candidates)
        self._shown = replace(self._shown, chosen=event.chosen)
        self._touch("candidates", "scores")

    def _noted(self, event: Noted) -> None:
        self._at = event.at
        self._notes[event.name] = event.value
        self._touch("remarks")

    def _lessened(self, event: Degraded) -> None:
        self._at = event.at
        self._degraded.append(event.reason)
        self._touch("degradations", "pool")

    def _finished(self, event: RunFinished) -> None:
        self._shown = of_run(event.run)
        self._changed.clear()

    # Views

    def _touch(self, *names: str) -> None:
        self._changed.update(names)

    def _phase(self) -> Phase:
        if self._book.merging:
            return "merging" if self._book.running else "deciding"
        if self._book.running:
            return "asking"
        return "deciding" if self._book.begun and self._candidates else "asking" if self._book.begun else "choosing"

    def _make_answer(self) -> Answer | None:
        """Return what there is of an answer that is written live."""
        if self._writes is None:
            return None
        self._pieces[:] = ["".join(self._pieces)]
        return Answer(self._pieces[0], self._writes[0], live=not self._shown.has_ended)


def of_run(run: Run) -> Progress:
    """Return the view of a stored record: what its events folded would show at the end."""
    book = CallBook()
    replaced = _pairs(run.notes.get("replaced"))
    book.recruit(run.referencers)
    for lost, by in reversed(replaced):
        book.replace(lost, by)
    for attempt in run.attempts:
        book.finish(attempt)
    book.close()
    answered = bool(run.answered_by)
    phase: Phase = "done" if answered else "failed"
    scoring = run.stage_seconds.get("scoring")
    return Progress(
        run_id=run.id,
        strategy=run.strategy,
        question=run.query.text,
        phase=phase,
        seconds=run.seconds,
        settings=run.settings,
        support=_support(run.support_size, run.support, run.support_sources),
        pool=_pool(run.priors, run.referencers, replaced, run.degraded),
        answers=book.answers(),
        subsets=run.subsets or None,
        merges=book.merges(run.candidates),
        candidates=run.candidates or None,
        chosen=run.chosen,
        scores=score_table(run.candidates or None, run.chosen, run.settings),
        answer=Answer(run.answer, run.answered_by) if answered else None,
        degradations=tuple(map(plain_reason, run.degraded)),
        remarks=(*left_out(run.strategy, run.settings), *remarks_of(run.notes)),
        spans=_spans(
            book,
            run.stage_seconds.get("retrieval"),
            None if scoring is None else max(run.seconds - scoring, 0.0),
            run.seconds,
        ),
        totals=replace(
            add_up(book.attempts),
            calls=run.calls,
            usage=run.usage,
            known_usage=run.known_usage,
            cost_usd=run.cost_usd,
            known_cost_usd=run.known_cost_usd,
        ),
    )


def stored_progress(stored: StoredRun) -> Progress | None:
    """Return what is shown of a stored run; `None` where there is no record."""
    if stored.record is None:
        return None
    shown = of_run(stored.record)
    if stored.row.status == "cancelled":
        return replace(shown, phase="stopped")
    return replace(shown, error=stored.row.error or "") if shown.phase == "failed" else shown


def _support(size: int, nearest: tuple[SupportQuestion, ...], sources: Mapping[str, float]) -> Support | None:
    """Return the support set; `None` for a strategy that looks nothing up, or finds nothing."""
    if not size and not nearest:
        return None
    return Support(size, tuple(nearest), tuple(sorted(sources.items(), key=lambda item: (-item[1], item[0]))))


def _pool(
    priors: Iterable[EstimatedPrior],
    referencers: tuple[str, ...],
    replaced: list[tuple[str, str]],
    degraded: Iterable[str],
) -> tuple[PoolRow, ...] | None:
    """Return who could be asked; `None` for a strategy that ranks nobody."""
    by, lost = dict(replaced), {taker: gone for gone, taker in replaced}
    asked = set(referencers)
    rows = tuple(
        PoolRow(
            each.llm,
            each.accuracy,
            each.prior,
            each.drop_weight,
            each.predicted,
            recruited=each.llm in asked,
            replaced_by=by.get(each.llm, ""),
            replaces=lost.get(each.llm, ""),
        )
        for each in priors
    )
    known = {row.llm for row in rows}
    out = out_of_reach(tuple(degraded))
    return (*rows, *(PoolRow(llm, out=why) for llm, why in out.items() if llm not in known)) if rows else None


def _moved(priors: tuple[EstimatedPrior, ...], lost: str, by: str) -> tuple[EstimatedPrior, ...]:
    """Give the weight of an LLM that failed to the one that takes its place, as the record does."""
    weight = next((each.drop_weight for each in priors if each.llm == lost), None)
    given = {lost: None} if weight is None else {lost: None, by: weight}
    return tuple(replace(each, drop_weight=given[each.llm]) if each.llm in given else each for each in priors)


def _pairs(noted: Any) -> list[tuple[str, str]]:
    rows = noted if isinstance(noted, list | tuple) else ()
    return [(str(row[0]), str(row[1])) for row in rows if isinstance(row, list | tuple) and len(row) == 2]


def _spans(book: CallBook, found: float | None, scoring: float | None, end: float | None) -> tuple[Span, ...]:
    """Return the stages on the clock: asking and merging are as long as their calls."""
    spans = [] if found is None else [Span("Choosing whom to ask", 0.0, found)]
    for name, span in (("Answering", book.span("reference")), ("Merging", book.span("aggregation"))):
        if span is not None:
            spans.append(Span(name, *span))
    if scoring is not None:
        spans.append(Span("Choosing the best answer", scoring, end))
    return tuple(spans)

"""What differs between two runs, as one frozen record. What is not known stays unknown: no figure is made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Literal

import msgspec

from smcs.errors import MissingExtraError
from smcs.grading import same_answers
from smcs.run import EstimatedPrior, Run

__all__ = (
    "AnswerVerdict",
    "Candidates",
    "Difference",
    "Figure",
    "FigureName",
    "PriorChange",
    "SettingChange",
    "compare",
)

AnswerVerdict = Literal["same text", "same answer", "different", "unknown"]
"""How two answers compare: to the letter, as the task's grader takes them, not, or nobody can tell."""

FigureName = Literal["calls", "failed calls", "prompt tokens", "completion tokens", "cost", "seconds", "support size"]
"""A figure that both runs have."""

_SAME_SHARE: Final = 0.0005
"""Shares of right answers closer than this are shown as equal, so they count as equal."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both runs."""

    name: FigureName
    before: float | None
    """Of the first run; `None` is unknown."""
    after: float | None
    _: KW_ONLY
    before_least: float = 0.0
    """What is known of it where it is unknown: a lower bound."""
    after_least: float = 0.0

    @property
    def change(self) -> float | None:
        """How much more the second run has; `None` where either is unknown."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class PriorChange:
    """How the estimate of one LLM differs."""

    llm: str
    before: float | None
    """Estimated share of right answers on questions like this, 0 to 1; `None` where the run has no estimate."""
    after: float | None

    @property
    def change(self) -> float | None:
        """How much better the second run thinks of it; `None` where either has no estimate."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A parameter that was not the same."""

    name: str
    """With dots where it is part of another one: "sampling.temperature"."""
    before: str
    """As JSON; empty where the run has no such parameter."""
    after: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a run had to choose from."""

    count: int
    distinct: int | None
    """Different answers among them; `None` where they were not compared."""
    score: float | None
    """Score of the chosen one; `None` where none was chosen among them or it has none."""
    agreement: float | None
    """Share of the votes for the chosen one's answer, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two runs beside each other; "before" is the first one."""

    same_question: bool
    """Whether both were shown the same conversation."""
    answers: AnswerVerdict
    why: str
    """Why the answers cannot be compared, or how they were."""
    strategies: tuple[str, str]
    answered_by: tuple[str, str]
    kept: tuple[str, ...]
    """LLMs that gave references in both runs."""
    added: tuple[str, ...]
    """Those of the second run only, best prior first."""
    removed: tuple[str, ...]
    """Those of the first run only, best prior first."""
    priors: tuple[PriorChange, ...]
    """LLMs whose estimate differs, the largest difference first; those with one estimate only come last."""
    settings: tuple[SettingChange, ...]
    """Parameters that differ, by name."""
    figures: tuple[Figure, ...]
    candidates: tuple[Candidates, Candidates]
    degraded: tuple[tuple[str, ...], tuple[str, ...]]
    """Why each answer is less than was asked for."""

    @property
    def same_answerer(self) -> bool:
        """Whether the same LLM wrote both answers."""
        return self.answered_by[0] == self.answered_by[1]


def compare(a: Run, b: Run) -> Difference:
    """Return what differs between two runs.

    Blocking: answers to mathematics may take seconds to compare, so call it in a thread from an event loop.

    Args:
        a: The first run ("before").
        b: The second run ("after").
    """
    same_question = a.query.messages == b.query.messages and a.query.choices == b.query.choices
    answers, why = _answers(a, b, same_question=same_question)
    return Difference(
        same_question=same_question,
        answers=answers,
        why=why,
        strategies=(a.strategy, b.strategy),
        answered_by=(a.answered_by, b.answered_by),
        kept=tuple(llm for llm in a.referencers if llm in b.referencers),
        added=tuple(llm for llm in b.referencers if llm not in a.referencers),
        removed=tuple(llm for llm in a.referencers if llm not in b.referencers),
        priors=_priors(a, b),
        settings=_settings(a.settings, b.settings),
        figures=_figures(a, b),
        candidates=(_candidates(a), _candidates(b)),
        degraded=(a.degraded, b.degraded),
    )


def _answers(a: Run, b: Run, *, same_question: bool) -> tuple[AnswerVerdict, str]:
    if not a.answer or not b.answer:
        return "unknown", "At least one of the answers was not kept, or there is none."
    if not same_question:
        return "unknown", "The runs answer different questions."
    if a.answer == b.answer:
        return "same text", "Equal to the letter."
    grader = a.query.grader or b.query.grader
    try:
        groups = same_answers((a.answer, b.answer), grader=grader, choices=a.query.choices, question=a.query.text)
    except MissingExtraError as error:
        return "unknown", str(error)
    if -1 in groups:
        return "unknown", "No short answer was found in at least one of the texts. Compare them word by word."
    how = "the short answers that the texts settle on" if grader is None else f"grader {grader!r}"
    return ("same answer" if groups[0] == groups[1] else "different"), f"Compared by {how}."


def _priors(a: Run, b: Run) -> tuple[PriorChange, ...]:
    before, after = _by_llm(a.priors), _by_llm(b.priors)
    changes = [PriorChange(llm, before.get(llm), after.get(llm)) for llm in dict.fromkeys((*before, *after))]
    differing = [
        each
        for each in changes
        if each.before != each.after and (each.change is None or abs(each.change) >= _SAME_SHARE)
    ]
    return tuple(sorted(differing, key=lambda each: (each.change is None, -abs(each.change or 0.0), each.llm)))


def _by_llm(priors: tuple[EstimatedPrior, ...]) -> dict[str, float | None]:
    return {estimate.llm: estimate.accuracy for estimate in priors}


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[SettingChange, ...]:
    flat = dict(_flat(before)), dict(_flat(after))
    names = sorted({*flat[0], *flat[1]})
    pairs = ((name, flat[0].get(name, ""), flat[1].get(name, "")) for name in names)
    return tuple(SettingChange(name, one, other) for name, one, other in pairs if one != other)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return parameters by their whole name, and their values as JSON."""
    flat: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", msgspec.json.encode(value).decode()))
    return flat


def _figures(a: Run, b: Run) -> tuple[Figure, ...]:
    known = a.known_usage, b.known_usage
    return (
        Figure("calls", a.calls, b.calls),
        Figure("failed calls", _failed(a), _failed(b)),
        Figure(
            "prompt tokens",
            a.usage.prompt_tokens,
            b.usage.prompt_tokens,
            before_least=known[0].prompt_tokens or 0,
            after_least=known[1].prompt_tokens or 0,
        ),
        Figure(
            "completion tokens",
            a.usage.completion_tokens,
            b.usage.completion_tokens,
            before_least=known[0].completion_tokens or 0,
            after_least=known[1].completion_tokens or 0,
        ),
        Figure("cost", a.cost_usd, b.cost_usd, before_least=a.known_cost_usd, after_least=b.known_cost_usd),
        Figure("seconds", a.seconds, b.seconds),
        Figure("support size", a.support_size, b.support_size),
    )


def _failed(run: Run) -> int:
    """Return how many calls gave nothing, those that were given up on purpose or never sent left out."""
    return sum(1 for attempt in run.attempts if attempt.status in ("error", "timeout", "empty"))


def _candidates(run: Run) -> Candidates:
    groups = [candidate.group for candidate in run.candidates]
    compared = [group for group in groups if group is not None]
    chosen = run.candidates[run.chosen] if run.chosen is not None and 0 <= run.chosen < len(run.candidates) else None
    return Candidates(
        len(run.candidates),
        len({group for group in compared if group >= 0}) + compared.count(-1) if compared else None,
        None if chosen is None else chosen.score,
        None if chosen is None else chosen.agreement,
    )

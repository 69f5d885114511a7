"""A run's events as short lines for people: what clients that show thinking see while LLMs collaborate.

Lines name LLMs, numbers and outcomes. No text of a model, a user or the bank is in them.
"""

from __future__ import annotations

import re
from typing import Final

from smcs.llms.untrusted import one_line
from smcs.run import (
    AnswerBegins,
    AttemptFinished,
    Candidate,
    CandidateArrived,
    CandidatesScored,
    Degraded,
    EstimatedPrior,
    Event,
    PriorFound,
    RunStarted,
    SubsetsDrawn,
)
from smcs.types import Attempt

__all__ = ("stage_line",)

_SHOWN: Final = 8
_QUOTED: Final = re.compile(r" \(.*\)|(?:(?<=as prior)|(?<=experts)|(?<=votes)|(?<=as plain text)): .*", re.DOTALL)
"""Where a reason quotes an error, which in turn may quote anything that an endpoint sent."""


def stage_line(event: Event) -> str | None:
    """Return what happened in one line without a line break, or `None` for events that people need not see."""
    match event:
        case RunStarted(strategy=strategy):
            return f"{strategy}: choosing whom to ask."
        case PriorFound():
            return _prior(event)
        case SubsetsDrawn(subsets=subsets):
            sizes = sorted({len(subset) for subset in subsets})
            members = " or ".join(str(size) for size in sizes)
            return f"Drew {_count(len(subsets), 'subset')} of {members} of their answers to merge."
        case AttemptFinished(attempt=attempt):
            return _attempt(attempt)
        case CandidateArrived(candidate=candidate):
            return _arrived(candidate)
        case CandidatesScored(candidates=candidates, chosen=chosen):
            return _scored(candidates, chosen)
        case AnswerBegins(llm=llm):
            return f"{llm} writes the answer."
        case Degraded(reason=reason):
            return f"Degraded: {_without_quotes(reason)}."
        case _:
            return None


def _prior(event: PriorFound) -> str:
    asked = {estimate.llm: estimate for estimate in event.priors}
    names = [_known(name, asked.get(name)) for name in event.referencers[:_SHOWN]]
    more = f" and {len(event.referencers) - _SHOWN} more" if len(event.referencers) > _SHOWN else ""
    asking = f"asking {', '.join(names)}{more}." if names else "nobody is asked."
    if not event.support_size:
        return f"Nothing is known about similar questions; {asking}"
    nearest = event.support[0] if event.support else None
    where = f" (nearest {nearest.similarity:.2f}{f', {nearest.task}' if nearest.task else ''})" if nearest else ""
    return f"Found {_count(event.support_size, 'similar question')}{where}; {asking}"


def _known(name: str, estimate: EstimatedPrior | None) -> str:
    if estimate is None or estimate.accuracy is None:
        return name
    return f"{name} ({estimate.accuracy:.0%} right there{', predicted' if estimate.predicted else ''})"


def _attempt(attempt: Attempt) -> str | None:
    merging = attempt.stage == "aggregation"
    if attempt.stage not in ("reference", "aggregation") or (merging and attempt.status == "ok"):
        return None
    what = "merging " if merging else ""
    match attempt.status:
        case "ok":
            return f"{attempt.llm} answered in {attempt.seconds:.1f} s."
        case "skipped":
            return f"{attempt.llm} was not asked: a cap would have been passed."
        case "cancelled":
            return f"{attempt.llm} was given up {what}after {attempt.seconds:.1f} s."
        case "timeout":
            return f"{attempt.llm} was too late {what}after {attempt.seconds:.1f} s."
        case _:
            status = f" (HTTP {attempt.http_status})" if attempt.http_status else ""
            why = "gave no text" if attempt.status == "empty" else "failed"
            return f"{attempt.llm} {why}{status} {what}after {attempt.seconds:.1f} s."


def _arrived(candidate: Candidate) -> str:
    if not candidate.members:
        return f"Candidate {candidate.draw + 1} is the answer of {candidate.llm}."
    merged = _count(len(candidate.members), "answer")
    return f"Candidate {candidate.draw + 1}: {candidate.llm} merged {merged}."


def _scored(candidates: tuple[Candidate, ...], chosen: int) -> str:
    best = candidates[chosen]
    terms = {
        "score": best.score,
        "similarity": best.similarity,
        "perplexity": best.perplexity,
        "agreement": best.agreement,
    }
    known = ", ".join(f"{name} {value:.3f}" for name, value in terms.items() if value is not None)
    others = [each.score for i, each in enumerate(candidates) if i != chosen and each.score is not None]
    beside = f"; the next best has {max(others):.3f}" if others and best.score is not None else ""
    shown = f" ({known}{beside})" if known else ""
    return f"Compared {_count(len(candidates), 'candidate')}: {best.draw + 1} by {best.llm} is chosen{shown}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _without_quotes(reason: str) -> str:
    own = reason if reason.startswith("out, ") else _QUOTED.sub("", reason)
    return one_line(own, limit=200).rstrip(".")

"""The table that says why one candidate won."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from smcs.run import Candidate
from smcs.studio.ask.state import ScoreRow, ScoreTable, Term

__all__ = ("score_table", "sureness")

_CLOSE: Final = 1e-6


def sureness(candidate: Candidate) -> float | None:
    """Return 1 - perplexity, 0 at best; `None` where there is no perplexity."""
    return None if candidate.perplexity is None else 1.0 - candidate.perplexity


def score_table(
    candidates: Sequence[Candidate] | None, chosen: int | None, settings: Mapping[str, Any]
) -> ScoreTable | None:
    """Return how candidates compare; `None` where they were not scored.

    Args:
        candidates: All of them, in their order.
        chosen: Index of the one that won.
        settings: Parameters of the run; `balance` is the weight of the perplexity.
    """
    if not candidates or all(each.score is None for each in candidates):
        return None
    values = {name: tuple(_term(each, name) for each in candidates) for name in _TERMS}
    terms = tuple(name for name in _TERMS if any(value is not None for value in values[name]))
    rows = [
        ScoreRow(
            number=at + 1,
            llm=each.llm,
            members=each.members,
            terms=tuple(values[name][at] for name in terms),
            total=each.score,
            group=each.group,
            chosen=at == chosen,
        )
        for at, each in enumerate(candidates)
    ]
    rows.sort(key=lambda row: (not row.chosen, math.inf if row.total is None else -row.total))
    return ScoreTable(terms, tuple(rows), _formula(candidates, settings))


_TERMS: Final[tuple[Term, ...]] = ("similarity", "sureness", "agreement")


def _term(candidate: Candidate, name: Term) -> float | None:
    match name:
        case "similarity":
            return candidate.similarity
        case "sureness":
            return sureness(candidate)
        case "agreement":
            return candidate.agreement


def _formula(candidates: Sequence[Candidate], settings: Mapping[str, Any]) -> str:
    """Say how totals are made of their terms; only what the figures of this run bear out."""
    candidates = [each for each in candidates if each.score is not None]
    voted = any(each.agreement is not None for each in candidates)
    if voted:
        plain = all(_near(each.score, each.agreement) for each in candidates)
        if plain:
            return "total = share of the votes for the answer"
        merged = any(each.similarity is not None for each in candidates)
        also = " + how well it scores among the merged texts, compared with their mean" if merged else ""
        return f"total = logarithm of the probability that the vote gives its answer{also}"
    given = settings.get("balance", 1.0)
    balance = float(given) if isinstance(given, int | float) else 1.0
    if all(_near(each.score, _eq7(each, balance)) for each in candidates):
        weight = "" if balance == 1 else f"{balance:g} \N{MULTIPLICATION SIGN} "
        return f"total = similarity + {weight}(1 - perplexity)"
    if all(_near(each.score, each.similarity) for each in candidates):
        return "total = similarity"
    if all(_near(each.score, balance * (sureness(each) or 0.0)) for each in candidates):
        return (
            "total = 1 - perplexity"
            if balance == 1
            else f"total = {balance:g} \N{MULTIPLICATION SIGN} (1 - perplexity)"
        )
    return "the larger the total, the better"


def _eq7(candidate: Candidate, balance: float) -> float | None:
    sure = sureness(candidate)
    return None if candidate.similarity is None or sure is None else candidate.similarity + balance * sure


def _near(score: float | None, value: float | None) -> bool:
    if score is None or value is None:
        return False
    return math.isclose(score, value, rel_tol=_CLOSE, abs_tol=_CLOSE)

"""Priors and votes replayed over recorded outcomes, all questions at once.

A question of the test split is one row of every array; loops run over priors, LLMs or options, never over questions.
A missing outcome is NaN: it is no evidence in the bank, and a question that it leaves without a grade is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from smcs.bench.recordings import Recording
from smcs.bench.statistics import ranking_pairs
from smcs.embedders import Vectors
from smcs.errors import InputError
from smcs.posterior import fit_vote_weights, plurality
from smcs.posterior.agreement import named_probabilities
from smcs.prior import PRIORS, find_prior
from smcs.prior.models.neighbours import Rps, rps_weights, weighted_sums

__all__ = (
    "MISSING_AS_WRONG",
    "Arm",
    "Replay",
    "SweepPoint",
    "SweepSetting",
    "Weighting",
    "sweep",
    "sweep_grid",
    "z_softmax",
)

Floats = NDArray[np.float64]

Weighting = Literal["equal", "prior", "learned"]
"""What a vote counts: the same for all; softmax of the z-scores of the priors; what the bank's answers teach."""

_VERDICT = 0.5
MISSING_AS_WRONG = "rps, missing as wrong"
"""Name of the arm that takes missing outcomes for wrong ones, as the figures recorded with MMLU-Pro do."""

_BASE, _TOLERANCE = Rps.base, Rps.tolerance
_EQUAL = 1e-12
"""Priors that differ by less, as a share of the largest or of 1, are equal: as in `drop_distribution`."""


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One way to decide on T questions from recorded outcomes."""

    name: str
    kind: Literal["prior", "vote"]
    scores: Floats
    """(T,) grade of what it decides for; NaN where that is not recorded."""
    ranking: Floats
    """(T, R) by what it ranks the LLMs: priors, or after the answers the share of votes for each LLM's answer."""
    pairs: NDArray[np.int64]
    """(T, 2) pairs of a right and a wrong LLM that it orders rightly, and all of them."""
    costs: Floats | None = None
    """(T,) USD of the answer, for a prior; NaN where unknown, `None` where no cost was recorded."""
    answered_by: NDArray[np.intp] | None = None
    """(T,) column of the LLM whose answer it is, for a prior."""


class Replay:
    """A recording with its embeddings.

    Args:
        recording: Outcomes on a bank and on questions that are asked.
        vectors: Unit-norm embedding of every question, shape (Q, d).

    Raises:
        InputError: There is not one vector per question.
    """

    def __init__(self, recording: Recording, vectors: Vectors) -> None:
        if vectors.ndim != 2 or len(vectors) != len(recording.ids):
            raise InputError(f"`vectors` must have {len(recording.ids)} rows, got shape {vectors.shape}.")
        self.recording = recording
        self.vectors = vectors
        self.bank, self.asked = recording.bank, recording.asked
        self.scores: Floats = recording.scores[self.asked]
        """(T, R) grades of the questions that are asked."""
        self._priors: dict[str, Floats] = {}

    @cached_property
    def features(self) -> Floats:
        """`question_features` of every question, (Q, f)."""
        return self.recording.features()

    @cached_property
    def similarities(self) -> NDArray[np.float32]:
        """Cosine of every asked question to every bank question, (T, N)."""
        found: NDArray[np.float32] = self.vectors[self.asked] @ self.vectors[self.bank].T
        return found

    @cached_property
    def verdicts(self) -> Floats:
        """(T, R): 1 for a grade of at least one half, 0 below, NaN where missing."""
        return np.where(np.isnan(self.scores), np.nan, self.scores >= _VERDICT)

    @cached_property
    def vote_weights(self) -> Floats:
        """What each LLM's vote adds to the log-odds of its answer, learned from the bank's recorded answers, (R,)."""
        answers, gold = self._answers()
        return fit_vote_weights(answers[self.bank], gold[self.bank])

    def prior(self, name: str) -> Floats:
        """Return what a prior of `smcs.prior.PRIORS` expects of each LLM on each asked question, (T, R).

        Raises:
            ConfigError: There is none of that name.
        """
        if name not in self._priors:
            spec, of = find_prior(name), self.recording
            known, new = (self.features[self.bank], self.features[self.asked]) if spec.uses_features else (None, None)
            fitted = spec.model().fit(self.vectors[self.bank], of.scores[self.bank], of.groups[self.bank], known)
            self._priors[name] = fitted.predict(self.vectors[self.asked], of.groups[self.asked], new)
        return self._priors[name]

    def prior_arm(self, name: str, values: Floats | None = None) -> Arm:
        """Return the arm that lets the LLM of the best prior answer.

        Args:
            name: Of the prior, or of the arm where `values` are given.
            values: Priors, (T, R), in place of those of the prior of that name.
        """
        ranking = self.prior(name) if values is None else values
        rows = np.arange(len(ranking))
        chosen = np.where(np.isnan(ranking), -np.inf, ranking).argmax(axis=1)
        costs = self.recording.costs
        return Arm(
            name,
            "prior",
            self.scores[rows, chosen],
            ranking,
            ranking_pairs(ranking, self.verdicts),
            None if costs is None else costs[self.asked][rows, chosen],
            chosen,
        )

    def vote_arm(self, name: str, weighting: Weighting, *, prior: str = "rps", k: int | None = None) -> Arm:
        """Return the arm that lets LLMs vote with their recorded answers.

        Ties go to the answer of the LLM with the best prior, or, where all vote alike, to the first in the pool.

        Args:
            name: Of the arm.
            weighting: What a vote counts.
            prior: Which prior recruits and weighs.
            k: How many LLMs vote, those of the best priors; all unless given.

        Raises:
            InputError: Answers were not recorded.
        """
        answers, gold = self._answers()
        ballots, right = answers[self.asked], gold[self.asked]
        values = self.prior(prior)
        if weighting == "learned":
            chances = named_probabilities(ballots, np.broadcast_to(self.vote_weights, ballots.shape))
            best = chances.argmax(axis=1)
            decided = np.where(chances.max(axis=1) > 0, ballots[np.arange(len(ballots)), best], -1)
            return self._vote(name, decided, right, chances)
        weights = z_softmax(values) if weighting == "prior" else np.ones(values.shape)
        if k is not None or weighting == "prior":
            order = np.argsort(-values, axis=1, kind="stable")[:, :k]
            ballots, weights = np.take_along_axis(ballots, order, axis=1), np.take_along_axis(weights, order, axis=1)
        decided = plurality(ballots, weights)
        shares = _shares(answers[self.asked], ballots, weights)
        return self._vote(name, decided, right, shares)

    def all_arms(self) -> tuple[Arm, ...]:
        """Return every prior, RPS with missing outcomes taken for wrong ones, and where there are answers the votes."""
        arms = list(self.priors())
        known = self.recording.scores[self.bank]
        if np.isnan(known).any():
            weights = rps_weights(self.similarities, base=_BASE, tolerance=_TOLERANCE)
            arms.append(self.prior_arm(MISSING_AS_WRONG, weighted_sums(weights, np.nan_to_num(known))))
        return (*arms, *self.votes())

    def votes(self, k: int = 7, priors: Sequence[str] = ("rps", "stacked")) -> tuple[Arm, ...]:
        """Return the voting arms; none where answers were not recorded.

        Args:
            k: LLMs that vote where not all do, at most the number there are.
            priors: Which recruit and weigh them.
        """
        if self.recording.answers is None:
            return ()
        k = min(k, len(self.recording.llms))
        arms = [self.vote_arm("majority of all", "equal"), self.vote_arm("learned weights, all", "learned")]
        for prior in priors:
            arms.append(self.vote_arm(f"majority of {prior} top {k}", "equal", prior=prior, k=k))
            arms.append(self.vote_arm(f"weighted by {prior}, top {k}", "prior", prior=prior, k=k))
            arms.append(self.vote_arm(f"weighted by {prior}, all", "prior", prior=prior))
        return tuple(arms)

    def priors(self, names: Iterable[str] = tuple(PRIORS)) -> tuple[Arm, ...]:
        """Return an arm for each prior."""
        return tuple(self.prior_arm(name) for name in names)

    def _answers(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self.recording.answers is None or self.recording.gold is None:
            raise InputError(f"The recording {self.recording.name!r} has no answers to vote with, only grades.")
        return self.recording.answers, self.recording.gold

    def _vote(self, name: str, decided: NDArray[np.intp], right: NDArray[np.int64], shares: Floats) -> Arm:
        return Arm(name, "vote", (decided == right).astype(np.float64), shares, ranking_pairs(shares, self.verdicts))


def z_softmax(priors: Floats) -> Floats:
    """Return the softmax of the z-scores of each row, (T, R): `smcs.posterior.drop_distribution` of many rows.

    An LLM without a prior (NaN) gets the mean of the others.
    """
    known = ~np.isnan(priors)
    level = np.where(known, priors, 0.0).sum(axis=1, keepdims=True) / np.maximum(1, known.sum(axis=1, keepdims=True))
    values = np.where(known, priors, level)
    distance = values - values.min(axis=1, keepdims=True)
    spread = distance.max(axis=1, keepdims=True)
    equal = spread <= _EQUAL * np.maximum(1.0, np.abs(values).max(axis=1, keepdims=True))
    unit = distance / np.where(equal, 1.0, spread)
    away = unit - unit.mean(axis=1, keepdims=True)
    scores = np.where(equal, 0.0, away / np.where(equal, 1.0, unit.std(axis=1, keepdims=True)))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True, slots=True)
class SweepSetting:
    """Parameters of one replay."""

    _: KW_ONLY
    base: int = 400
    """N_sup_base."""
    tolerance: float = 0.95
    """gamma."""
    k: int = 7
    """LLMs that vote; clamped to the pool."""
    weighting: Literal["equal", "prior"] = "prior"


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """What a setting gives; shares from 0 to 1."""

    setting: SweepSetting
    ranking: float
    """Pairwise ranking score of the priors (Eq. 8)."""
    top1: float
    """Mean grade of the LLM of the best prior."""
    vote: float | None
    """Share of questions that the vote of the K best decides rightly; `None` where answers were not recorded."""
    support: float
    """Mean size of the support set."""


def sweep_grid(
    bases: Sequence[int],
    tolerances: Sequence[float],
    ks: Sequence[int],
    weightings: Sequence[Literal["equal", "prior"]],
) -> tuple[SweepSetting, ...]:
    """Return every combination."""
    return tuple(
        SweepSetting(base=base, tolerance=tolerance, k=k, weighting=weighting)
        for base, tolerance, k, weighting in product(bases, tolerances, ks, weightings)
    )


def sweep(over: Replay, settings: Sequence[SweepSetting]) -> tuple[SweepPoint, ...]:
    """Replay RPS and a vote under many settings; those that share base and tolerance share their priors."""
    found: dict[SweepSetting, SweepPoint] = {}
    for base, tolerance in dict.fromkeys((setting.base, setting.tolerance) for setting in settings):
        weights = rps_weights(over.similarities, base=base, tolerance=tolerance)
        values = weighted_sums(weights, over.recording.scores[over.bank])
        size = float(np.count_nonzero(weights, axis=1).mean())
        arm = over.prior_arm("rps", values)
        ordered, pairs = arm.pairs.sum(axis=0)
        for setting in settings:
            if (setting.base, setting.tolerance) == (base, tolerance):
                vote = _swept_vote(over, values, setting)
                found[setting] = SweepPoint(setting, ordered / pairs, float(np.nanmean(arm.scores)), vote, size)
    return tuple(found[setting] for setting in settings)


def _swept_vote(over: Replay, values: Floats, setting: SweepSetting) -> float | None:
    of = over.recording
    if of.answers is None or of.gold is None:
        return None
    order = np.argsort(-values, axis=1, kind="stable")[:, : setting.k]
    ballots = np.take_along_axis(of.answers[over.asked], order, axis=1)
    weights = np.take_along_axis(z_softmax(values), order, axis=1) if setting.weighting == "prior" else None
    return float((plurality(ballots, weights) == of.gold[over.asked]).mean())


def _shares(answers: NDArray[np.int64], ballots: NDArray[np.int64], weights: Floats) -> Floats:
    """Return for each LLM the share of the vote that its answer got, (T, R); 0 for an LLM without an answer.

    Args:
        answers: (T, R) of all LLMs.
        ballots: (T, K) of those that vote.
        weights: (T, K)
    """
    sums = np.zeros(answers.shape)
    for voter in range(ballots.shape[1]):
        ballot = ballots[:, voter, None]
        sums += np.where((answers == ballot) & (ballot >= 0), weights[:, voter, None], 0.0)
    cast = np.where(ballots >= 0, weights, 0.0).sum(axis=1, keepdims=True)
    shares: Floats = sums / np.where(cast > 0, cast, 1.0)
    return shares

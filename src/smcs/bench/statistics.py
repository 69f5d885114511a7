"""Statistics of experiments as pure functions of arrays.

The unit that is drawn anew is the question. A missing value is NaN: it is left out, counted, and never a zero. Where
few values are distinct, bootstrap draws are made as counts of each (a multinomial draw): the same distribution as
drawing questions with replacement, for a thousandth of the work where scores are right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import finite_array
from smcs.errors import InputError

__all__ = (
    "Interval",
    "Paired",
    "Spread",
    "bootstrap_interval",
    "holm",
    "macro_interval",
    "multiple_correct",
    "one_correct",
    "paired_comparison",
    "ranking_pairs",
    "ranking_score_interval",
    "seed_spread",
)

_VERDICT = 0.5
_CHUNK_VALUES = 1_000_000
_FEW = 8
_EXACT_OUTCOMES = 200_000
_TOLERANCE = 1e-9
_SINGLE_TOLERANCE = 1e-6

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the percentile interval of its bootstrap draws."""

    value: float
    low: float
    high: float
    n: int
    """Questions it rests on."""
    left_out: int = 0
    """Questions without a value."""


@dataclass(frozen=True, slots=True)
class Paired:
    """One arm against another on the questions that both have a value for."""

    difference: float
    """Mean of the first minus mean of the second."""
    low: float
    high: float
    p_value: float
    """Two-sided, of the hypothesis that which arm got which of a question's two scores is chance."""
    wins: int
    """Questions on which the first is ahead."""
    ties: int
    losses: int
    n: int
    """Questions that both have a value for."""
    left_out: int = 0
    """Questions that only one of them, or neither, has a value for."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over several seeds."""

    mean: float
    deviation: float | None
    """Sample standard deviation; `None` for fewer than two seeds."""
    n: int


def bootstrap_interval(
    values: ArrayLike, *, level: float = 0.95, draws: int = 10_000, rng: np.random.Generator
) -> Interval:
    """Return the mean and its percentile bootstrap interval.

    Args:
        values: One value per question, shape (Q,); NaN is left out.
        level: Share of draws inside the interval, in (0, 1).
        draws: Bootstrap draws, at least 1.
        rng: Source of the draws.

    Raises:
        InputError: No value is known, or an argument is out of range.
    """
    return macro_interval([values], level=level, draws=draws, rng=rng)


def macro_interval(
    groups: Sequence[ArrayLike], *, level: float = 0.95, draws: int = 10_000, rng: np.random.Generator
) -> Interval:
    """Return the mean over groups of each group's mean, with an interval from draws inside each group.

    Args:
        groups: One array of values per group (task), shapes (Q_g,); NaN is left out.
        level: Share of draws inside the interval, in (0, 1).
        draws: Bootstrap draws, at least 1.
        rng: Source of the draws.

    Raises:
        InputError: A group has no known value, or an argument is out of range.
    """
    _check_draws(level, draws)
    arrays = [finite_array("values", group, ndim=1, allow_nan=True) for group in groups]
    known = [array[~np.isnan(array)] for array in arrays]
    if not known or any(array.size == 0 for array in known):
        raise InputError("`values` must hold at least one known value in each group.")
    means = np.mean([_resampled_sums(array[:, None], draws, rng)[:, 0] / array.size for array in known], axis=0)
    low, high = _percentiles(means, level)
    n = sum(array.size for array in known)
    value = float(np.mean([array.mean() for array in known]))
    return Interval(value, low, high, n, sum(array.size for array in arrays) - n)


def paired_comparison(
    a: ArrayLike,
    b: ArrayLike,
    rng: np.random.Generator,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 10_000,
) -> Paired:
    """Compare two arms on the same questions.

    The interval is a bootstrap over questions. The p-value is that of the sign-flip permutation test: exact as long as
    the flips have few enough different outcomes, as right-or-wrong scores have on one task (there it equals McNemar's
    exact test), otherwise from `draws` random flips.

    Args:
        a: The first arm's score of each question, shape (Q,); NaN where it has none.
        b: The second arm's, shape (Q,).
        rng: Source of the draws.
        groups: Label of each question's group (task), shape (Q,): the difference is then the mean over groups.
        level: Share of draws inside the interval, in (0, 1).
        draws: Bootstrap draws and random flips, at least 1.

    Raises:
        InputError: Shapes differ, no question has both values, or an argument is out of range.
    """
    _check_draws(level, draws)
    first = finite_array("a", a, ndim=1, allow_nan=True)
    second = finite_array("b", b, ndim=1, allow_nan=True)
    labels = np.zeros(first.size, dtype=np.int64) if groups is None else np.asarray(groups)
    if not first.shape == second.shape == labels.shape:
        raise InputError(
            f"`a`, `b` and `groups` must have one shape, got {first.shape}, {second.shape}, {labels.shape}."
        )
    both = ~np.isnan(first) & ~np.isnan(second)
    if not both.any():
        raise InputError("`a` and `b` have no question in common. Compare arms that answered the same questions.")
    differences, labels = (first - second)[both], labels[both]
    parts = [differences[labels == label] for label in np.unique(labels)]
    means = np.mean([_resampled_sums(part[:, None], draws, rng)[:, 0] / part.size for part in parts], axis=0)
    low, high = _percentiles(means, level)
    weighted = np.concatenate([part / (part.size * len(parts)) for part in parts])
    wins, losses = int(np.count_nonzero(differences > _TOLERANCE)), int(np.count_nonzero(differences < -_TOLERANCE))
    return Paired(
        difference=float(weighted.sum()),
        low=low,
        high=high,
        p_value=_sign_flip_p(weighted, draws, rng),
        wins=wins,
        ties=differences.size - wins - losses,
        losses=losses,
        n=differences.size,
        left_out=first.size - differences.size,
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for making several comparisons (Holm's step-down method), in the order given.

    Args:
        p_values: From 0 to 1.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = running
    return tuple(adjusted)


def ranking_pairs(priors: ArrayLike, correct: ArrayLike) -> NDArray[np.int64]:
    """Return, per question, how many (correct LLM, wrong LLM) pairs the priors order rightly, and how many there are.

    Args:
        priors: Prior of each LLM for each question, shape (Q, R); NaN leaves that LLM out of the question.
        correct: 1 where the LLM's answer was correct, 0 where wrong, NaN where unknown, shape (Q, R).

    Returns:
        Shape (Q, 2): pairs whose correct LLM has the strictly larger prior (Eq. 8), and all pairs.

    Raises:
        InputError: Shapes differ, or `correct` holds anything but 0, 1 and NaN.
    """
    expected = finite_array("priors", priors, ndim=2, allow_nan=True)
    actual = finite_array("correct", correct, ndim=2, allow_nan=True)
    if expected.shape != actual.shape:
        raise InputError(f"`priors` and `correct` must have one shape, got {expected.shape} and {actual.shape}.")
    if not np.isin(actual[~np.isnan(actual)], (0.0, 1.0)).all():
        raise InputError("`correct` must be 0, 1 or NaN. Turn partial grades into verdicts first: grade >= 0.5.")
    known = ~np.isnan(expected) & ~np.isnan(actual)
    right, wrong = known & (actual == 1), known & (actual == 0)
    pairs = np.zeros((expected.shape[0], 2), dtype=np.int64)
    for llm in range(expected.shape[1]):
        rows = np.flatnonzero(right[:, llm])
        pairs[rows, 0] += np.count_nonzero(wrong[rows] & (expected[rows] < expected[rows, llm, None]), axis=1)
        pairs[rows, 1] += np.count_nonzero(wrong[rows], axis=1)
    return pairs


def ranking_score_interval(
    priors: ArrayLike,
    correct: ArrayLike,
    *,
    questions: ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    rng: np.random.Generator,
) -> Interval:
    """Return the pairwise ranking score (Eq. 8) with an interval from draws of questions.

    Args:
        priors: Prior of each LLM for each row, shape (Q, R); NaN leaves that LLM out of the row.
        correct: 1 where the LLM's answer was correct, 0 where wrong, NaN where unknown, shape (Q, R).
        questions: Label of each row's question, shape (Q,), where rows are one question under several seeds.
        level: Share of draws inside the interval, in (0, 1).
        draws: Bootstrap draws, at least 1.
        rng: Source of the draws.

    Returns:
        The score from 0 to 1; `n` counts questions with at least one pair.

    Raises:
        InputError: As `ranking_pairs`, or no question has both a correct and a wrong LLM.
    """
    _check_draws(level, draws)
    pairs = ranking_pairs(priors, correct)
    if questions is not None:
        labels, inverse = np.unique(np.asarray(questions), return_inverse=True)
        rows, pairs = pairs, np.zeros((labels.size, 2), dtype=np.int64)
        np.add.at(pairs, inverse, rows)
    useful = pairs[pairs[:, 1] > 0].astype(np.float64)
    if not len(useful):
        raise InputError("No question has both a correct and a wrong LLM, so there is no pair to rank. Add questions.")
    sums = _resampled_sums(useful, draws, rng)
    low, high = _percentiles(sums[:, 0] / sums[:, 1], level)
    ordered, total = useful.sum(axis=0)
    return Interval(float(ordered / total), low, high, len(useful), len(pairs) - len(useful))


def one_correct(candidates: Sequence[Sequence[float | None]]) -> _Floats:
    """Return, per question, 1 where at least one candidate is correct (OCA is the mean), else 0.

    Args:
        candidates: Grades of each question's candidates, 0 to 1, `None` where not graded; correct from 0.5 on.

    Returns:
        Shape (Q,); NaN where it depends on a candidate that is not graded, or there is no candidate.
    """
    return np.array([_at_least(grades, 1) for grades in candidates], dtype=np.float64)


def multiple_correct(candidates: Sequence[Sequence[float | None]]) -> _Floats:
    """Return, per question, 1 where more than one candidate is correct (MCA is the mean), else 0.

    Args and result are those of `one_correct`.
    """
    return np.array([_at_least(grades, 2) for grades in candidates], dtype=np.float64)


def seed_spread(values: ArrayLike) -> Spread:
    """Return mean and sample deviation of a figure over seeds.

    Args:
        values: One value per seed, shape (S,); NaN is left out.

    Raises:
        InputError: No value is known.
    """
    array = finite_array("values", values, ndim=1, allow_nan=True)
    known = array[~np.isnan(array)]
    if not known.size:
        raise InputError("`values` must hold at least one known value.")
    return Spread(float(known.mean()), float(known.std(ddof=1)) if known.size > 1 else None, known.size)


def _check_draws(level: float, draws: int) -> None:
    if not 0 < level < 1:
        raise InputError(f"`level` must be between 0 and 1, got {level}.")
    if draws < 1:
        raise InputError(f"`draws` must be at least 1, got {draws}.")


def _resampled_sums(columns: _Floats, draws: int, rng: np.random.Generator) -> _Floats:
    """Return the column sums of rows drawn with replacement: (Q, C) -> (draws, C)."""
    n = len(columns)
    distinct, counts = np.unique(columns, axis=0, return_counts=True)
    if len(distinct) <= max(_FEW, n // _FEW):
        return rng.multinomial(n, counts / n, size=draws) @ distinct
    sums = np.empty((draws, columns.shape[1]))
    step = max(1, _CHUNK_VALUES // n)
    for start in range(0, draws, step):
        picks = rng.integers(n, size=(min(step, draws - start), n), dtype=np.int32)
        for column in range(columns.shape[1]):
            sums[start : start + len(picks), column] = columns[:, column].take(picks).sum(axis=1)
    return sums


def _percentiles(values: _Floats, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _sign_flip_p(weighted: _Floats, draws: int, rng: np.random.Generator) -> float:
    """Return the two-sided p-value of a sum under random signs of its terms.

    Terms of one size are exchangeable, so only how many of them are positive matters: a binomial each.
    """
    moving = np.abs(weighted)[np.abs(weighted) > _TOLERANCE / max(1, weighted.size)]
    if not moving.size:
        return 1.0
    rounded = np.round(moving / moving.max(), 9)
    _, first, counts = np.unique(rounded, return_index=True, return_counts=True)
    sizes = moving[first]
    bound = abs(float(weighted.sum())) - _TOLERANCE * float(moving.sum())
    outcomes = _flip_outcomes(sizes, counts)
    if outcomes is not None:
        sums, chances = outcomes
        return float(min(1.0, chances[np.abs(sums) >= bound].sum()))
    extreme = 0
    step = max(1, _CHUNK_VALUES // moving.size)
    for start in range(0, draws, step):
        ups = rng.integers(2, size=(min(step, draws - start), moving.size), dtype=np.int8)
        sums = 2 * (ups.astype(np.float32) @ moving.astype(np.float32)) - moving.sum()
        extreme += int(np.count_nonzero(np.abs(sums) >= bound - _SINGLE_TOLERANCE * moving.sum()))
    return (1 + extreme) / (1 + draws)


def _flip_outcomes(sizes: _Floats, counts: NDArray[np.int64]) -> tuple[_Floats, _Floats] | None:
    """Return every sum that random signs can give, with its probability; `None` when there are too many."""
    sums, chances = np.zeros(1), np.ones(1)
    for size, count in zip(sizes, counts, strict=True):
        if sums.size * (count + 1) > _EXACT_OUTCOMES:
            return None
        steps = size * (2 * np.arange(count + 1) - count)
        sums = (sums[:, None] + steps).ravel()
        chances = (chances[:, None] * _binomial_half(int(count))).ravel()
        # Sums that only rounding tells apart are one: scores are halves, thirds, ..., so most of them coincide.
        _, first, inverse = np.unique(np.round(sums / sizes.max(), 9), return_index=True, return_inverse=True)
        sums, chances = sums[first], np.bincount(inverse, chances).astype(np.float64)
    return sums, chances


def _binomial_half(n: int) -> _Floats:
    """Return the probabilities of 0..n heads in n tosses of a fair coin."""
    steps = np.arange(1, n + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(n + 1 - steps) - np.log(steps))])
    chances = np.exp(logs - logs.max())
    total: _Floats = chances / chances.sum()
    return total


def _at_least(grades: Sequence[float | None], wanted: int) -> float:
    right = sum(grade is not None and grade >= _VERDICT for grade in grades)
    unknown = sum(grade is None for grade in grades)
    if right >= wanted:
        return 1.0
    return np.nan if not grades or right + unknown >= wanted else 0.0

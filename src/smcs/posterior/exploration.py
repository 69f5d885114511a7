"""Which references each aggregation sees: the drop distribution (Eq. 6) and the subsets drawn from it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import check_compat, finite_array
from smcs.errors import InputError
from smcs.types import Compat

__all__ = ("draw_subsets", "drop_distribution")

_EQUAL = 1e-12
_SUM_TOLERANCE = 1e-6


def drop_distribution(priors: ArrayLike, *, compat: Compat = "paper") -> NDArray[np.float64]:
    """Turn the referencers' priors into the distribution references are drawn from (Eq. 6).

    The paper takes the softmax of the priors' z-scores (population standard deviation). The released code takes
    exp((d - mean d) / (sum d^2 / sqrt K)) with d = v - min v, normalised: nearly uniform for priors tens apart, sharper
    the closer they are. Priors that differ by no more than rounding (1e-12 of the largest, or of 1) are equal, and
    equal priors give the uniform distribution in both.

    Args:
        priors: Prior of each referencer, shape (K,), in any order.
        compat: Whose formula to use.

    Returns:
        Probabilities in the order of `priors`, shape (K,): not negative, adding up to 1.

    Raises:
        InputError: There is no prior, or one is NaN or infinite. Give an LLM that nothing is known about the mean
            prior of the others, or leave it out.
    """
    check_compat(compat)
    values = finite_array("priors", priors, ndim=1)
    count = len(values)
    distance = values - values.min()
    spread = float(distance.max())
    if spread <= _EQUAL * max(1.0, float(np.abs(values).max())):
        return np.full(count, 1 / count)
    unit = distance / spread
    if compat == "paper":
        logits = (unit - unit.mean()) / unit.std()
    else:
        logits = unit * math.sqrt(count) / (spread * np.square(unit).sum())
    weights = np.exp(logits - logits.max())
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def draw_subsets(
    distribution: ArrayLike, *, size: int, n: int, rng: np.random.Generator
) -> tuple[tuple[int, ...], ...]:
    """Draw `n` independent subsets by successive sampling: without replacement, renormalising after each draw.

    All draws are made at once by a race: each position gets its log-probability plus a standard Gumbel variate, and
    the `size` largest win. The largest is position i with probability p_i, and given the winners so far the next is i
    with p_i over what they leave, which is the renormalised draw (the Gumbel-max property, repeated), so subsets have
    the very law of drawing one by one (Yu 2012).

    A position of probability zero is drawn only when no other is left, all of them being equally likely then.

    Args:
        distribution: Probability of each reference, best prior first, shape (K,).
        size: References per subset, K - K_drop: from 1 to K.
        n: Subsets, at least 1; equal ones may occur.
        rng: The only source of randomness, advanced by n x K variates. Asking for more subsets from the same state
            leaves the first ones as they were.

    Returns:
        `n` subsets of positions, each ascending, so that references keep one global order and share prefixes.

    Raises:
        InputError: `distribution` is not one, or `size` or `n` is out of range.
    """
    shares = finite_array("distribution", distribution, ndim=1)
    if shares.min() < 0:
        raise InputError(f"`distribution` must not be negative, got {shares.min()}.")
    if abs(shares.sum() - 1) > _SUM_TOLERANCE:
        raise InputError(f"`distribution` must add up to 1, got {shares.sum()}. Divide it by its sum.")
    if not 1 <= size <= len(shares):
        raise InputError(
            f"`size` must be from 1 to {len(shares)} (the references), got {size}. Drop fewer than there are."
        )
    if n < 1:
        raise InputError(f"`n` must be at least 1, got {n}.")
    impossible = shares == 0
    keys = np.log(np.where(impossible, 1.0, shares)) + rng.gumbel(size=(n, len(shares)))
    order = np.lexsort((-keys, np.broadcast_to(impossible, keys.shape)))
    subsets: list[list[int]] = np.sort(order[:, :size], axis=1).tolist()
    return tuple(map(tuple, subsets))

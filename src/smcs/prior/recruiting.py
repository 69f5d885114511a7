"""Who answers: the K LLMs with the largest prior (Eq. 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs._checks import check_compat, finite_array
from smcs.errors import InputError
from smcs.types import Compat

__all__ = ("prior_is_used", "recruit")


def recruit(prior: ArrayLike, k: int) -> NDArray[np.intp]:
    """Choose the referencers (Eq. 5).

    Args:
        prior: Prior of each LLM, shape (R,); NaN where nothing is known about it.
        k: Referencers wanted, from 1 to R.

    Returns:
        Positions in the pool, best first, shape (k,). Equal priors go by lower position; LLMs without a prior come
        last, also by position.

    Raises:
        InputError: `k` is out of range or a prior is infinite.
    """
    values = finite_array("prior", prior, ndim=1, allow_nan=True)
    if not 1 <= k <= len(values):
        raise InputError(f"`k` must be from 1 to {len(values)} (the pool size), got {k}. Lower `k` or add LLMs.")
    return np.argsort(-values, kind="stable")[:k]


def prior_is_used(k: int, pool_size: int, compat: Compat = "paper") -> bool:
    """Tell whether the prior ranks the referencers and weighs the drop.

    The paper always uses it. The released code does not when every LLM is recruited anyway (`k` >= `pool_size`): the
    referencers then stand in pool order and the drop is uniform, which `drop_distribution` gives for equal priors.

    Args:
        k: Referencers wanted, at least 1; may exceed the pool.
        pool_size: R, at least 1.
        compat: Whose rule to follow.

    Raises:
        InputError: A number is below 1.
    """
    check_compat(compat)
    if k < 1 or pool_size < 1:
        raise InputError(f"`k` and `pool_size` must be at least 1, got {k} and {pool_size}.")
    return compat == "paper" or k < pool_size

"""Checks on arrays and options that the rooms of pure functions share; each failure says what to change."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smcs.errors import InputError, suggest
from smcs.types import Compat

__all__ = ("check_compat", "finite_array", "real_array")


def real_array(name: str, values: ArrayLike, *, ndim: int) -> NDArray[Any]:
    """Return `values` as a non-empty array of real numbers, without a copy where it already is one.

    Args:
        name: Argument name for the message.
        values: What the caller passed.
        ndim: Number of dimensions it must have.

    Raises:
        InputError: It is ragged, not numeric, of another number of dimensions, or empty.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"`{name}` must be a {ndim}-D array of numbers, got rows of unequal length.") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"`{name}` must hold real numbers, got dtype {array.dtype}. Write a missing value as NaN.")
    if array.ndim != ndim:
        raise InputError(f"`{name}` must have {ndim} dimension(s), got shape {array.shape}.")
    if array.size == 0:
        raise InputError(f"`{name}` must not be empty, got shape {array.shape}.")
    return array


def finite_array(name: str, values: ArrayLike, *, ndim: int, allow_nan: bool = False) -> NDArray[np.float64]:
    """Return `values` as a non-empty float64 array of finite numbers.

    Args:
        name: Argument name for the message.
        values: What the caller passed.
        ndim: Number of dimensions it must have.
        allow_nan: Whether NaN stands for a missing value here; infinities never pass.

    Raises:
        InputError: As `real_array`, or a value is NaN or infinite.
    """
    array = real_array(name, values, ndim=ndim).astype(np.float64, copy=False)
    bad = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        position = where[0] if ndim == 1 else where
        allowed = "finite or NaN (missing)" if allow_nan else "finite"
        raise InputError(
            f"`{name}` must be {allowed}, got {array[where]} at index {position} ({int(bad.sum())} such value(s))."
        )
    return array


def check_compat(compat: Compat) -> None:
    """Reject a `compat` that a type checker did not see.

    Raises:
        InputError: It is neither "paper" nor "official".
    """
    allowed: tuple[str, ...] = get_args(Compat)
    if compat not in allowed:
        raise InputError(f"`compat` is unknown, got {compat!r}.{suggest(str(compat), allowed)}")

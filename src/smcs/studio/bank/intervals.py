"""How sure a share of right answers is."""

from __future__ import annotations

import math

__all__ = ("RIGHT", "wilson")

RIGHT = 0.5
"""Score from which an answer counts as right where right or wrong is asked; shares are means of scores."""

_NORMAL_975 = 1.959964


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the ends of Wilson's 95% interval of a share, from 0 to 1.

    For scores between 0 and 1 it is a little too wide, never too narrow: no scores of a given mean vary more than
    zeros and ones.

    Args:
        share: Mean score, from 0 to 1.
        count: Graded answers, at least 1.
    """
    square = _NORMAL_975**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    reach = _NORMAL_975 / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(0.0, min(middle - reach, share)), min(1.0, max(middle + reach, share))

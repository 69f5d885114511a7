"""The pages of the studio, in the order of its menu, and its downloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from smcs.studio import ask, bank, pool, results, runs, spend
from smcs.studio.frame import Download, PageSpec

__all__ = ("DOWNLOADS", "PAGES")

PAGES: Final[tuple[PageSpec, ...]] = (
    ask.PAGE,
    runs.PAGE,
    runs.COMPARE_PAGE,
    runs.RUN_PAGE,
    bank.PAGE,
    pool.PAGE,
    results.PAGE,
    spend.PAGE,
)

DOWNLOADS: Final[Mapping[str, Download]] = {**runs.DOWNLOADS, **results.DOWNLOADS}

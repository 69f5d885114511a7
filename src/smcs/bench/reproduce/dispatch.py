"""Every table and figure by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from smcs.bench.paper import NAMES
from smcs.bench.reproduce.ablation import candidates, components
from smcs.bench.reproduce.aggregators import aggregator_choice
from smcs.bench.reproduce.banks import other_banks
from smcs.bench.reproduce.evidence import Evidence
from smcs.bench.reproduce.main_results import cost_and_latency, long_results, more_ood, short_results
from smcs.bench.reproduce.ranking import ranking_scores
from smcs.bench.reproduce.report import Reproduction
from smcs.bench.reproduce.scaling import number_of_llms
from smcs.bench.reproduce.spread import perplexities, seeds
from smcs.bench.reproduce.support import support_sources
from smcs.bench.reproduce.sweeps import sweep
from smcs.errors import ConfigError, suggest

__all__ = ("REPRODUCTIONS", "check_names", "reproduce")

REPRODUCTIONS: Final[Mapping[str, Callable[[Evidence], Reproduction]]] = {
    "table1": short_results,
    "table2": cost_and_latency,
    "table3": other_banks,
    "table4": ranking_scores,
    "table6": long_results,
    "table7": more_ood,
    "table8": perplexities,
    "table9": seeds,
    "table10": components,
    "table11": sweep("table11"),
    "table12": sweep("table12"),
    "table13": sweep("table13"),
    "fig4": number_of_llms,
    "fig5": support_sources,
    "fig6": candidates,
    "fig7": aggregator_choice,
}
"""What reproduces each of `smcs.bench.paper.NAMES`."""


def check_names(names: list[str]) -> tuple[str, ...]:
    """Return the names that were asked for, once each; `all` is all of them.

    Raises:
        ConfigError: One is unknown.
    """
    for name in names:
        if name != "all" and name not in REPRODUCTIONS:
            raise ConfigError(f"Unknown table or figure {name!r}.{suggest(name, ['all', *NAMES])}")
    return NAMES if "all" in names else tuple(dict.fromkeys(names))


def reproduce(name: str, evidence: Evidence) -> Reproduction:
    """Reproduce one table or figure from what was given.

    Raises:
        ConfigError: The name is unknown, or the answer store cannot be read.
        InputError: What was given cannot be used for it.
    """
    (known,) = check_names([name])
    return REPRODUCTIONS[known](evidence)

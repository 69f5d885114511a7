"""Strategies by name: what each does, what a full run of it calls, and what it cannot do without."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Final, Literal, get_args

from smcs.errors import ConfigError, suggest
from smcs.run import Query, Run, Trace
from smcs.strategies.best_of_n import best_of_n
from smcs.strategies.calls import Resources, Strategy
from smcs.strategies.jisi import jisi, jisi_calls, plan_jisi
from smcs.strategies.majority_vote import majority_vote
from smcs.strategies.moa import moa
from smcs.strategies.opening import ask_everyone, fit_layers, fit_referencers, fit_samples
from smcs.strategies.plans import (
    Planner,
    plan_everyone,
    plan_layers,
    plan_prior_vote,
    plan_rps,
    plan_samples,
    plan_single,
    plan_subsets,
    plan_task_router,
)
from smcs.strategies.prior_vote import prior_vote
from smcs.strategies.rps import rps
from smcs.strategies.self_consistency import self_consistency
from smcs.strategies.self_moa import self_moa
from smcs.strategies.settings import Settings
from smcs.strategies.simple_router import simple_router
from smcs.strategies.single import single
from smcs.strategies.smcs import smcs
from smcs.strategies.smcs_guarded import guarded_calls, plan_guarded, smcs_guarded
from smcs.strategies.symbolic_moe import plan_skills, symbolic_moe
from smcs.types import Ablation

__all__ = ("STRATEGIES", "Need", "StrategySpec", "check_strategy", "find_strategy", "strategy")

Need = Literal["bank", "logprobs", "aggregator"]
"""What a strategy cannot do without: a question bank that knows LLMs of the pool, token log-probabilities, an LLM that
merges references."""


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A strategy as it is listed, checked and run."""

    name: str
    method: Strategy
    """The function that answers; use `run`, which leaves LLMs alone that are out."""
    title: str
    """E.g. "Mixture-of-Agents"."""
    summary: str
    """What it does, in one line."""
    calls: Callable[[Settings, int], int]
    """LLM calls of a full run, given the settings and the size of the pool; `max_calls` counted in."""
    needs: frozenset[Need] = frozenset()
    one_llm: bool = False
    """Whether one LLM writes the references: `Settings.llm`, which stands in for a bank, or the best of the bank."""
    _: KW_ONLY
    plan: Planner
    """Who would be asked, for `estimate`."""
    ablations: tuple[Ablation, ...] = ()
    """Parts of the method that it has and can leave out (`Settings.without`)."""

    async def run(self, query: Query, resources: Resources, settings: Settings, trace: Trace) -> Run:
        """Answer a question without the LLMs that are out (`Resources.out`); see `Strategy`."""
        return await self.method(query, self.reachable(resources, settings), settings, trace)

    def reachable(self, resources: Resources, settings: Settings) -> Resources:
        """Return the resources a run works with: those that are not out, and the LLM that is named."""
        return resources.in_reach(named=self.named(settings))

    def named(self, settings: Settings) -> str | None:
        """Return the LLM that settings name for it; `None` where each question finds its own."""
        return settings.llm if self.one_llm else None


def _smcs_calls(settings: Settings, pool_size: int) -> int:
    fitted = settings.fitted(pool_size)
    return _capped(settings, fitted.k + fitted.n)


def _expert_calls(settings: Settings, pool_size: int, *, merges: int) -> int:
    return _capped(settings, fit_referencers(settings, pool_size, merges=merges).k + merges)


def _sample_calls(settings: Settings, *, merges: int) -> int:
    return _capped(settings, fit_samples(settings, merges=merges).samples + merges)


def _moa_calls(settings: Settings, pool_size: int) -> int:
    fitted = fit_layers(settings, pool_size)
    return _capped(settings, fitted.k * fitted.layers + 1)


def _capped(settings: Settings, calls: int) -> int:
    return calls if settings.max_calls is None else min(calls, settings.max_calls)


def _by_name(*specs: StrategySpec) -> dict[str, StrategySpec]:
    return {spec.name: spec for spec in specs}


STRATEGIES: Final[dict[str, StrategySpec]] = _by_name(
    StrategySpec(
        "single",
        single,
        "Single LLM",
        "One LLM answers: the named one, or the best on the whole bank.",
        lambda settings, pool_size: 1,
        frozenset({"bank"}),
        one_llm=True,
        plan=plan_single,
    ),
    StrategySpec(
        "simple_router",
        simple_router,
        "Simple Router",
        "The LLM that is best on the question's benchmark in the bank answers.",
        lambda settings, pool_size: 1,
        frozenset({"bank"}),
        plan=plan_task_router,
    ),
    StrategySpec(
        "rps",
        rps,
        "RPS routing",
        "The LLM with the best prior for this question answers.",
        lambda settings, pool_size: 1,
        frozenset({"bank"}),
        plan=plan_rps,
        ablations=("rps",),
    ),
    StrategySpec(
        "majority_vote",
        majority_vote,
        "Majority Voting",
        "Every LLM answers, and the most frequent answer wins.",
        lambda settings, pool_size: _expert_calls(ask_everyone(settings, pool_size), pool_size, merges=0),
        plan=plan_everyone,
    ),
    StrategySpec(
        "prior_vote",
        prior_vote,
        "Prior-weighted voting",
        "The K LLMs of the best prior answer, and each vote counts by its LLM's prior.",
        lambda settings, pool_size: _expert_calls(settings, pool_size, merges=0),
        frozenset({"bank"}),
        plan=plan_prior_vote,
        ablations=("rps",),
    ),
    StrategySpec(
        "self_consistency",
        self_consistency,
        "Self-Consistency",
        "The best LLM answers several times, and its most frequent answer wins.",
        lambda settings, pool_size: _sample_calls(settings, merges=0),
        frozenset({"bank"}),
        one_llm=True,
        plan=plan_samples,
    ),
    StrategySpec(
        "best_of_n",
        best_of_n,
        "Best of n",
        "The best LLM answers several times, and the posterior score of SMCS picks one of its answers.",
        lambda settings, pool_size: _sample_calls(settings, merges=0),
        frozenset({"bank", "logprobs"}),
        one_llm=True,
        plan=plan_samples,
        ablations=("similarity", "perplexity"),
    ),
    StrategySpec(
        "moa",
        moa,
        "Mixture-of-Agents",
        "Every LLM answers, in one layer or several, and an aggregator merges all answers.",
        _moa_calls,
        frozenset({"aggregator"}),
        plan=plan_layers,
    ),
    StrategySpec(
        "self_moa",
        self_moa,
        "Self-MoA",
        "The best LLM answers several times, and an aggregator merges its answers.",
        lambda settings, pool_size: _sample_calls(settings, merges=1),
        frozenset({"bank", "aggregator"}),
        one_llm=True,
        plan=partial(plan_samples, merges=1),
    ),
    StrategySpec(
        "symbolic_moe",
        symbolic_moe,
        "Symbolic-MoE",
        "The K LLMs whose profile suits the question's skills answer, and an aggregator merges their answers.",
        lambda settings, pool_size: _expert_calls(settings, pool_size, merges=1),
        frozenset({"bank", "aggregator"}),
        plan=plan_skills,
    ),
    StrategySpec(
        "jisi",
        jisi,
        "JiSi",
        "Three LLMs answer, their answers refine who is trusted, and the best are merged unless one dominates.",
        lambda settings, pool_size: _capped(settings, jisi_calls(settings, pool_size)),
        frozenset({"bank"}),
        plan=plan_jisi,
    ),
    StrategySpec(
        "smcs",
        smcs,
        "SMCS",
        "The K best LLMs for the question answer, random subsets are merged, the best merged answer wins.",
        _smcs_calls,
        frozenset({"aggregator"}),
        plan=plan_subsets,
        ablations=get_args(Ablation),
    ),
    StrategySpec(
        "smcs_guarded",
        smcs_guarded,
        "SMCS guarded",
        "References are candidates too, answers are votes of learned worth, and merging happens where it can matter.",
        lambda settings, pool_size: _capped(settings, guarded_calls(settings, pool_size)),
        frozenset({"aggregator"}),
        plan=plan_guarded,
        ablations=get_args(Ablation),
    ),
)
"""Every strategy; adding one is one file and one entry here."""


def find_strategy(name: str) -> StrategySpec:
    """Return a strategy with its title, calls and needs.

    Raises:
        ConfigError: There is none of this name; the message suggests one.
    """
    try:
        return STRATEGIES[name]
    except KeyError:
        raise ConfigError(f"Unknown strategy {name!r}.{suggest(name, STRATEGIES)}") from None


def strategy(name: str) -> Strategy:
    """Return the function of a strategy.

    Raises:
        ConfigError: There is none of this name; the message suggests one.
    """
    return find_strategy(name).run


def check_strategy(spec: StrategySpec, resources: Resources, settings: Settings | None = None) -> None:
    """Refuse, before any call is made, what could only fail or mean something else.

    Args:
        spec: The strategy.
        resources: What it would work with, probed.
        settings: Parameters, where they are known: `Settings.llm` stands in for a bank.

    Raises:
        ConfigError: A need of the strategy is not met, or `settings` names an LLM that the pool lacks.
    """
    llm = None if settings is None else settings.llm
    if spec.one_llm and llm is not None and llm not in resources.pool:
        raise ConfigError(f"The pool has no LLM {llm!r}.{suggest(llm, resources.pool)}")
    named = spec.one_llm and llm is not None
    if "bank" in spec.needs and not named:
        _check_bank(spec, resources)
    if "logprobs" in spec.needs:
        _check_logprobs(spec, resources, [llm] if spec.one_llm and llm is not None else resources.pool)


def _check_bank(spec: StrategySpec, resources: Resources) -> None:
    instead = ", or name the LLM (`llm`)" if spec.one_llm else ""
    if resources.bank is None:
        raise ConfigError(f"Strategy {spec.name!r} needs a question bank. Give one{instead}.")
    known = resources.bank.searched_llms
    if not set(known) & set(resources.pool):
        has = ", ".join(known) or "none"
        raise ConfigError(
            f"Strategy {spec.name!r} needs a question bank that knows LLMs of the pool ({', '.join(resources.pool)}), "
            f"and {resources.bank.url} knows: {has}. Add them with `smcs bank add-llm`{instead}."
        )


def _check_logprobs(spec: StrategySpec, resources: Resources, names: Iterable[str]) -> None:
    if all(resources.pool[name].capabilities.logprobs is False for name in names):
        raise ConfigError(
            f"Strategy {spec.name!r} needs log-probabilities, and none come from {', '.join(names)}. "
            "Use an endpoint that gives them, or another strategy."
        )

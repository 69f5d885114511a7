"""How a method begins: its parameters fitted to the pool and to `max_calls`, and its record opened."""

from __future__ import annotations

from dataclasses import replace

from smcs.run import Query, Trace
from smcs.strategies.calls import Resources
from smcs.strategies.settings import Settings

__all__ = ("ask_everyone", "fit_layers", "fit_referencers", "fit_samples", "open_run")

_MAY_SHRINK = ("k", "n", "samples", "layers")


def ask_everyone(settings: Settings, pool_size: int) -> Settings:
    """Return the settings of a method that asks the whole pool: K is its size."""
    return replace(settings, k=pool_size)


def fit_referencers(settings: Settings, pool_size: int, *, merges: int = 0) -> Settings:
    """Return the settings with K clamped to the pool, and shrunk so that K + `merges` calls stay within `max_calls`."""
    return replace(settings, k=_within(settings, min(settings.k, pool_size), merges))


def fit_samples(settings: Settings, *, merges: int = 0) -> Settings:
    """Return the settings with samples shrunk so that they and `merges` calls stay within `max_calls`."""
    return replace(settings, samples=_within(settings, settings.samples, merges))


def fit_layers(settings: Settings, pool_size: int) -> Settings:
    """Return the settings of `layers` layers of all LLMs and one aggregation, within `max_calls`.

    Layers give way before LLMs: a layer costs as many calls as there are LLMs.
    """
    fitted = fit_referencers(ask_everyone(settings, pool_size), pool_size, merges=1)
    if settings.max_calls is None:
        return fitted
    return replace(fitted, layers=max(1, min(settings.layers, (settings.max_calls - 1) // fitted.k)))


def _within(settings: Settings, wanted: int, others: int) -> int:
    return wanted if settings.max_calls is None else max(1, min(wanted, settings.max_calls - others))


def open_run(
    name: str,
    query: Query,
    resources: Resources,
    trace: Trace,
    *,
    wanted: Settings,
    fitted: Settings | None = None,
    subset_seed: int | None = None,
) -> Settings:
    """Open the record of a run; say by how much it was shrunk, and which LLMs are out.

    Args:
        name: The strategy's.
        query: What is asked.
        resources: Whose aggregators are recorded, in reach (`Resources.in_reach`).
        trace: Where the run is opened.
        wanted: The parameters asked for, K not above the pool's size.
        fitted: The parameters in force, if they may be others.
        subset_seed: Seed of the draws of subsets, for methods that draw some.

    Returns:
        The parameters in force.
    """
    fitted = fitted or wanted
    drawn = {} if subset_seed is None else {"subset_seed": subset_seed}
    trace.start(name, query, {**fitted.to_dict(), **drawn, "aggregators": list(resources.aggregators)})
    shrunk = [f"{field}={getattr(fitted, field)}" for field in _MAY_SHRINK if _less(fitted, wanted, field, resources)]
    if shrunk:
        trace.degrade(f"max_calls={wanted.max_calls}: shrunk to {', '.join(shrunk)}")
    _tell_out(resources, trace)
    return fitted


def _tell_out(resources: Resources, trace: Trace) -> None:
    asked = {*resources.pool, *resources.aggregators}
    known = {*asked, *resources.absent, *resources.mergers}
    out = {name: f"{name} ({why})" for name, why in resources.out.items() if name in known}
    left = [said for name, said in out.items() if name not in asked]
    needed = [said for name, said in out.items() if name in asked]
    if left:
        trace.degrade(f"out, so not asked: {', '.join(left)}")
    if needed:
        trace.degrade(f"out, but there is nobody else to ask: {', '.join(needed)}")


def _less(fitted: Settings, wanted: Settings, field: str, resources: Resources) -> bool:
    asked: int = getattr(wanted, field)
    got: int = getattr(fitted, field)
    return got < (min(asked, len(resources.pool)) if field == "k" else asked)

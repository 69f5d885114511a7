"""The parameters of a run, their bounds, and the named profiles.

`paper` is exactly appendix A.3 of arXiv 2507.14200 and waits for every call. The other profiles are ours: they add the
straggler cut and the quorum, which the simulations and cost curves in `docs/profiles.md` pay for, and let other LLMs
take the place of those that fail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Final, Literal, get_args

from smcs.errors import InputError, suggest
from smcs.strategies.guard import Guard
from smcs.types import Ablation, Compat, Sampling

__all__ = ("PROFILES", "ProfileName", "Settings", "profile")

_ATOMS: Final = (str, int, float)
_SEQUENCES: Final = (tuple, list)

ProfileName = Literal["paper", "balanced", "fast", "max"]
"""A named set of parameters."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Parameters of one run; the defaults are the paper's."""

    _: KW_ONLY
    k: int = 7
    """K, number of referencers; clamped to the pool's size."""
    support_base: int = 400
    """N_sup_base (Eq. 3), least size of the support set; clamped to the bank's size."""
    tolerance: float = 0.95
    """gamma (Eq. 3), in (0, 1]: questions this close to the N_sup_base-th similarity are support too."""
    drop: int = 1
    """K_drop, references left out of each subset; clamped below K."""
    n: int = 8
    """Subsets drawn, and so candidates wanted."""
    balance: float = 1.0
    """lambda (Eq. 7), weight of 1 - perplexity; 0 leaves the term out."""
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=8192, presence_penalty=1.05)
    """Sampling of references and aggregations; what an LLM declares for itself wins."""
    straggler_cut: float | None = None
    """References later than this many times the median arrival leave their subsets (> 1); `None` waits for all."""
    quorum: float | None = None
    """Share of candidates, in (0, 1], at which a clear leader ends the run; `None` waits for all."""
    quorum_lead: float = 0.05
    """How far the leader's total must be ahead of the best candidate that says something else."""
    replace_failed: bool = False
    """Whether the next LLM by prior takes the place of one whose call failed, as far as caps and time allow."""
    max_calls: int | None = None
    """Most LLM calls; K and n shrink to fit."""
    max_seconds: float | None = None
    """Most wall seconds; what is in by then is used."""
    max_usd: float | None = None
    """Most USD, reserved at each call's worst case before it is sent; needs the price of every LLM it calls."""
    without: tuple[Ablation, ...] = ()
    """Parts left out: "rps" draws the referencers at random with equal priors, "prior_drop" draws subsets uniformly,
    "similarity" and "perplexity" leave their term out of Eq. 7."""
    samples: int = 8
    """Answers of one LLM: self_consistency, self_moa and best_of_n."""
    layers: int = 1
    """Layers of referencers before the aggregation: moa."""
    llm: str | None = None
    """The LLM of single, self_consistency, self_moa and best_of_n; `None` takes the best of the bank."""
    prior: str = "rps"
    """How LLMs are ranked for a question: a name of `smcs.prior.PRIORS`, "rps" being Eq. 2-4."""
    guard: Guard = field(default_factory=Guard)
    """When smcs_guarded merges references, and what votes are worth there."""
    seed: int | None = None
    """Seed of the subset draws and, plus an offset per call, of the LLM requests; `None` draws one and records it."""
    compat: Compat = "paper"
    """"official" reproduces where the released research code differs from the paper."""

    def __post_init__(self) -> None:
        for name in ("k", "support_base", "n", "samples", "layers"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.drop < 0:
            raise InputError(f"`drop` must be 0 or more, got {self.drop}.")
        if not 0 < self.tolerance <= 1:
            raise InputError(f"`tolerance` must be above 0 and at most 1, got {self.tolerance}.")
        if not (math.isfinite(self.balance) and self.balance >= 0):
            raise InputError(f"`balance` must be a finite number of 0 or more, got {self.balance}.")
        if self.straggler_cut is not None and not self.straggler_cut > 1:
            raise InputError(f"`straggler_cut` must be above 1, got {self.straggler_cut}. Use None to wait for all.")
        if self.quorum is not None and not 0 < self.quorum <= 1:
            raise InputError(f"`quorum` must be above 0 and at most 1, got {self.quorum}. Use None to wait for all.")
        known = get_args(Ablation)
        if wrong := [part for part in self.without if part not in known]:
            raise InputError(f"`without` cannot leave out {wrong[0]!r}. It can: {', '.join(known)}.")
        if self.max_calls is not None and self.max_calls < 1:
            raise InputError(f"`max_calls` must be at least 1, got {self.max_calls}.")
        for name, cap in {"max_seconds": self.max_seconds, "max_usd": self.max_usd}.items():
            if cap is not None and not cap > 0:
                raise InputError(f"`{name}` must be above 0, got {cap}.")

    def fitted(self, pool_size: int) -> Settings:
        """Return the settings clamped to a pool and shrunk to `max_calls`.

        n gives way before K: one aggregation of several references is worth more than many of one.
        """
        k, n = min(self.k, pool_size), self.n
        if self.max_calls is not None and k + n > self.max_calls:
            n = max(1, self.max_calls - k)
            k = max(1, min(k, self.max_calls - n))
        return replace(self, k=k, n=n, drop=min(self.drop, k - 1))

    def to_dict(self) -> dict[str, Any]:
        """Return every parameter as JSON-ready values; `replace_failed` and the answer's shape only where they are set.

        Result files compare these values with those of files that were begun when neither was a parameter.
        """
        values: dict[str, Any] = _plain(self)
        if self.sampling.response_format is None:
            del values["sampling"]["response_format"]
        if not self.replace_failed:
            del values["replace_failed"]
        return values


def _plain(value: Any) -> Any:
    """Return a value with its dataclasses and tuples, at any depth, as dicts and lists.

    Every run writes its settings down, and `dataclasses.asdict` takes several times as long.
    """
    if value is None or isinstance(value, _ATOMS):
        return value
    if (names := getattr(value, "__dataclass_fields__", None)) is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, _SEQUENCES) else value


PROFILES: Final[dict[ProfileName, Settings]] = {
    "paper": Settings(),
    "balanced": Settings(straggler_cut=1.5, quorum=0.5, replace_failed=True),
    "fast": Settings(k=3, n=3, straggler_cut=1.5, quorum=0.5, replace_failed=True),
    "max": Settings(support_base=200, n=16, straggler_cut=3.0, replace_failed=True),
}
"""The profiles by name."""


def profile(name: str) -> Settings:
    """Return a profile's settings.

    Raises:
        InputError: There is no such profile.
    """
    for known, settings in PROFILES.items():
        if known == name:
            return settings
    raise InputError(f"Unknown profile {name!r}.{suggest(name, PROFILES)}")

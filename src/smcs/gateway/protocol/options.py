"""Our one extension of a request: the `smcs` object, which says how the LLMs shall collaborate."""

from __future__ import annotations

from typing import Annotated, Any, Final, get_args

from pydantic import Field

from smcs.gateway.errors import unsupported
from smcs.gateway.protocol.parsing import Body
from smcs.strategies import STRATEGIES, StrategySpec
from smcs.types import Ablation

__all__ = ("MODEL_NAME", "ModelName", "SmcsOptions")

MODEL_NAME: Final = r"^[^\x00-\x1f\x7f]+$"
"""Names of models and LLMs: no control characters."""

ModelName = Annotated[str, Field(min_length=1, max_length=256, pattern=MODEL_NAME)]
"""Name of a model or LLM."""

_Names = Annotated[list[ModelName], Field(min_length=1, max_length=256, fail_fast=True)]
_Parts = Annotated[list[Ablation], Field(max_length=len(get_args(Ablation)), fail_fast=True)]
_SETTINGS: Final = ("k", "n", "drop", "max_usd", "max_seconds", "max_calls")


class SmcsOptions(Body):
    """How this request shall be answered; what is absent is as the model's configuration says.

    Caps can only lower what the configuration and the key allow; that is for the server to see to.
    """

    strategy: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_]+$")] | None = None
    """Name of a strategy, e.g. "smcs_guarded"."""
    profile: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """Named set of parameters, e.g. "fast"."""
    k: Annotated[int, Field(ge=1, le=256)] | None = None
    """Referencers."""
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    """Candidates; not the number of answers, which is the request's own `n`."""
    drop: Annotated[int, Field(ge=0, le=255)] | None = None
    """References left out of each subset."""
    aggregator: ModelName | None = None
    """LLM that merges."""
    include: _Names | None = None
    """Only these LLMs may be asked."""
    exclude: _Names | None = None
    """These LLMs may not be asked."""
    max_usd: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Most USD."""
    max_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """Most wall seconds."""
    max_calls: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Most LLM calls."""
    without: _Parts | None = None
    """Parts of the method that are left out, to see what they are worth; an empty list leaves out none."""
    explain: bool | None = None
    """Whether the whole record of the run is returned."""
    thinking: bool | None = None
    """Whether the stages of the run are streamed as reasoning."""

    def settings(self) -> dict[str, Any]:
        """Return the fields of `smcs.strategies.Settings` that are set here, by name."""
        given = {name: getattr(self, name) for name in _SETTINGS}
        given["without"] = None if self.without is None else tuple(dict.fromkeys(self.without))
        return {name: value for name, value in given.items() if value is not None}

    def steering(self) -> tuple[str, ...]:
        """Return the names of what is set here and has no meaning where one LLM answers alone."""
        alone = {"max_usd", "max_seconds", "explain", "thinking"}
        return tuple(name for name in type(self).model_fields if name not in alone and getattr(self, name) is not None)

    def check_ablations(self, spec: StrategySpec) -> None:
        """Refuse to leave out what a strategy does not have.

        Raises:
            GatewayError: 400 with the field's name.
        """
        wrong = [part for part in self.without or () if part not in spec.ablations]
        if not wrong:
            return
        others = ", ".join(name for name, other in STRATEGIES.items() if other.ablations)
        able = (
            f"it can: {', '.join(spec.ablations)}"
            if spec.ablations
            else f"strategies that can leave out parts: {others}"
        )
        why = f"`smcs.without`: strategy {spec.name!r} cannot leave out {wrong[0]!r}; {able}."
        raise unsupported("smcs.without", why)

"""The names a client can ask for: virtual models, which stand for strategies, and the LLMs of the pool."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from smcs.config import Config
from smcs.config.schema import LimitsConfig, ParametersConfig
from smcs.embedders import Embedder
from smcs.errors import ConfigError, suggest
from smcs.gateway.errors import not_found
from smcs.llms import Member
from smcs.strategies import STRATEGIES, Resources, Settings, StrategySpec, check_strategy, find_strategy

__all__ = ("EMBEDDER", "Models", "PassThrough", "VirtualModel", "embedder_names")

EMBEDDER: Final = "smcs-embedder"
"""Public name of the embedder, whichever it is."""

DEFAULT_STRATEGY: Final = "smcs_guarded"
_BY_PROFILE: Final = {
    "smcs": None,
    "smcs-fast": "fast",
    "smcs-max": "max",
}


@dataclass(frozen=True, slots=True)
class VirtualModel:
    """A name that stands for a strategy and its parameters."""

    name: str
    spec: StrategySpec
    settings: Settings
    description: str

    @property
    def llm(self) -> str | None:
        """The LLM that it stands for; `None` where each question finds its own."""
        return self.spec.named(self.settings)


@dataclass(frozen=True, slots=True)
class PassThrough:
    """An LLM of the pool under its own name; it answers alone, and its answer is handed on as it is."""

    name: str
    member: Member

    @property
    def description(self) -> str:
        """What it is, in one line."""
        return "an LLM of the pool, handed through"

    @property
    def llm(self) -> str:
        """The LLM."""
        return self.name


class Models(Mapping[str, VirtualModel | PassThrough]):
    """Every name, virtual models first.

    Raises:
        ConfigError: A name is taken twice, or a virtual model's strategy or parameters are wrong.
    """

    def __init__(self, config: Config, resources: Resources) -> None:
        virtual = [*_built_in(config), *_configured(config)]
        names = [model.name for model in virtual]
        pool = {**resources.pool, **resources.mergers}
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"`gateway.models` redefines the built-in model {name!r}. Choose another name.")
            if name in pool:
                raise ConfigError(
                    f"{name!r} is the name of a virtual model and of an LLM of the pool. Rename the LLM in `pool`."
                )
        self._by_name: dict[str, VirtualModel | PassThrough] = {model.name: model for model in virtual}
        self._by_name |= {name: PassThrough(name, member) for name, member in pool.items()}

    def __getitem__(self, name: str) -> VirtualModel | PassThrough:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> VirtualModel | PassThrough:
        """Return a model.

        Raises:
            GatewayError: 404; the message suggests a name.
        """
        try:
            return self._by_name[name]
        except KeyError:
            shown = name if len(name) <= 100 else f"{name[:100]}..."
            raise not_found(
                f"There is no model {shown!r}.{suggest(shown, self._by_name)}", code="model_not_found", param="model"
            ) from None

    def usable(self, resources: Resources, *, off: Container[str] = ()) -> Iterator[VirtualModel | PassThrough]:
        """Yield the models whose needs (a bank, log-probabilities) are met.

        Args:
            resources: What there is.
            off: LLMs that are switched off: what stands for one of them is left out.
        """
        for model in self._by_name.values():
            if model.llm in off:
                continue
            if isinstance(model, VirtualModel):
                try:
                    check_strategy(model.spec, resources, model.settings)
                except ConfigError:
                    continue
            yield model


def embedder_names(embedder: Embedder) -> tuple[str, ...]:
    """Return the names by which the embedder can be asked for."""
    return EMBEDDER, "smcs", embedder.name


def _built_in(config: Config) -> Iterator[VirtualModel]:
    spec = find_strategy(DEFAULT_STRATEGY)
    for name, profile_name in _BY_PROFILE.items():
        shown = profile_name or config.profile
        yield VirtualModel(name, spec, config.settings(profile_name), f"{spec.title}, profile {shown}: {spec.summary}")
    for name, each in STRATEGIES.items():
        yield VirtualModel(f"smcs/{name}", each, config.settings(), f"{each.title}: {each.summary}")


def _configured(config: Config) -> Iterator[VirtualModel]:
    for name, model in config.gateway.models.items():
        spec = find_strategy(model.strategy)
        limits = {key: value for key, value in model.parameters.items() if key in LimitsConfig.model_fields}
        parameters = {key: value for key, value in model.parameters.items() if key not in limits}
        merged = config.model_copy(
            update={
                "parameters": _over(config.parameters, ParametersConfig, parameters, name),
                "limits": _over(config.limits, LimitsConfig, limits, name),
            }
        )
        description = model.description or f"{spec.title}: {spec.summary}"
        yield VirtualModel(name, spec, merged.settings(model.profile), description)


_Section = TypeVar("_Section", bound=BaseModel)


def _over(base: _Section, kind: type[_Section], changes: Mapping[str, Any], name: str) -> _Section:
    try:
        return kind.model_validate({**base.model_dump(exclude_unset=True), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"`gateway.models.{name}.parameters.{where}`: {first['msg']}.") from error

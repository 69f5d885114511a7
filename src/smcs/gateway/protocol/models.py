"""`GET /v1/models`: what can be asked, in the words of the OpenAI API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

__all__ = ("ModelCard", "model_list")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model a client may ask."""

    id: str
    created: int
    """Unix time in seconds; the API demands one."""
    owned_by: str = "smcs"
    _: KW_ONLY
    description: str = ""
    smcs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What more is known of it, JSON-ready: its kind, strategy, capabilities."""

    def to_dict(self) -> dict[str, Any]:
        """Return the model object."""
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": self.owned_by,
            "smcs": {"description": self.description, **self.smcs},
        }


def model_list(cards: Iterable[ModelCard]) -> dict[str, Any]:
    """Return the list object."""
    return {"object": "list", "data": [card.to_dict() for card in cards]}

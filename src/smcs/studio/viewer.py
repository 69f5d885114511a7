"""Who looks at the studio, and what they may see."""

from __future__ import annotations

from dataclasses import dataclass

from smcs.gateway.ledger import KeyRecord, RunRow

__all__ = ("Viewer",)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person at a browser."""

    key: KeyRecord | None
    """The key they signed in with; `None` where the server asks for none."""

    @property
    def key_id(self) -> str:
        """Id of the key, empty without one: what the ledger has for their runs."""
        return "" if self.key is None else self.key.id

    @property
    def is_admin(self) -> bool:
        """Whether they see the runs and spending of all keys, and may switch LLMs off."""
        return self.key is None or self.key.limits.admin

    @property
    def name(self) -> str:
        """The key's name; empty without one."""
        return "" if self.key is None else self.key.name

    def owns(self, row: RunRow) -> bool:
        """Return whether a run is theirs to see without anybody sharing it."""
        return self.is_admin or row.key_id == self.key_id

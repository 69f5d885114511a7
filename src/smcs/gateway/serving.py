"""How a server is to run, as a command line says it, and its config as one process tells another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from smcs.config import Config, FoundConfig, find_config
from smcs.errors import ConfigError

__all__ = ("Packed", "Serving")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a server is to run; `None` takes what the config says."""

    config: str | None = None
    bank: str | None = None
    host: str | None = None
    port: int | None = None
    database: str | None = None
    workers: int = 1
    log_level: str = "info"

    def found(self) -> FoundConfig:
        """Return the config, with what is set here laid over it.

        Raises:
            ConfigError: The file is missing or wrong.
        """
        found = find_config(self.config).with_bank(self.bank)
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ConfigError(f"A port is a number from 0 to 65535, got {self.port}.")
        changes = {name: value for name in ("host", "port") if (value := getattr(self, name)) is not None}
        return found.with_gateway(**changes) if changes else found


@dataclass(frozen=True, slots=True)
class Packed:
    """A config that was read, as text: its file may have changed since, or be gone."""

    config: str
    """JSON, without what was left at its default."""
    folder: str
    source: str
    is_file: bool

    @classmethod
    def of(cls, found: FoundConfig) -> Self:
        """Pack a config."""
        text = found.config.model_dump_json(exclude_unset=True, by_alias=True)
        return cls(text, str(found.folder), found.source, found.is_file)

    def found(self) -> FoundConfig:
        """Return the config."""
        config = Config.model_validate_json(self.config)
        return FoundConfig(config, Path(self.folder), self.source, is_file=self.is_file)

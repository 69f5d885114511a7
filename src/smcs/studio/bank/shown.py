"""What every view of the bank is given."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from smcs.bank import BankInfo, QuestionBank
from smcs.gateway.service import Service
from smcs.studio.frame import Studio

__all__ = ("Shown",)


@dataclass(frozen=True, slots=True)
class Shown:
    """A bank in an open page."""

    studio: Studio
    service: Service
    """In use as long as the page is being filled, no longer."""
    bank: QuestionBank
    info: BankInfo
    parameters: Mapping[str, str]
    """Of the address: text that anybody may have written."""

    @property
    def named(self) -> str:
        """The bank as an argument of commands; where it is, only those may see who run the server."""
        if self.is_seed:
            return "seed"
        return self.info.url if self.studio.viewer.is_admin else "BANK"

    @property
    def is_seed(self) -> bool:
        """Whether it is the bank that ships with smcs, which is not to be changed."""
        return self.service.config.bank == "seed"

    @property
    def quoted(self) -> str:
        """The same as the shell reads it."""
        return shlex.quote(self.named)

    @property
    def is_embedded(self) -> bool:
        """Whether there is anything to compare by meaning."""
        return any(embedder.default and embedder.embedded for embedder in self.info.embedders)

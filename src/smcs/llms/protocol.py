"""The seam between smcs and any LLM: one method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from smcs.types import Completion, Delta, Request

__all__ = ("LLM", "DeltaSink")

DeltaSink = Callable[[Delta], None]
"""Called with each piece of text as it arrives; must not block."""


class LLM(Protocol):
    """Anything that completes a chat request."""

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        """Answer a request.

        Args:
            request: Messages, sampling and what is wanted back.
            on_delta: If given, the answer is streamed and every piece is handed over before the call returns.

        Returns:
            At least one choice with a non-empty text; never an error text.

        Raises:
            LLMError: The call failed, timed out, or returned nothing that can be used.
        """
        ...

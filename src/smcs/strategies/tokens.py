"""How many tokens a call reads and writes, as far as that can be told before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from smcs.llms import Member
from smcs.types import Message, Sampling

__all__ = (
    "ASSUMED_COMPLETION",
    "ASSUMED_LIMIT",
    "CHARACTERS_PER_TOKEN",
    "TEMPLATE_TOKENS",
    "prompt_tokens",
    "token_limit",
)

CHARACTERS_PER_TOKEN: Final = 3.6
"""Characters of a prompt per token: English prose has about 4.5, formulas and programs about 3."""

ASSUMED_COMPLETION: Final = 500
"""Tokens of an answer where the bank holds none to go by; a few sentences of reasoning and the result."""

ASSUMED_LIMIT: Final = 8192
"""Most tokens of an answer where neither the sampling nor the context window of the LLM sets a limit."""

TEMPLATE_TOKENS: Final = 12
"""What a chat template adds to each message."""


def prompt_tokens(messages: Sequence[Message]) -> float:
    """Return how many tokens a conversation is likely to have."""
    return sum(len(message.content) / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS for message in messages)


def token_limit(member: Member, sampling: Sampling) -> int:
    """Return the most tokens an LLM may write: `max_tokens`, else its context window, else `ASSUMED_LIMIT`."""
    return member.sampling.over(sampling).max_tokens or member.context_window or ASSUMED_LIMIT

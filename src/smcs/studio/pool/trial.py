"""One short question to one LLM, to see whether and how it answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from smcs.errors import SmcsError
from smcs.gateway.desk import Desk
from smcs.gateway.inside import build_request
from smcs.gateway.ledger import KeyRecord
from smcs.studio.frame import format_count, format_seconds, format_usd
from smcs.types import Message, Sampling

__all__ = ("QUESTION", "Trial", "try_llm")

QUESTION: Final = "What is 7 + 5? Answer with the number only."

_TOKENS: Final = 512
_SHOWN: Final = 2_000


@dataclass(frozen=True, slots=True)
class Trial:
    """How a test call went."""

    llm: str
    ok: bool
    text: str
    """The answer, or why there is none."""
    figures: str
    """Seconds, tokens and money, in one line."""
    run_id: str = ""
    """In the ledger; empty where there is no answer."""


async def try_llm(desk: Desk, llm: str, key: KeyRecord | None) -> Trial:
    """Ask an LLM the test question, as a request that the viewer makes and pays for.

    What is refused or fails is a trial too. It is in the ledger like every question.
    """
    began = time.monotonic()
    try:
        request = build_request(
            llm, (Message("user", QUESTION),), sampling=Sampling(temperature=0.0, max_tokens=_TOKENS)
        )
        asked = await desk.ask(request, key)
    except SmcsError as error:
        return Trial(llm, False, str(error), f"failed after {format_seconds(time.monotonic() - began)}")
    run = asked.run
    figures = (
        f"{format_seconds(run.seconds)}, {format_count(run.usage.prompt_tokens)} tokens read and "
        f"{format_count(run.usage.completion_tokens)} written, cost {format_usd(run.cost_usd, run.known_cost_usd)}"
    )
    return Trial(llm, True, run.answer[:_SHOWN], figures, asked.run_id)

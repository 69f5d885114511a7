"""What a user says about an answer: kept in the ledger, and learned from by the bank."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from smcs.errors import BankError, EmbedderError, InputError
from smcs.evaluate import Feedback, learn
from smcs.gateway.access import read_run
from smcs.gateway.ledger import KeyRecord
from smcs.gateway.protocol import Body
from smcs.gateway.state import Gateway
from smcs.run import Run

__all__ = ("FeedbackRequest", "give")


class FeedbackRequest(Body):
    """What a user says about an answer: a verdict, the correct answer, a comment, or several of them."""

    run_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Id of the run: `smcs.run_id` of the response."""
    verdict: Literal["good", "bad"] | None = None
    answer: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None
    """The correct answer."""
    choices: Annotated[list[Annotated[str, Field(max_length=2_000)]], Field(max_length=26)] | None = None
    """The options of the question, where it had some; the correct answer is then a letter."""
    comment: Annotated[str, Field(max_length=20_000)] | None = None


async def give(gateway: Gateway, said: FeedbackRequest, key: KeyRecord | None) -> dict[str, Any]:
    """Keep what somebody says about an answer they may read, and let the bank learn from it.

    Args:
        gateway: The running gateway.
        said: What they say.
        key: Who they are; `None` where the server asks for no key.

    Returns:
        The body of the response: `run_id`, `created`, and under `bank` what was learned, or why nothing was.

    Raises:
        GatewayError: 404, they have no such run.
        InputError: Nothing was said.
        LedgerUnavailableError: The database failed.
    """
    stored = await read_run(gateway.ledger, said.run_id, key)
    kept = await gateway.ledger.feedback(
        said.run_id, said.verdict, said.answer, said.comment, "" if key is None else key.id
    )
    learned = await _learn(gateway, stored.record, said)
    return {"object": "feedback", "run_id": kept.run_id, "created": kept.created, "bank": learned}


async def _learn(gateway: Gateway, run: Run | None, said: FeedbackRequest) -> dict[str, Any]:
    """Add the question with what is known now; why not, where that cannot be."""
    async with gateway.service.in_use() as service:
        bank, config = service.resources.bank, service.config
        if bank is None or config.bank == "seed" or not config.gateway.learn:
            return {"learned": False, "why": "no bank of your own is configured, or `gateway.learn` is off"}
        if run is None or not run.answer:
            return {"learned": False, "why": "the ledger keeps no text of this run"}
        if said.verdict is None and said.answer is None:
            return {"learned": False, "why": "a comment alone says nothing of who was right"}
        right = None if said.answer is not None else said.verdict == "good"
        known = Feedback(
            right=right, gold=said.answer, choices=tuple(said.choices or ()), author="gateway", note=run.id
        )
        try:
            growth = await learn(bank, run, known, service.resources.embedder)
        except (InputError, BankError, EmbedderError) as error:
            return {"learned": False, "why": str(error)}
        return {
            "learned": growth.change is not None,
            "question_id": growth.question_id,
            "is_new": growth.is_new,
            "change": growth.change,
            "outcomes": {outcome.llm: outcome.score for outcome in growth.outcomes},
        }

"""The body of `POST /v1/feedback`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from smcs.gateway.protocol import Body

__all__ = ("FeedbackRequest",)


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

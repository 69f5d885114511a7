"""What a build will cost, before it starts: an expectation and an upper bound per LLM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcs.bank import QuestionBank
from smcs.llms.pool import Member
from smcs.strategies.tokens import ASSUMED_COMPLETION, ASSUMED_LIMIT, CHARACTERS_PER_TOKEN, prompt_tokens
from smcs.types import Message, Price, Question, Sampling, Usage

__all__ = ("ASSUMED_COMPLETION", "CHARACTERS_PER_TOKEN", "BuildEstimate", "LLMEstimate", "estimate_calls")


@dataclass(frozen=True, slots=True)
class LLMEstimate:
    """What one LLM is expected to take for what it has not answered yet."""

    llm: str
    questions: int
    """Questions without an outcome."""
    calls: int
    """`questions` times samples."""
    prompt_tokens: int
    """Read, estimated from the length of the prompts."""
    completion_tokens: int
    """Written: as on the questions of the same task in the bank, else assumed."""
    most_completion_tokens: int
    """Written if every answer is as long as it may be."""
    cost_usd: float | None
    """Expected USD; `None` where the price is unknown."""
    most_usd: float | None
    """USD if every answer is as long as it may be; `None` where the price is unknown."""
    from_bank: float
    """Share of the calls whose length is that of answers in the bank, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class BuildEstimate:
    """The estimates of all LLMs, in the order given."""

    llms: tuple[LLMEstimate, ...]

    @property
    def cost_usd(self) -> float | None:
        """Expected USD of all; `None` as soon as one price is unknown."""
        return _total([row.cost_usd for row in self.llms])

    @property
    def known_usd(self) -> float:
        """Expected USD of those whose price is known."""
        return sum(row.cost_usd or 0.0 for row in self.llms)

    @property
    def most_usd(self) -> float | None:
        """USD of all if every answer is as long as it may be."""
        return _total([row.most_usd for row in self.llms])


def estimate_calls(
    questions: Sequence[Question],
    members: Sequence[Member],
    bank: QuestionBank | None,
    *,
    messages: Callable[[Question], tuple[Message, ...]],
    sampling: Callable[[Question], Sampling],
    samples: int = 1,
) -> BuildEstimate:
    """Estimate what the LLMs take to answer what they have not answered yet.

    Prompt tokens come from the length of the text (`CHARACTERS_PER_TOKEN`). Tokens of answers are the mean of this
    LLM's answers to the task in the bank, else `ASSUMED_COMPLETION`, and never more than `max_tokens`. Their upper
    bound is `max_tokens`, else the LLM's context window, else `ASSUMED_LIMIT`.

    Args:
        questions: What is asked.
        members: Who is asked.
        bank: Where answers may be already; `None` if there is none yet.
        messages: The prompt of a question.
        sampling: Sampling of a question; the member's own is laid over it.
        samples: Answers per question.
    """
    read = np.array([prompt_tokens(messages(question)) for question in questions], dtype=np.float64)
    limits = np.array([sampling(question).max_tokens or 0 for question in questions], dtype=np.float64)
    used = () if bank is None else bank.usage()
    lengths = {(row.llm, row.task): row.completion_tokens / row.answers for row in used if row.answers}
    known = frozenset[str]() if bank is None else frozenset(bank.llms)
    rows = []
    for member in members:
        answered = bank.answered(member.name) if bank is not None and member.name in known else set[str]()
        rest = [i for i, question in enumerate(questions) if question.id not in answered]
        means = np.array([lengths.get((member.name, questions[i].task), np.nan) for i in rest], dtype=np.float64)
        rows.append(_estimate(member, _Calls(read[rest], limits[rest], means), samples))
    return BuildEstimate(tuple(rows))


@dataclass(frozen=True, slots=True)
class _Calls:
    """One LLM's calls, one value per question that it has not answered."""

    read: NDArray[np.float64]
    """Tokens of the prompt."""
    limit: NDArray[np.float64]
    """`max_tokens`, 0 where none is set."""
    mean: NDArray[np.float64]
    """Mean tokens of its answers to this task in the bank, NaN where there are none."""


def _estimate(member: Member, calls: _Calls, samples: int) -> LLMEstimate:
    own_limit = member.sampling.max_tokens or 0
    limit = np.full_like(calls.limit, own_limit) if own_limit else calls.limit
    most = np.where(limit > 0, limit, member.context_window or ASSUMED_LIMIT)
    measured = ~np.isnan(calls.mean)
    written = np.minimum(np.where(measured, calls.mean, ASSUMED_COMPLETION), most)
    system = len(member.system_prompt or "") / CHARACTERS_PER_TOKEN
    tokens = [round(samples * float(values.sum())) for values in (calls.read + system, written, most)]
    price = member.price if measured.size else Price(0.0, 0.0)
    return LLMEstimate(
        member.name,
        questions=len(measured),
        calls=len(measured) * samples,
        prompt_tokens=tokens[0],
        completion_tokens=tokens[1],
        most_completion_tokens=tokens[2],
        cost_usd=None if price is None else price.cost(Usage(tokens[0], tokens[1])),
        most_usd=None if price is None else price.cost(Usage(tokens[0], tokens[2])),
        from_bank=float(measured.mean()) if measured.size else 1.0,
    )


def _total(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None

"""Pools and queries for the compared methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helpers_strategies import member, resources, scripted
from smcs.bank import QuestionBank
from smcs.run import Query
from smcs.strategies import Resources
from smcs.types import Message, Request

KNOWN = {
    "adder": {"sums": 1.0, "cities": 0.1},
    "guide": {"sums": 0.2, "cities": 1.0},
    "half": {"sums": 0.5, "cities": 0.5},
    "poor": {"sums": 0.05, "cities": 0.05},
}
"""Share of each topic that an LLM got right. On both together: guide 0.6, adder 0.55, half 0.5, poor 0.05."""

NAMES = tuple(KNOWN)

LETTERS = ("first", "second", "third", "fourth")


def team(
    bank: QuestionBank | None,
    scripts: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    names: tuple[str, ...] = NAMES,
    aggregators: tuple[str, ...] = ("poor",),
    facts: Mapping[str, Mapping[str, Any]] | None = None,
) -> Resources:
    """Return scripted LLMs over a bank; `scripts` changes what an LLM says, `facts` what is known about it."""
    scripts, facts = scripts or {}, facts or {}
    members = [member(scripted(name, **scripts.get(name, {})), **facts.get(name, {})) for name in names]
    return resources(*members, aggregators=aggregators, bank=bank)


def requests(over: Resources, name: str) -> list[Request]:
    """Return what an LLM was asked, in order."""
    return list(over.pool[name].llm.history)  # type: ignore[attr-defined]


def choice_query(text: str = "add the numbers 3 and 4", **labels: str) -> Query:
    """Return a multiple-choice query."""
    return Query(text, (Message("user", text),), choices=LETTERS, grader="choice", **labels)


def says(letter: str) -> dict[str, Any]:
    """Return the script of an LLM that settles on an option."""
    return {"replies": [f"The answer is {letter}."]}

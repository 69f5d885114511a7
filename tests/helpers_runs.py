"""Runs of scripted LLMs as the studio sees them: every strategy, with the events it told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from helpers_methods import NAMES, choice_query, team
from helpers_strategies import SETTINGS, TOPICS
from smcs.bank import QuestionBank
from smcs.errors import NoUsableAnswerError
from smcs.run import Event, Query, Run, Trace
from smcs.strategies import Settings, strategy

__all__ = ("EVERYONE", "Watched", "run_of", "watch")

EVERYONE = (*NAMES, "merger")

QUERY = Query.of(TOPICS["sums"].format(3, 4))


@dataclass(frozen=True)
class Watched:
    """One run and what it told."""

    run: Run
    """The record; of a run that failed, as it stood."""
    events: tuple[Event, ...]
    error: NoUsableAnswerError | None = None


async def watch(
    bank: QuestionBank | None,
    name: str,
    *,
    scripts: Mapping[str, Mapping[str, Any]] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Settings = SETTINGS,
    query: Query | None = None,
    out: Mapping[str, str] | None = None,
    wants_text: bool = True,
) -> Watched:
    """Run a strategy over scripted LLMs and keep all it tells.

    Args:
        bank: Knows the four LLMs of `helpers_methods.KNOWN`.
        name: The strategy's.
        scripts: What an LLM says, where that matters.
        facts: What is known about an LLM, where that matters.
        settings: Its parameters.
        query: What is asked.
        out: LLMs that are out, with why.
        wants_text: Whether pieces of text are told too.
    """
    over = team(bank, scripts, names=EVERYONE, aggregators=("merger",), facts=facts)
    events: list[Event] = []
    trace = Trace(events.append, wants_text=wants_text)
    asked = query or choice_query(task="sums")
    try:
        run = await strategy(name)(asked, replace(over, out=dict(out or {})), settings, trace)
    except NoUsableAnswerError as error:
        return Watched(trace.so_far(), tuple(events), error)
    return Watched(run, tuple(events))


async def run_of(bank: QuestionBank | None, name: str = "smcs", **values: Any) -> Run:
    """Return just the record; see `watch`."""
    return (await watch(bank, name, **values)).run

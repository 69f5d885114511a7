"""A small pool of scripted LLMs and a bank that knows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smcs.bank import QuestionBank
from smcs.embedders import HashingEmbedder
from smcs.llms import Member, Pool, ScriptedLLM
from smcs.run import Event, Query, Run, Trace
from smcs.strategies import Resources, Settings, strategy
from smcs.types import Capabilities, Outcome, Price, Question

TOPICS = {"sums": "add the numbers {} and {}", "cities": "which city lies at river {} near hill {}"}

SETTINGS = Settings(k=3, n=4, support_base=10, seed=7)


def scripted(name: str, **script: Any) -> ScriptedLLM:
    """Return a scripted LLM that answers with its own name unless told otherwise."""
    return ScriptedLLM(name, **{"replies": [f"answer of {name}"], **script})


def member(llm: ScriptedLLM, **facts: Any) -> Member:
    """Return a pool member with a price, that gives log-probabilities and takes n up to its script's limit."""
    known = {"price": Price(1.0, 2.0), "capabilities": Capabilities(logprobs=True, max_n=llm.max_n)}
    return Member(llm.name, llm, **{**known, **facts})


async def make_bank(path: Path, accuracy: Mapping[str, Mapping[str, float]], *, per_topic: int = 20) -> QuestionBank:
    """Return a bank of two topics in which an LLM got the given share of each topic right."""
    bank = QuestionBank.create(path)
    questions = [
        Question(f"{topic}/{i}", text.format(i, i + 1), task=topic)
        for topic, text in TOPICS.items()
        for i in range(per_topic)
    ]
    bank.add_questions(questions)
    for llm, by_topic in accuracy.items():
        bank.add_llm(llm)
        bank.record(
            Outcome(q.id, llm, float(int(q.id.split("/")[1]) < by_topic[q.task] * per_topic))
            for q in questions
            if q.task in by_topic
        )
    await bank.embed(HashingEmbedder())
    return bank


def resources(
    *members: Member, aggregators: tuple[str, ...] = ("merger",), bank: QuestionBank | None = None
) -> Resources:
    """Return resources over some members."""
    return Resources(pool=Pool(members), aggregators=aggregators, embedder=HashingEmbedder(), bank=bank)


async def run(
    over: Resources,
    settings: Settings = SETTINGS,
    *,
    question: str | Query = "add the numbers 3 and 4",
    name: str = "smcs",
) -> tuple[Run, list[Event]]:
    """Answer a question with a strategy; return the record and every event."""
    events: list[Event] = []
    query = Query.of(question) if isinstance(question, str) else question
    record = await strategy(name)(query, over, settings, Trace(events.append))
    return record, events

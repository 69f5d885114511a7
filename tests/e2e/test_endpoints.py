"""A collaboration from a config file over real server processes that break while they are used."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers_server import ServerProcess, nothing_left, server_process
from helpers_strategies import make_bank
from smcs import Collaboration, Run
from smcs.llms import HttpSession, OpenAICompatibleLLM
from smcs.run import AttemptStarted, RunFinished
from smcs.types import Message, Request

ACCURACY = {
    "adder": {"sums": 1.0, "cities": 0.5},
    "half": {"sums": 0.6, "cities": 0.5},
    "poor": {"sums": 0.3, "cities": 0.5},
    "merger": {"sums": 0.1, "cities": 0.1},
    "second": {"sums": 0.1, "cities": 0.1},
}
TEXTS = {
    "adder": "the adder says seven",
    "half": "the half says seven",
    "poor": "the poor one says eight",
    "merger": "taken together it is seven",
    "second": "the second merger says seven",
}
QUESTION = "add the numbers 3 and 4"
LATE = {"connect": 30.0, "first_byte": 2.0, "between_bytes": 2.0, "total": 30.0}
"""Time-outs of the one that misbehaves; the others have the usual minutes."""

REFERENCE_STATUS = {
    "hang": ("timeout", "the first byte did not come within 2 s"),
    "error": ("error", "HTTP 500: scripted breakdown"),
    "malformed": ("error", "malformed response"),
    "junk": ("error", "malformed response"),
    "empty": ("empty", "no text"),
}


def script(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"text": text, **changes.get(name, {})} for name, text in TEXTS.items()}


async def team_at(
    folder: Path, url: str, *, elsewhere: dict[str, str] | None = None, hangs: str = "", **more: Any
) -> Collaboration:
    """Write a config and build from it; `elsewhere` gives members another endpoint."""
    bank = await make_bank(folder / "bank.db", ACCURACY)
    bank.close()
    pool = [
        {
            "name": name,
            "base_url": (elsewhere or {}).get(name, url),
            "model": name,
            "price": {"input": 1, "output": 2},
            "capabilities": {"logprobs": True, "max_n": 8, "concurrent_prefix": True},
            "tries": 2,
            **({"timeouts": LATE} if name == hangs else {}),
            **more.get(name, {}),
        }
        for name in TEXTS
    ]
    config = {
        "pool": pool,
        "aggregators": ["merger", "second"],
        "embedder": {"kind": "hashing"},
        "bank": "bank.db",
        "profile": "paper",
        "parameters": {"k": 3, "n": 4, "support_base": 10, "seed": 7, "sampling": {"max_tokens": 256}},
        "limits": more.get("limits", {}),
    }
    (folder / "smcs.yaml").write_text(yaml.safe_dump(config))
    return Collaboration.from_config(folder / "smcs.yaml")


async def answered(folder: Path, server: ServerProcess, **rest: Any) -> Run:
    """Ask, close, and see that nothing is left while the server still runs."""
    async with nothing_left():
        team = await team_at(folder, server.url, **rest)
        async with team:
            return await team.ask(QUESTION)


async def test_everyone_answers(tmp_path: Path) -> None:
    async with server_process(script()) as server:
        run = await answered(tmp_path, server)
    assert (run.answer, run.answered_by) == (TEXTS["merger"], "merger")
    assert run.referencers == ("adder", "half", "poor")
    assert run.degraded == ()
    assert run.failures == ()
    assert len(run.candidates) == 4
    assert all(candidate.perplexity == pytest.approx(2.718281828**0.25) for candidate in run.candidates)
    assert run.calls == 3 + len(set(run.subsets))
    assert run.cost_usd is not None
    assert run.cost_usd > 0


@pytest.mark.parametrize("behaviour", REFERENCE_STATUS)
async def test_a_referencer_that_breaks_is_left_out(tmp_path: Path, behaviour: str) -> None:
    async with server_process(script(adder={"behaviour": behaviour})) as server:
        run = await answered(tmp_path, server, hangs="adder" if behaviour == "hang" else "")
    status, reason = REFERENCE_STATUS[behaviour]
    assert run.answer == TEXTS["merger"]
    (failure,) = run.failures
    assert (failure.llm, failure.stage, failure.status) == ("adder", "reference", status)
    assert reason in (failure.error or "")
    assert any("reference lost: adder" in why for why in run.degraded)
    assert all(set(candidate.members) == {"half", "poor"} for candidate in run.candidates)
    assert len(run.candidates) == 4
    assert run.cost_usd is None
    assert run.known_cost_usd > 0


async def test_a_reference_without_numbers_for_its_logprobs_is_still_a_reference(tmp_path: Path) -> None:
    async with server_process(script(adder={"behaviour": "nan"})) as server:
        run = await answered(tmp_path, server)
    assert run.failures == ()
    assert run.answer == TEXTS["merger"]
    assert any("adder" in candidate.members for candidate in run.candidates)


async def test_an_answer_of_2_mb_is_not_believed(tmp_path: Path) -> None:
    plans = script(adder={"behaviour": "huge"}, merger={"max_bytes": 40_000}, second={"max_bytes": 40_000})
    async with server_process(plans) as server:
        run = await answered(tmp_path, server)
    assert run.answer == TEXTS["merger"]
    assert all("adder" not in candidate.members for candidate in run.candidates)
    assert any(why.startswith("reference lost: adder") and "bytes" in why for why in run.degraded)


async def test_max_seconds_ends_the_wait_for_a_referencer_that_hangs(tmp_path: Path) -> None:
    async with server_process(script(adder={"behaviour": "hang"})) as server:
        run = await answered(tmp_path, server, limits={"max_seconds": 15})
    assert run.answer == TEXTS["merger"]
    (failure,) = run.failures
    assert (failure.llm, failure.status) == ("adder", "cancelled")
    assert any("references given up: adder" in why and "max_seconds" in why for why in run.degraded)
    assert run.seconds < 15 + 10


async def test_a_server_that_is_killed_while_it_answers(tmp_path: Path) -> None:
    hanging = script(adder={"behaviour": "hang"})
    async with (
        server_process(script()) as server,
        server_process(hanging) as victim,
        nothing_left(),
        await team_at(tmp_path, server.url, elsewhere={"adder": victim.url}) as team,
    ):
        asking = asyncio.create_task(team.ask(QUESTION))
        await victim.called("adder")
        await victim.kill()
        run = await asking
    assert run.answer == TEXTS["merger"]
    (failure,) = run.failures
    assert (failure.llm, failure.status, failure.tries) == ("adder", "error", 2)
    assert "cannot connect" in (failure.error or "")
    assert any("reference lost: adder" in why for why in run.degraded)


@pytest.mark.parametrize("behaviour", REFERENCE_STATUS)
async def test_the_next_aggregator_takes_over(tmp_path: Path, behaviour: str) -> None:
    async with server_process(script(merger={"behaviour": behaviour})) as server:
        run = await answered(tmp_path, server, hangs="merger" if behaviour == "hang" else "")
    status, reason = REFERENCE_STATUS[behaviour]
    assert (run.answer, run.answered_by) == (TEXTS["second"], "second")
    assert {(failure.llm, failure.status) for failure in run.failures} == {("merger", status)}
    assert all(reason in (failure.error or "") for failure in run.failures)
    assert any("aggregation lost: merger" in why for why in run.degraded)
    assert len(run.candidates) == 4


async def test_an_aggregator_without_numbers_for_its_logprobs_is_scored_by_agreement(tmp_path: Path) -> None:
    async with server_process(script(merger={"behaviour": "nan"})) as server:
        run = await answered(tmp_path, server)
    assert run.answer == TEXTS["merger"]
    assert all(candidate.perplexity is None for candidate in run.candidates)
    assert all(candidate.score is not None for candidate in run.candidates)
    assert any("no usable log-probabilities from merger" in why for why in run.degraded)


async def test_every_aggregator_broken_leaves_the_best_reference(tmp_path: Path) -> None:
    async with server_process(script(merger={"behaviour": "error"}, second={"behaviour": "empty"})) as server:
        run = await answered(tmp_path, server)
    assert (run.answer, run.answered_by, run.chosen) == (TEXTS["adder"], "adder", None)
    assert {failure.llm for failure in run.failures} == {"merger", "second"}
    assert any("no candidate" in why for why in run.degraded)


async def test_leaving_a_stream_early_takes_the_calls_back(tmp_path: Path) -> None:
    plans = script(**{name: {"behaviour": "hang"} for name in TEXTS})
    async with server_process(plans) as server, await team_at(tmp_path, server.url) as team, nothing_left():
        async for event in team.stream(QUESTION):
            if isinstance(event, AttemptStarted):
                await server.called(event.llm)
                break


async def test_text_streams_from_the_endpoint(tmp_path: Path) -> None:
    async with server_process(script()) as server, nothing_left(), await team_at(tmp_path, server.url) as team:
        events = [event async for event in team.stream(QUESTION, wants_text=True)]
    pieces = "".join(getattr(e, "text", "") for e in events if getattr(e, "llm", "") == "adder")
    assert pieces == TEXTS["adder"]
    assert isinstance(events[-1], RunFinished)
    assert events[-1].run.answer == TEXTS["merger"]


async def test_the_openai_client_reads_the_same_from_the_server() -> None:
    openai = pytest.importorskip("openai")
    async with server_process(script()) as server, nothing_left():
        async with openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client:
            theirs = await client.chat.completions.create(
                model="merger",
                messages=[{"role": "user", "content": QUESTION}],
                n=2,
                logprobs=True,
                top_logprobs=1,
            )
        session = HttpSession()
        ours = await OpenAICompatibleLLM("merger", base_url=server.url, model="merger", session=session).complete(
            Request((Message("user", QUESTION),), n=2, logprobs=True)
        )
        await session.close()
    assert [choice.text for choice in ours.choices] == [choice.message.content for choice in theirs.choices]
    assert [choice.finish_reason for choice in ours.choices] == [choice.finish_reason for choice in theirs.choices]
    assert [list(choice.logprobs or ()) for choice in ours.choices] == [
        [entry.logprob for entry in choice.logprobs.content] for choice in theirs.choices
    ]
    assert ours.usage.prompt_tokens == theirs.usage.prompt_tokens
    assert ours.usage.completion_tokens == theirs.usage.completion_tokens

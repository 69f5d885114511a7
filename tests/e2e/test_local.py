"""A collaboration of real local LLMs: SmolLM2 under three names, its server killed in the middle, and other clients."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from pathlib import Path

import pytest
import yaml

from helpers_server import children, nothing_left
from helpers_strategies import make_bank
from smcs import Collaboration, Run
from smcs.llms import LocalServer, ServerOptions, allow_requests, find_model, pull
from smcs.run import Event, TextArrived

pytest.importorskip("xllamacpp")

pytestmark = [pytest.mark.local, pytest.mark.timeout(900)]

QUESTION = "add the numbers 3 and 4"
NAMES = ("careful", "lively", "merger")


@pytest.fixture
def model() -> Path:
    """SmolLM2, fetched when absent (93 MB)."""
    entry = find_model("smollm2-135m")
    if not entry.downloaded:
        with allow_requests(True):
            pull(entry)
    return entry.path


async def team_of(folder: Path, model: Path) -> Collaboration:
    accuracy = {"careful": {"sums": 0.9}, "lively": {"sums": 0.5}, "merger": {"sums": 0.2}}
    (await make_bank(folder / "bank.db", accuracy, per_topic=5)).close()
    shared = {"kind": "local", "path": str(model), "context": 1024, "parallel": 2}
    config = {
        "pool": [
            {"name": "careful", **shared, "sampling": {"temperature": 0.1}},
            {"name": "lively", **shared, "sampling": {"temperature": 1.0, "top_p": 0.9}},
            {"name": "merger", **shared, "system_prompt": "You answer in one sentence."},
        ],
        "aggregators": ["merger"],
        "embedder": {"kind": "hashing"},
        "bank": "bank.db",
        "profile": "paper",
        "parameters": {"k": 2, "n": 2, "drop": 0, "support_base": 5, "seed": 3, "sampling": {"max_tokens": 24}},
    }
    (folder / "smcs.yaml").write_text(yaml.safe_dump(config))
    return Collaboration.from_config(folder / "smcs.yaml")


def llama_servers() -> list[int]:
    return [pid for pid, command in children().items() if "_llama_server.py" in command]


async def test_real_llms_answer_together(tmp_path: Path, model: Path) -> None:
    async with nothing_left(), await team_of(tmp_path, model) as team:
        run = await team.ask(QUESTION)
        assert len(llama_servers()) == 1
    assert run.answer.strip()
    assert run.answered_by == "merger"
    assert run.referencers == ("careful", "lively")
    assert run.degraded == ()
    assert run.failures == ()
    assert run.calls == 2 + 1
    assert len(run.candidates) == 2
    for candidate in run.candidates:
        assert candidate.perplexity is not None
        assert 1 <= candidate.perplexity < math.inf
        assert candidate.score is not None
    assert run.cost_usd == 0
    assert run.usage.completion_tokens is not None
    assert 4 <= run.usage.completion_tokens <= 24 * 4
    assert Run.from_json(run.to_json()) == run


async def test_a_server_killed_while_it_writes_is_started_again(tmp_path: Path, model: Path) -> None:
    killed: list[int] = []

    def kill(event: Event) -> None:
        if isinstance(event, TextArrived) and event.llm == "lively" and not killed:
            killed.extend(llama_servers())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    async with nothing_left(), await team_of(tmp_path, model) as team:
        run = await team.ask(QUESTION, k=3, watch=kill, wants_text=True)
        assert len(killed) == 1
        assert len(llama_servers()) == 1
        assert llama_servers() != killed
    assert run.answer.strip()
    assert run.answered_by == "merger"
    (failure,) = run.failures
    assert (failure.llm, failure.stage, failure.status) == ("lively", "reference", "error")
    assert "llama.cpp died during the call (signal SIGKILL)" in (failure.error or "")
    assert any("reference lost: lively" in reason for reason in run.degraded)
    assert [candidate.members for candidate in run.candidates] == [("careful", "merger")] * 2


async def test_an_unloadable_model_costs_only_its_own_answers(tmp_path: Path, model: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and then nothing")
    async with nothing_left():
        team = await team_of(tmp_path, model)
        await team.close()
        config = yaml.safe_load((tmp_path / "smcs.yaml").read_text())
        config["pool"][1]["path"] = "broken.gguf"
        (tmp_path / "smcs.yaml").write_text(yaml.safe_dump(config))
        async with Collaboration.from_config(tmp_path / "smcs.yaml") as team:
            run = await team.ask(QUESTION)
    assert run.answer.strip()
    assert [(failure.llm, failure.status) for failure in run.failures] == [("lively", "error")]
    assert any("reference lost: lively" in reason for reason in run.degraded)


async def test_cancelling_stops_the_server(tmp_path: Path, model: Path) -> None:
    writing = asyncio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, TextArrived):
            writing.set()

    async with nothing_left(), await team_of(tmp_path, model) as team:
        asking = asyncio.create_task(team.ask(QUESTION, watch=watch, wants_text=True))
        await writing.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()


async def test_the_openai_client_talks_to_a_local_server(model: Path) -> None:
    openai = pytest.importorskip("openai")
    async with nothing_left(), LocalServer(model, options=ServerOptions(context=1024, parallel=2)) as server:
        async with openai.AsyncOpenAI(base_url=server.url, api_key=server.api_key, max_retries=0) as client:
            completion = await client.chat.completions.create(
                model=model.stem,
                messages=[{"role": "user", "content": "Say hello."}],
                max_tokens=12,
                logprobs=True,
                top_logprobs=1,
            )
        async with openai.AsyncOpenAI(base_url=server.url, api_key="wrong", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.chat.completions.create(
                    model=model.stem, messages=[{"role": "user", "content": "Say hello."}], max_tokens=1
                )
    (choice,) = completion.choices
    assert choice.message.content.strip()
    logprobs = [entry.logprob for entry in choice.logprobs.content]
    assert 0 < len(logprobs) <= 12
    assert all(math.isfinite(value) and value <= 0 for value in logprobs)

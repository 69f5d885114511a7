from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from smcs.errors import LLMError
from smcs.llms import CapabilityCache, ScriptedLLM, check, probe
from smcs.llms.protocol import DeltaSink
from smcs.types import Capabilities, Choice, Completion, Request, Usage


@dataclass
class Endpoint:
    """An endpoint with just the abilities a test gives it."""

    logprobs: str = "yes"
    n: Callable[[int], int | None] = lambda n: n
    seed: bool = True
    varies: bool = True
    cache: str = "concurrent"
    thinks: bool = False
    calls: int = 0

    def __post_init__(self) -> None:
        self.known: set[str] = set()
        self.inside = 0

    async def complete(self, request: Request, *, on_delta: DeltaSink | None = None) -> Completion:
        self.calls += 1
        if request.logprobs and self.logprobs == "refused":
            raise LLMError("HTTP 400: logprobs", llm="e", http_status=400)
        limit = request.sampling.max_tokens
        if self.thinks and limit is not None and limit < 100:
            raise LLMError("only reasoning", llm="e", kind="empty")
        given = self.n(request.n)
        if given is None:
            raise LLMError("HTTP 400: n", llm="e", http_status=400)
        logprobs = (-0.5,) if request.logprobs and self.logprobs == "yes" else None
        return Completion(tuple([Choice(self._text(request), logprobs=logprobs)] * given), await self._usage(request))

    def _text(self, request: Request) -> str:
        seed = request.sampling.seed if self.seed else self.calls
        return f"text {seed}" if self.varies else "always this"

    async def _usage(self, request: Request) -> Usage:
        prompt = request.messages[0].content
        if len(prompt) < 500 or self.cache == "silent":
            return Usage(10, 5)
        self.inside += 1
        await asyncio.sleep(0.01)
        alone = self.inside == 1
        self.inside -= 1
        hit = prompt[:500] in self.known and (alone or self.cache == "concurrent") and self.cache != "none"
        self.known.add(prompt[:500])
        return Usage(1_000, 5, 900 if hit else 0)


async def test_everything_is_found() -> None:
    found = await probe(Endpoint())
    assert found == Capabilities(logprobs=True, max_n=8, seed=True, prefix_cache=True, concurrent_prefix=True)


async def test_nothing_is_believed() -> None:
    found = await probe(Endpoint(logprobs="ignored", n=lambda n: 1, seed=False, cache="none"))
    assert found == Capabilities(logprobs=False, max_n=1, seed=False, prefix_cache=False)


async def test_refusals_are_answers() -> None:
    found = await probe(Endpoint(logprobs="refused", n=lambda n: None if n > 4 else n, cache="silent"))
    assert found == Capabilities(logprobs=False, max_n=4, seed=True)
    assert (await probe(Endpoint(n=lambda n: None if n > 1 else n))).max_n == 1


async def test_a_cache_that_concurrent_calls_do_not_share() -> None:
    found = await probe(Endpoint(cache="sequential"))
    assert (found.prefix_cache, found.concurrent_prefix) == (True, False)


async def test_one_text_for_every_seed_proves_nothing() -> None:
    assert (await probe(Endpoint(varies=False))).seed is None


async def test_a_reasoning_model_is_given_room() -> None:
    found = await probe(Endpoint(thinks=True), prefix_words=0)
    assert found.logprobs is True
    assert found.max_n is None


async def test_an_unreachable_endpoint() -> None:
    with pytest.raises(LLMError):
        await probe(ScriptedLLM("s", failures="error"))
    report = await check("s", ScriptedLLM("s", failures="error"))
    assert (report.llm, report.reachable, report.error) == ("s", False, "s: HTTP 500: scripted failure")
    report = await check("s", ScriptedLLM("s", failures="hang"), seconds=0.02)
    assert not report.reachable
    assert "0.02 s" in (report.error or "")


async def test_check_is_a_row() -> None:
    report = await check("s", ScriptedLLM("s", latency=0.01))
    assert report.reachable
    assert report.error is None
    assert report.latency_s is not None
    assert report.latency_s >= 0.01
    assert report.capabilities == Capabilities(logprobs=True, max_n=2)


async def test_an_endpoint_is_probed_once(tmp_path: Path) -> None:
    endpoint, path = Endpoint(), tmp_path / "deep" / "capabilities.json"
    cache = CapabilityCache(path)
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(cache.probed("u m", endpoint)) for _ in range(2)]
    calls = endpoint.calls
    assert both[0].result() == both[1].result()
    assert await CapabilityCache(path).probed("u m", endpoint) == both[0].result()
    assert endpoint.calls == calls
    await cache.probed("other", endpoint)
    assert endpoint.calls == 2 * calls
    assert [file.name for file in path.parent.iterdir()] == ["capabilities.json"], "no temporary file is left"


async def test_a_failed_probe_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    with pytest.raises(LLMError):
        await CapabilityCache(path).probed("u", ScriptedLLM("s", failures="error"))
    assert not path.exists()


def test_old_and_broken_entries_are_found_out_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, now = tmp_path / "c.json", 1_000.0
    cache = CapabilityCache(path, max_age_seconds=60, clock=lambda: now)
    cache.put("u", Capabilities(seed=True))
    assert cache.get("u") == Capabilities(seed=True)
    now = 1_061.0
    assert cache.get("u") is None
    path.write_text("{broken")
    assert cache.get("u") is None
    assert "not readable" in caplog.text
    cache.put("v", Capabilities())
    assert list(json.loads(path.read_text())) == ["v"]


def test_the_cache_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMCS_CACHE_DIR", str(tmp_path))
    CapabilityCache().put("u", Capabilities())
    assert (tmp_path / "capabilities.json").exists()

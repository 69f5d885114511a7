from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest

from helpers_models import noise, sha256
from smcs.errors import ConfigError, InputError, LLMError, MissingExtraError, ModelFileError
from smcs.llms import (
    LocalLLM,
    LocalServer,
    LocalServers,
    ServerOptions,
    allow_requests,
    find_model,
    forwarded_usage,
    local,
    pull,
)
from smcs.types import Delta, Message, Request, Sampling

SMALL = ServerOptions(threads=1, parallel=2, context=512)
LONG = Request(
    (Message("user", "Write a long story about the sea."),), sampling=Sampling(max_tokens=400, temperature=0)
)

RAW = {"messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 12, "temperature": 0, "seed": 3}


def _ask(text: str = "Name a colour.", tokens: int = 12, **options: bool | int) -> Request:
    return Request((Message("user", text),), sampling=Sampling(max_tokens=tokens, temperature=0.7, seed=3), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def smollm() -> Path:
    """The smallest model, in the user's own cache; fetched when absent."""
    entry = find_model("smollm2-135m")
    if not entry.downloaded:
        with allow_requests(True):
            pull(entry)
    return entry.path


@pytest.fixture
async def servers() -> AsyncIterator[LocalServers]:
    async with LocalServers() as servers:
        yield servers


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()  # Elsewhere than on Linux, the signal has found it.


def _gone(pid: int, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _alive(pid)


def _command_line(pid: int | None) -> str:
    path = Path(f"/proc/{pid}/cmdline")
    return path.read_text() if path.exists() else ""


def _own(model: Path, moment: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", OWNER, str(model), moment], stdout=subprocess.PIPE, text=True)


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="`parallel` must be at least 1"):
        ServerOptions(parallel=0)
    with pytest.raises(InputError, match="`threads`"):
        ServerOptions(threads=0)
    with pytest.raises(InputError, match="`start_seconds`"):
        ServerOptions(start_seconds=float("nan"))
    assert local.available_cores() >= 1


async def test_missing_file(servers: LocalServers, tmp_path: Path) -> None:
    llm = LocalLLM("mine", tmp_path / "no.gguf", servers=servers)
    with pytest.raises(ConfigError, match=r"no model file .*no\.gguf"):
        await llm.complete(_ask())
    with pytest.raises(ConfigError, match=r"no model file"):
        [event async for event in llm.forward_stream(RAW)]


async def test_missing_runtime(servers: LocalServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"smcs\[local\]"):
        await LocalLLM("mine", tmp_path / "no.gguf", servers=servers).complete(_ask())


async def test_another_hash_than_expected(servers: LocalServers, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(b"abc")
    llm = LocalLLM("mine", tmp_path / "mine.gguf", servers=servers, sha256=sha256(b"abd"))
    with pytest.raises(ModelFileError, match="not the expected file"):
        await llm.complete(_ask())


async def test_not_a_model_fails_with_what_the_server_printed(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(noise(1_000))
    server = LocalServer(path)
    with pytest.raises(LLMError, match=r"(?s)could not load mine\.gguf \(exit status 1\).*invalid magic"):
        await server.start()
    assert not server.running
    assert server.pid is None


async def test_a_file_that_cannot_be_loaded_is_tried_twice_and_no_more(servers: LocalServers, tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    path.write_bytes(noise(1_000))
    llm = LocalLLM("mine", path, servers=servers)
    for _ in range(2):
        with pytest.raises(LLMError, match="could not load"):
            await llm.complete(_ask())
    with pytest.raises(LLMError, match="died twice"):
        await llm.complete(_ask())


async def test_start_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import sys, time; print('still loading', file=sys.stderr, flush=True); time.sleep(60)")
    monkeypatch.setattr(local, "_SCRIPT", script)
    monkeypatch.setattr(local, "_STOP_SECONDS", 0.1)
    (tmp_path / "mine.gguf").write_bytes(b"x")
    server = LocalServer(tmp_path / "mine.gguf", options=ServerOptions(start_seconds=5))
    with pytest.raises(LLMError, match=r"(?s)not ready within 5 seconds.*still loading"):
        await server.start()
    assert not server.running


@pytest.mark.local
async def test_answers_with_log_probabilities_and_n(servers: LocalServers, smollm: Path) -> None:
    llm = LocalLLM("smollm2", smollm, servers=servers, options=SMALL)
    completion = await llm.complete(_ask(n=2, logprobs=True))
    assert len(completion.choices) == 2
    for choice in completion.choices:
        assert choice.text
        assert choice.logprobs
        assert all(value <= 0 for value in choice.logprobs)
        assert choice.completion_tokens == len(choice.logprobs)
    assert completion.usage.completion_tokens == sum(choice.completion_tokens or 0 for choice in completion.choices)
    assert llm.capabilities.max_n == 2


@pytest.mark.local
async def test_streams(servers: LocalServers, smollm: Path) -> None:
    pieces: list[Delta] = []
    llm = LocalLLM("smollm2", smollm, servers=servers, options=SMALL)
    completion = await llm.complete(_ask(), on_delta=pieces.append)
    assert len(pieces) > 2
    assert "".join(piece.text for piece in pieces).strip() == completion.choices[0].text.strip()


@pytest.mark.local
async def test_raw_requests_pass_through(servers: LocalServers, smollm: Path) -> None:
    llm = LocalLLM("smollm2", smollm, servers=servers, options=SMALL)
    whole = json.loads(await llm.forward({**RAW, "logprobs": True, "top_logprobs": 2}))
    assert len(whole["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 2
    async with aclosing(llm.forward_stream(RAW)) as events:
        data = [event async for event in events]
    deltas = [choice["delta"].get("content") or "" for event in data for choice in json.loads(event)["choices"]]
    assert "".join(deltas) == whole["choices"][0]["message"]["content"]
    assert forwarded_usage(data[-1]) is not None
    first = llm.forward_stream({**RAW, "max_tokens": 400})
    await anext(first)
    await first.aclose()
    assert json.loads(await llm.forward(RAW))["choices"], "a closed stream gives its slot back"
    with pytest.raises(LLMError) as caught:
        await llm.forward({**RAW, "messages": [{"role": "user", "content": "colour " * 2_000}]})
    assert caught.value.http_status == 400
    assert b"error" in (caught.value.body or b"")


@pytest.mark.local
async def test_users_of_one_file_share_a_server_behind_a_key(servers: LocalServers, smollm: Path) -> None:
    one, two = (LocalLLM(name, smollm, servers=servers, options=SMALL) for name in ("one", "two"))
    async with asyncio.TaskGroup() as group:
        group.create_task(one.complete(_ask(tokens=3)))
        group.create_task(two.complete(_ask(tokens=3)))
    server = await servers.running(one.path, SMALL)
    assert server is await servers.running(two.path, SMALL)
    assert server.url.startswith("http://127.0.0.1:")
    assert server.api_key not in _command_line(server.pid)
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{server.url}/models", headers={"Origin": "https://evil.example"}) as response:
            assert response.status == 401
            assert not response.headers.get("Access-Control-Allow-Origin")
        async with client.get(
            f"{server.url}/models", headers={"Authorization": f"Bearer {server.api_key}"}
        ) as response:
            assert response.status == 200
    pid = server.pid
    assert pid is not None
    await servers.close()
    assert not _alive(pid)


@pytest.mark.local
async def test_killed_server_fails_the_call_and_starts_once_more(
    servers: LocalServers, smollm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_DEATH_NOTICE_SECONDS", 30.0)
    llm = LocalLLM("smollm2", smollm, servers=servers, options=SMALL)
    for restart in range(2):
        await llm.complete(_ask(tokens=2))
        server = await servers.running(llm.path, SMALL)
        assert server.pid is not None
        call = asyncio.create_task(llm.complete(LONG))
        await asyncio.sleep(0.5)
        assert not call.done()
        begun = time.monotonic()
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(LLMError, match=r"died during the call \(signal SIGKILL\)") as caught:
            await call
        assert caught.value.retryable
        assert time.monotonic() - begun < 40, restart
    with pytest.raises(LLMError, match="died twice"):
        await llm.complete(_ask())


@pytest.mark.local
async def test_cancelled_call_leaves_the_server_usable(servers: LocalServers, smollm: Path) -> None:
    llm = LocalLLM("smollm2", smollm, servers=servers, options=SMALL)
    await llm.complete(_ask(tokens=2))
    call = asyncio.create_task(llm.complete(LONG))
    await asyncio.sleep(0.3)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await llm.complete(_ask(tokens=2))).choices[0].text


@pytest.mark.local
async def test_cancelled_start_leaves_no_process(smollm: Path) -> None:
    server = LocalServer(smollm, options=SMALL)
    start = asyncio.create_task(server.start())
    for _ in range(1_000):
        await asyncio.sleep(0.01)
        if server.pid is not None:
            break
    pid = server.pid
    assert pid is not None
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert await asyncio.to_thread(_gone, pid)


OWNER = """
import asyncio, sys
from pathlib import Path
from smcs.llms import LocalServer, ServerOptions
async def main():
    server = LocalServer(Path(sys.argv[1]), options=ServerOptions(threads=1, parallel=1, context=512))
    start = asyncio.create_task(server.start())
    while server.pid is None:
        await asyncio.sleep(0.01)
    if sys.argv[2] == "ready":
        await start
    print(server.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.local
@pytest.mark.parametrize("moment", ["ready", "starting"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_server_ends_with_its_owner(smollm: Path, how: signal.Signals, moment: str) -> None:
    owner = _own(smollm, moment)
    assert owner.stdout is not None
    pid = int(await asyncio.to_thread(owner.stdout.readline))
    assert _alive(pid)
    owner.send_signal(how)
    owner.communicate()
    assert await asyncio.to_thread(_gone, pid)

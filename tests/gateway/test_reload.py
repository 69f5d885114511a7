from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from helpers_gateway import CHAT, found_config, gateway, pool, put_bank, serve_process, user
from helpers_upstream import upstream
from smcs.errors import BankError, ConfigError, InputError
from smcs.gateway.ledger import KeyLimits, Ledger
from smcs.gateway.serve import _check_keys, serve
from smcs.gateway.serving import Serving

LONG = {"*": {"text": " ".join(["word"] * 40), "pause": 0.02}}


async def test_another_config_is_in_force_and_no_stream_ends_for_it(tmp_path: Path) -> None:
    async with upstream(LONG) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        before = served.gateway.service
        async with served.streaming("alpha") as stream:
            async for _ in stream:
                break
            llms = pool(up.base_url, beta={}, delta={})
            await served.gateway.reload(found_config(tmp_path, "gateway: {cache: {megabytes: 1}}", llms))
            gone = await served.chat("alpha")
            new = await served.chat("delta", temperature=0)
            again = await served.chat("delta", temperature=0)
            await stream.read()
        while before._users:  # noqa: ASYNC110 the old service tells nobody
            await asyncio.sleep(0.01)
    assert stream.done
    assert stream.joined().count("word") == 40
    assert (gone.status, new.status) == (404, 200)
    assert again.smcs["cached"] is True


async def test_a_wrong_config_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway(tmp_path) as served:
        before = served.gateway.service
        for wrong in (
            found_config(tmp_path, "bank: missing.db"),
            found_config(tmp_path, "gateway: {models: {smcs: {strategy: moa}}}"),
            found_config(tmp_path, "gateway: {models: {house: {strategy: nope}}}"),
        ):
            with pytest.raises(Exception, match=r"bank|smcs|nope"):
                await served.gateway.reload(wrong)
        for error in (ConfigError("it is wrong"), OSError("it is gone")):

            def read(error: Exception = error) -> Any:
                raise error

            served.gateway.reload_from(read)
        while len([r for r in caplog.records if "not read again" in r.message]) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert served.gateway.service is before
        assert (await served.chat()).status == 200


def written_config(llms: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what stands in a config file."""
    return {"pool": llms, "aggregators": [llms[0]["name"]], "embedder": {"kind": "hashing"}, "bank": "bank.db"}


async def send(session: aiohttp.ClientSession, url: str, model: str, **body: Any) -> aiohttp.ClientResponse:
    return await session.post(url + CHAT, json={"model": model, "messages": user(), **body})


async def test_the_real_server_reloads_on_sighup_and_stops_when_its_streams_have_ended(tmp_path: Path) -> None:
    async with upstream(LONG) as up, aiohttp.ClientSession() as session:

        def config(**llms: Any) -> dict[str, Any]:
            return written_config(pool(up.base_url, **llms))

        async with serve_process(tmp_path, config(alpha={}, beta={})) as served:
            stream = await send(session, served.url, "alpha", stream=True)
            served.config.write_text(yaml.safe_dump(config(beta={}, delta={})))
            served.signal(signal.SIGHUP)
            await served.logged("in force")
            new = await send(session, served.url, "delta")
            old = await send(session, served.url, "alpha")
            served.config.write_text("pool: [")
            served.signal(signal.SIGHUP)
            await served.logged("stays in force")
            still = await send(session, served.url, "delta")
            served.signal(signal.SIGTERM)
            whole = await stream.read()
            assert await served.process.wait() == 0
    assert (new.status, old.status, still.status) == (200, 404, 200)
    assert whole.endswith(b"data: [DONE]\n\n")
    assert whole.count(b'"content":') > 30
    logged = "".join(served.lines)
    last = json.loads(served.lines[-1])["message"]
    assert last.startswith("Finished server process"), "what was logged last is written before the end"
    assert sum(line["message"] == "request" and line["streamed"] for line in map(json.loads, served.lines)) == 1
    assert "Traceback" not in logged
    assert "add the numbers" not in logged


async def test_workers_share_the_port_and_each_reloads(tmp_path: Path) -> None:
    config = written_config(pool())
    async with (
        serve_process(tmp_path, config, "--workers", "2") as served,
        aiohttp.ClientSession(headers={"Connection": "close"}) as session,
    ):
        answers = [await send(session, served.url, "alpha") for _ in range(4)]
        async with asyncio.timeout(60):
            while sum("startup complete" in line for line in served.lines) < 2:  # noqa: ASYNC110 as below
                await asyncio.sleep(0.02)
        served.config.write_text(yaml.safe_dump(written_config(pool(alpha={}, delta={}))))
        served.signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while sum("in force" in line for line in served.lines) < 2:  # noqa: ASYNC110 lines are read by another task
                await asyncio.sleep(0.02)
        new = [await send(session, served.url, "delta") for _ in range(4)]
        metrics = await (await session.get(served.url + "/metrics")).text()
        served.signal(signal.SIGINT)
        assert await served.process.wait() == 0
    assert sum("Finished server process" in line for line in served.lines) == 2
    assert [answer.status for answer in (*answers, *new)] == [200] * 8
    total = sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("smcs_requests_total{"))
    assert total == 8


def start(serving: Serving) -> None:
    """Serve as the command line does."""
    serve(serving, serving.found())


async def test_what_is_refused_at_start(tmp_path: Path) -> None:
    await put_bank(tmp_path)
    path = tmp_path / "smcs.yaml"
    path.write_text(yaml.safe_dump(written_config(pool("http://localhost:8399/v1"))))
    with pytest.raises(ConfigError, match="address this gateway listens on"):
        await asyncio.to_thread(start, Serving(config=str(path), port=8399))
    path.write_text(yaml.safe_dump({**written_config(pool()), "bank": "missing.db"}))
    with pytest.raises(BankError, match=r"missing\.db"):
        await asyncio.to_thread(start, Serving(config=str(path), port=0))
    path.write_text(yaml.safe_dump({**written_config(pool()), "gateway": {"models": {"smcs": {}}}}))
    with pytest.raises(ConfigError, match="built-in model"):
        await asyncio.to_thread(start, Serving(config=str(path), port=0))
    path.write_text(yaml.safe_dump(written_config(pool())))
    with pytest.raises(ConfigError, match="smcs keys create"):
        await asyncio.to_thread(start, Serving(config=str(path), host="0.0.0.0", port=0))  # noqa: S104
    with pytest.raises(ConfigError, match="65535"):
        await asyncio.to_thread(start, Serving(config=str(path), port=99_999))
    with pytest.raises(InputError, match="at least 1"):
        await asyncio.to_thread(start, Serving(config=str(path), workers=0))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="Cannot listen"):
        await asyncio.to_thread(start, Serving(config=str(path), port=taken.getsockname()[1]))


async def test_a_public_address_is_served_once_there_is_a_key(tmp_path: Path) -> None:
    found = found_config(tmp_path, "gateway: {host: 0.0.0.0}")
    with pytest.raises(ConfigError, match="keys create"):
        await asyncio.to_thread(_check_keys, found, None, public=True)
    async with Ledger.open(tmp_path / "smcs-gateway.db", create=True) as ledger:
        await ledger.create_key("alice", KeyLimits())
        await asyncio.to_thread(_check_keys, found, None, public=True)
        await ledger.revoke_key("alice")
    with pytest.raises(ConfigError, match="keys create"):
        await asyncio.to_thread(_check_keys, found, None, public=True)
    off = found_config(tmp_path, "gateway: {host: 0.0.0.0, keys: 'off'}")
    with pytest.raises(ConfigError, match="this machine only"):
        await asyncio.to_thread(_check_keys, off, None, public=True)

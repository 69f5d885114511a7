"""What pages in another process ask of the gateway, beside questions (those are in tests/gateway/test_inside.py)."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from helpers_gateway import QUESTION, Served, gateway, pool, user
from helpers_upstream import upstream
from smcs.gateway.annex.answering import answering
from smcs.gateway.annex.calling import DistantDesk
from smcs.gateway.annex.wire import PREFIX, LookCall, encode
from smcs.gateway.desk import OwnDesk
from smcs.gateway.errors import GatewayError
from smcs.gateway.feedback import FeedbackRequest
from smcs.gateway.inside import build_request
from smcs.gateway.ledger import KeyRecord
from smcs.types import Message

REQUEST = build_request("alpha", [Message("user", QUESTION)])


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="smcs-test-") as name:  # pytest's own are too long for a socket's path
        yield Path(name)


async def known(served: Served, text: str) -> KeyRecord:
    key = await served.gateway.ledger.authenticate(text)
    assert key is not None
    return key


async def test_feedback_reaches_the_bank(tmp_path: Path, folder: Path) -> None:
    async with gateway(tmp_path) as served, answering(served.gateway, folder):
        desk = DistantDesk(folder)
        asked = await desk.ask(build_request("smcs", [Message("user", "add the numbers 88 and 99")]), None)
        told = await desk.give(FeedbackRequest(run_id=asked.run_id, answer="7"), None)
        assert told["run_id"] == asked.run_id
        assert (told["bank"]["learned"], told["bank"]["is_new"]) == (True, True)
        bank = served.gateway.service.resources.bank
        assert bank is not None
        assert [one.text for one in bank.questions([told["bank"]["question_id"]])] == ["add the numbers 88 and 99"]
        with pytest.raises(GatewayError, match="verdict") as nothing:
            await desk.give(FeedbackRequest(run_id=asked.run_id), None)
        with pytest.raises(GatewayError, match="no run") as nowhere:
            await desk.give(FeedbackRequest(run_id="ab" * 16, verdict="good"), None)
    assert (nothing.value.status, nowhere.value.status) == (400, 404)


async def test_a_switch_is_in_force_at_once_for_who_may(tmp_path: Path, folder: Path) -> None:
    async with gateway(tmp_path) as served, answering(served.gateway, folder):
        admin = await known(served, await served.key("root", admin=True))
        plain = await known(served, await served.key("ann"))
        desk = DistantDesk(folder)
        with pytest.raises(GatewayError, match="may not switch") as forbidden:
            await desk.switch("alpha", off=True, key=plain)
        with pytest.raises(GatewayError, match="no LLM 'alhpa'") as unknown:
            await desk.switch("alhpa", off=True, key=admin)
        await desk.switch("alpha", off=True, why="a rest", key=admin)
        with pytest.raises(GatewayError, match="a rest") as refused:
            await desk.ask(REQUEST, plain)
        await desk.switch("alpha", off=False, key=admin)
        assert (await desk.ask(REQUEST, plain)).run.answer == "It is 7."
    assert [each.value.status for each in (forbidden, unknown, refused)] == [403, 404, 503]


async def test_a_key_that_was_revoked_meanwhile_is_refused(tmp_path: Path, folder: Path) -> None:
    async with gateway(tmp_path) as served, answering(served.gateway, folder):
        await served.key("other")
        key = await known(served, await served.key("ann"))
        await served.gateway.ledger.revoke_key(key.id)
        desk = DistantDesk(folder)
        for call in (desk.ask(REQUEST, key), desk.ask(REQUEST, None), desk.switch("alpha", off=True, key=key)):
            with pytest.raises(GatewayError) as refused:
                await call
            assert refused.value.status == 401


async def test_circuits_and_config_are_followed(tmp_path: Path, folder: Path) -> None:
    limits = "gateway: {breaker_failures: 1}"
    async with (
        upstream({"beta": {"behaviour": "status-500"}}) as up,
        gateway(tmp_path, limits, pool(up.base_url)) as served,
        answering(served.gateway, folder),
    ):
        desk = DistantDesk(folder)
        watching = asyncio.create_task(desk.watch())
        async with asyncio.timeout(20):
            await desk.prepared()
        assert desk.versions == {served.gateway.service.version}
        assert {name: circuit.state for name, circuit in desk.circuits.items()} == dict.fromkeys(
            ("alpha", "beta", "gamma"), "closed"
        )
        with pytest.raises(GatewayError):
            await desk.ask(build_request("beta", [Message("user", QUESTION)]), None)
        await desk.look()
        assert desk.circuits["beta"].state == "open"
        assert "500" in str(desk.circuits["beta"].last_error)
        watching.cancel()
        await asyncio.wait({watching})


async def test_an_estimate_is_that_of_the_api(tmp_path: Path, folder: Path) -> None:
    async with gateway(tmp_path) as served, answering(served.gateway, folder):
        request = build_request("smcs", [Message("user", QUESTION)])
        told = await DistantDesk(folder).estimate(request, None)
        answer = await served.post("/v1/estimate", {"model": "smcs", "messages": user()})
        assert {"object": "estimate", "model": "smcs", **json.loads(msgspec.json.encode(told))} == answer.json
        assert told == await OwnDesk(served.gateway).estimate(request, None)
        with pytest.raises(GatewayError, match="no model 'nobody'"):
            await DistantDesk(folder).estimate(build_request("nobody", [Message("user", QUESTION)]), None)


async def test_the_config_in_force_is_the_same_on_both_sides(tmp_path: Path, folder: Path) -> None:
    async with gateway(tmp_path, "profile: fast") as served, answering(served.gateway, folder):
        found = await DistantDesk(folder).config()
        assert found == served.gateway.service.found
        assert found.config.model_fields_set == served.gateway.service.config.model_fields_set
        assert found.config.settings() == served.gateway.service.config.settings()


async def test_whether_a_key_is_needed_is_followed(tmp_path: Path, folder: Path) -> None:
    async with gateway(tmp_path) as served, answering(served.gateway, folder):
        desk, said = DistantDesk(folder), []
        for name in ("ann", "bob"):
            await desk.look()
            said.append(desk.needs_key)
            await served.key(name)
    assert said == [False, True]


async def test_nobody_there_is_said(folder: Path) -> None:
    desk = DistantDesk(folder)
    await desk.look()
    assert (desk.versions, dict(desk.circuits)) == (frozenset(), {})
    (folder / f"{PREFIX}1.sock").touch()  # of a process that was killed
    await desk.look()
    with pytest.raises(GatewayError, match="stopping") as gone:
        await desk.ask(REQUEST, None)
    assert gone.value.status == 503


async def test_the_ends_of_both_sides_are_survived(tmp_path: Path, folder: Path) -> None:
    async with upstream({"*": {"behaviour": "hang"}}) as up, gateway(tmp_path, llms=pool(up.base_url)) as served:
        async with answering(served.gateway, folder):
            asking = asyncio.create_task(DistantDesk(folder).ask(REQUEST, None))
            await up.until(running=1)
            path = folder / f"{PREFIX}{os.getpid()}.sock"
            _, writer = await asyncio.open_unix_connection(path)
            writer.close()
            await writer.wait_closed()
            _, another = await asyncio.open_unix_connection(path)
            another.write(encode(LookCall()))
            another.close()
            await another.wait_closed()
        with pytest.raises(GatewayError, match="stopping"):
            await asking
        await up.until(running=0)
        [row] = await served.rows(1)
        assert row.status == "cancelled"
    assert os.listdir(folder) == []  # noqa: PTH208 pathlib's own is taken for slow here

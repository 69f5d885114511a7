"""From a config to live objects: what is shared, what is relative to what, what is probed, and what is closed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from helpers_llms import MisbehavingServer, body, serve, token
from helpers_server import nothing_left
from helpers_strategies import make_bank
from smcs.config import Live, build, embedded_config, find_config, parse_config
from smcs.embedders import HashingEmbedder
from smcs.errors import BankError, ConfigError, UserError
from smcs.llms import AnswerStore, LimitedLLM, LocalLLM, Member, OpenAICompatibleLLM, RetryingLLM, attempt
from smcs.types import Capabilities, Message, Price, Request, Sampling

SCRIPTED: dict[str, Any] = {"name": "a", "kind": "scripted"}
MINIMAL: dict[str, Any] = {"pool": [SCRIPTED], "aggregators": ["a"], "embedder": {"kind": "hashing"}}
KNOWN = {"logprobs": True, "max_n": 4}


def write(folder: Path, **changes: Any) -> Path:
    file = folder / "smcs.yaml"
    file.write_text(yaml.safe_dump({**MINIMAL, **changes}))
    return file


def live(folder: Path, **changes: Any) -> Live:
    return Live(find_config(write(folder, **changes)))


def openai(name: str, url: str = "http://127.0.0.1:9/v1", **more: Any) -> dict[str, Any]:
    return {"name": name, "base_url": url, "model": name, **more}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in another folder than the config's; return the config's."""
    (tmp_path / "work").mkdir()
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "configs"


def test_which_config_applies(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_config().source == "the embedded local pool"
    assert find_config().config == embedded_config()
    Path("smcs.yaml").write_text(yaml.safe_dump({**MINIMAL, "profile": "max"}))
    assert (find_config().config.profile, find_config().folder) == ("max", Path.cwd())
    monkeypatch.setenv("SMCS_CONFIG", str(write(elsewhere, profile="fast")))
    assert (find_config().config.profile, find_config().folder) == ("fast", elsewhere)
    assert find_config("smcs.yaml").config.profile == "max"


def test_a_named_config_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMCS_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match=r"no config file at .*none\.yaml"):
        find_config()


def test_the_embedded_pool_is_three_local_llms_with_the_seed_bank() -> None:
    config = embedded_config()
    assert [llm.kind for llm in config.pool] == ["local"] * 3
    assert (config.bank, config.embedder.kind) == ("seed", "minilm")
    assert config.settings().n == 3


async def test_paths_are_relative_to_the_file(elsewhere: Path) -> None:
    (await make_bank(elsewhere / "bank.db", {"a": {"sums": 1.0}})).close()
    (elsewhere / "model.gguf").write_bytes(b"GGUF")
    (elsewhere / "prompts").mkdir()
    (elsewhere / "prompts" / "reference.txt").write_text("Be brief.")
    AnswerStore(elsewhere / "answers.db").close()
    pool = [
        SCRIPTED,
        {"name": "b", "kind": "local", "path": "model.gguf"},
        {"name": "c", "kind": "replay", "path": "answers.db"},
    ]
    made = live(elsewhere, pool=pool, bank="bank.db", prompts="prompts")
    assert made.resources.bank is not None
    assert made.resources.bank.llms == ("a",)
    assert made.resources.prompts.reference == "Be brief."
    local = made.resources.pool["b"].llm
    assert isinstance(local, LocalLLM)
    assert local.path == elsewhere / "model.gguf"
    await made.close()


async def test_an_llm_that_only_merges_is_never_a_referencer(elsewhere: Path) -> None:
    merger = {"name": "m", "kind": "scripted", "script": {"replies": ["merged"]}, "aggregates_only": True}
    made = live(elsewhere, pool=[SCRIPTED, merger], aggregators=["m"], bank=None)
    assert "m" not in made.resources.pool
    assert made.resources.member("m").name == "m"
    prepared = await made.prepare(made.resources)
    assert set(prepared.mergers) == {"m"}
    await made.close()


MISTAKES: dict[str, tuple[dict[str, Any], type[UserError], str]] = {
    "key": (
        {"pool": [openai("a", api_key_env="SMCS_TEST_NO_KEY")]},
        ConfigError,
        "a: the environment variable SMCS_TEST_NO_KEY with its API key is not set",
    ),
    "url": ({"pool": [openai("a", "127.0.0.1/v1")]}, ConfigError, "`base_url` must be an http or https URL"),
    "model name": (
        {"pool": [{"name": "a", "kind": "local", "model": "smollm2-135n"}]},
        ConfigError,
        "no model 'smollm2-135n'. Did you mean 'smollm2-135m'",
    ),
    "model not fetched": (
        {"pool": [{"name": "a", "kind": "local", "model": "smollm2-135m"}]},
        ConfigError,
        "Fetch it with: smcs models pull smollm2-135m",
    ),
    "model file": (
        {"pool": [{"name": "a", "kind": "local", "path": "none.gguf"}]},
        ConfigError,
        "a: there is no model file",
    ),
    "script": (
        {"pool": [{**SCRIPTED, "script": {"latencey": 1}}]},
        ConfigError,
        "a: unknown key 'latencey'. Did you mean 'latency'",
    ),
    "extra_body": ({"pool": [openai("a", extra_body={"n": 2})]}, ConfigError, "`extra_body` may not set 'n'"),
    "bank": ({"bank": "none.db"}, BankError, "none.db"),
    "prompts": ({"prompts": "none"}, ConfigError, "No prompt found in"),
    "embedder not fetched": ({"embedder": {"kind": "minilm"}}, ConfigError, "smcs models pull all-minilm-l6-v2"),
    "embedder key": (
        {"embedder": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "e", "api_key_env": "SMCS_NO"}},
        ConfigError,
        "SMCS_NO",
    ),
    "recorded answers": ({"pool": [{"name": "a", "kind": "replay", "path": "none.db"}]}, UserError, "none.db"),
}


@pytest.mark.parametrize(("changes", "kind", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_what_a_config_names_must_exist(
    tmp_path: Path, changes: dict[str, Any], kind: type[UserError], expected: str
) -> None:
    with pytest.raises(kind) as caught:
        live(tmp_path, **changes)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def limiter_of(member: Member) -> object:
    assert isinstance(member.llm, RetryingLLM)
    assert isinstance(member.llm.inner, LimitedLLM)
    return member.llm.inner.limiter


async def test_llms_behind_one_endpoint_share_its_limit(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9/v1"
    pool = [openai("a", url), openai("b", f"{url}/"), openai("c", "http://127.0.0.1:8/v1")]
    made = live(tmp_path, pool=pool)
    a, b, c = (limiter_of(member) for member in made.resources.pool.values())
    assert a is b
    assert a is not c
    await made.close()


async def test_the_shared_limit_holds(tmp_path: Path) -> None:
    busy, most = 0, 0

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal busy, most
        busy, most = busy + 1, max(most, busy + 1)
        await asyncio.sleep(0.05)
        busy -= 1
        return web.json_response(body("42"))

    async with serve() as server:
        server.behaviour = slow
        pool = [openai(name, server.base_url, max_concurrent=2) for name in "abcd"]
        made = live(tmp_path, pool=pool)
        async with asyncio.TaskGroup() as group:
            for member in made.resources.pool.values():
                group.create_task(member.llm.complete(Request((Message("user", "?"),))))
        await made.close()
    assert most == 2


async def test_a_member_is_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    pool = [
        openai("a", system_prompt="Be brief.", tags=["x"], sampling={"temperature": 0.2, "stop": ["END"]}, tries=7),
        openai("b", price={"input": 1, "output": 2}, context_window=1000, capabilities={"logprobs": False}),
        {"name": "c", "kind": "local", "path": "model.gguf", "context": 2048, "parallel": 3},
        {"name": "d", "kind": "scripted", "script": {"logprob": None, "max_n": 2}},
    ]
    made = live(tmp_path, pool=pool)
    a, b, c, d = made.resources.pool.values()
    assert (a.system_prompt, a.tags, a.sampling) == ("Be brief.", ("x",), Sampling(temperature=0.2, stop=("END",)))
    assert a.price is None
    assert isinstance(a.llm, RetryingLLM)
    assert a.llm.policy.max_tries == 7
    assert (b.price, b.context_window, b.capabilities) == (Price(1, 2), 1000, Capabilities(logprobs=False))
    assert c.price == Price(0, 0)
    assert (c.context_window, c.capabilities.max_n, c.capabilities.logprobs) == (2048, 3, True)
    assert c.capabilities.concurrent_prefix is False
    assert (d.capabilities.logprobs, d.capabilities.max_n, d.price) == (False, 2, None)
    await made.close()


async def test_closing_gives_everything_back(tmp_path: Path) -> None:
    (await make_bank(tmp_path / "bank.db", {"a": {"sums": 1.0}})).close()
    async with serve() as server, nothing_left():
        made = live(tmp_path, pool=[openai("a", server.base_url)], bank="bank.db")
        done = await attempt(
            made.resources.pool["a"], Request((Message("user", "?"),)), stage="reference", clock=lambda: 0.0
        )
        assert done.status == "ok"
        await made.close()
        await made.close()


async def answering(request: web.Request) -> web.StreamResponse:
    """Do all a probe asks for: n choices and log-probabilities."""
    asked = json.loads(await request.text())
    texts = [f"choice {i}" for i in range(asked.get("n", 1))]
    return web.json_response(body(*texts, logprobs=[token("choice", -0.1)] if asked.get("logprobs") else None))


async def prepared(server: MisbehavingServer, folder: Path, **more: Any) -> Capabilities:
    made = live(folder, pool=[openai("a", server.base_url, **more), openai("b", server.base_url)])
    resources = await made.prepare(made.resources)
    assert resources.pool["b"].capabilities == Capabilities()
    await made.close()
    return resources.pool["a"].capabilities


async def test_an_aggregators_endpoint_is_probed_once(tmp_path: Path) -> None:
    async with serve() as server, nothing_left():
        server.behaviour = answering
        first = await prepared(server, tmp_path)
        asked = len(server.requests)
        assert {request["model"] for request in server.requests} == {"a"}
        assert await prepared(server, tmp_path) == first
        assert len(server.requests) == asked
    assert (first.logprobs, first.max_n) == (True, 8)


async def test_what_is_declared_is_not_overruled(tmp_path: Path) -> None:
    async with serve() as server:
        server.behaviour = answering
        assert (await prepared(server, tmp_path, capabilities={"max_n": 3})).max_n == 3
        asked = len(server.requests)
        known = await prepared(server, tmp_path, capabilities={"logprobs": False, "max_n": 2})
        assert (known.logprobs, known.max_n) == (False, 2)
        assert len(server.requests) == asked


async def test_an_endpoint_that_cannot_be_probed_stays_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as server, nothing_left():
        server.behaviour = server.reply({"error": "no"}, status=401)
        assert await prepared(server, tmp_path) == Capabilities()
        assert "a could not be probed: a: HTTP 401" in caplog.text
        server.behaviour = server.hang
        with monkeypatch.context() as impatient:
            impatient.setattr(build, "_PROBE_SECONDS", 0.5)
            assert await prepared(server, tmp_path) == Capabilities()
        assert "a could not be probed: no answer within 0.5 s" in caplog.text
        server.behaviour = answering
        assert (await prepared(server, tmp_path)).max_n == 8


async def test_missing_embeddings_of_the_bank_are_made_before_the_first_question(tmp_path: Path) -> None:
    (await make_bank(tmp_path / "bank.db", {"a": {"sums": 1.0}})).close()
    made = live(tmp_path, bank="bank.db", embedder={"kind": "hashing", "dimensions": 64})
    bank = made.resources.bank
    assert bank is not None
    name = HashingEmbedder(64).name
    assert len(bank.missing_embeddings(name)) == 40
    await made.prepare(made.resources)
    assert bank.missing_embeddings(name) == ()
    await made.close()


def test_the_query_prefix_reaches_the_strategy(tmp_path: Path) -> None:
    made = live(tmp_path, embedder={"kind": "hashing", "query_prefix": "Find: "})
    assert made.resources.query_prefix == "Find: "


def test_the_endpoint_is_seen_through_its_wrappers(tmp_path: Path) -> None:
    pool = build.build_pool(parse_config({**MINIMAL, "pool": [openai("a"), {**SCRIPTED, "name": "b"}]}), tmp_path)
    member = pool["a"]
    assert isinstance(member.llm, RetryingLLM)
    assert isinstance(member.llm.inner, LimitedLLM)
    client = member.llm.inner.inner
    assert isinstance(client, OpenAICompatibleLLM)
    assert build._endpoint(member.llm) == client.endpoint
    assert build._endpoint(pool["b"].llm) is None


def test_llms_of_one_endpoint_cannot_declare_different_limits(tmp_path: Path) -> None:
    pool = [
        {"name": name, "base_url": "http://127.0.0.1:1/v1", "model": name, "max_concurrent": limit}
        for name, limit in (("a", 4), ("b", 8))
    ]
    with pytest.raises(ConfigError, match="'b' declares another `max_concurrent`"):
        live(tmp_path, pool=pool, aggregators=["a"])

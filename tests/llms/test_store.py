"""The answer store: one answer for every arm, different answers for different samples, nobody asked in a replay."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from smcs.errors import ConfigError, LLMError
from smcs.llms import AnswerStore, Member, ScriptedLLM, StoredLLM, StoreScope, answer_key
from smcs.types import Capabilities, Choice, Completion, Message, Request, Sampling, Usage

MESSAGES = (Message("user", "What is 2 + 2?"),)
KEYS_WITHOUT_A_FORMAT = ["7e9065adf753e79f", "63b9fb57b59b0542", "60da260aab471084"]
"""As computed before requests could have a `response_format`."""
ASKED = Request(MESSAGES, sampling=Sampling(temperature=0.7, seed=1))


def scoped(store: AnswerStore, *replies: str, mode: str = "record", series: int = 0) -> tuple[StoredLLM, ScriptedLLM]:
    inner = ScriptedLLM("s", list(replies) or ["unasked"], max_n=8)
    scope = StoreScope(store, "replay" if mode == "replay" else "record", series=series)
    return StoredLLM("a", scope, inner), inner


async def texts(llm: StoredLLM, *requests: Request) -> list[str]:
    return [choice.text for request in requests for choice in (await llm.complete(request)).choices]


async def test_scopes_are_given_the_same_answers_and_samples_of_one_scope_differ(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        first, asked = scoped(store, "one", "two")
        assert await texts(first, ASKED, ASKED) == ["one", "two"]
        assert len(asked.history) == 2
        second, unasked = scoped(store)
        assert await texts(second, replace(ASKED, sampling=replace(ASKED.sampling, seed=99)), ASKED) == ["one", "two"]
        assert not unasked.history
    with AnswerStore(tmp_path / "s.db", create=False) as store:
        third, unasked = scoped(store, mode="replay")
        assert await texts(third, ASKED, ASKED) == ["one", "two"]
        assert store.counts() == {"a": 2}


async def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        await texts(scoped(store, "one")[0], ASKED)
        llm, inner = scoped(store, "two")
        assert await texts(llm, replace(ASKED, n=2)) == ["one", "two"]
        assert [request.n for request in inner.history] == [1]
        assert inner.history[0].logprobs


def test_keys_of_stores_that_were_recorded_earlier_stay() -> None:
    known = Sampling(temperature=0.7, top_p=0.9, max_tokens=8192, frequency_penalty=0.1, seed=5, stop=("a", "b"))
    keys = [answer_key("a", MESSAGES, sampling, series=2) for sampling in (None, Sampling(), known)]
    assert [key[:16] for key in keys] == KEYS_WITHOUT_A_FORMAT
    shaped = replace(known, response_format={"type": "json_object"})
    assert answer_key("a", MESSAGES, shaped, series=2) != keys[2]
    assert answer_key("a", MESSAGES, shaped) == answer_key("a", MESSAGES, replace(shaped, seed=6))


async def test_other_messages_sampling_names_and_series_are_other_answers(tmp_path: Path) -> None:
    keys = {
        answer_key("a", MESSAGES, ASKED.sampling),
        answer_key("b", MESSAGES, ASKED.sampling),
        answer_key("a", (Message("system", "Be brief."), *MESSAGES), ASKED.sampling),
        answer_key("a", MESSAGES, replace(ASKED.sampling, temperature=0.0)),
        answer_key("a", MESSAGES, None),
        answer_key("a", MESSAGES, ASKED.sampling, series=1),
    }
    assert len(keys) == 6
    with AnswerStore(tmp_path / "s.db") as store:
        assert await texts(scoped(store, "one")[0], ASKED) == ["one"]
        assert await texts(scoped(store, "again", series=1)[0], ASKED) == ["again"]


async def test_arms_at_the_same_time_ask_once(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        inner = ScriptedLLM("s", ["one", "two"])
        arms = [StoredLLM("a", StoreScope(store), inner) for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(arm.complete(ASKED)) for arm in arms]
        assert {task.result().choices[0].text for task in tasks} == {"one"}
        assert len(inner.history) == 1


async def test_a_replay_asks_nobody_and_counts_what_is_missing(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        llm, inner = scoped(store, "never", mode="replay")
        with pytest.raises(LLMError, match=r"s\.db holds no answer to this request"):
            await llm.complete(ASKED)
        assert llm._scope.missing == 1
        assert not inner.history


async def test_failures_and_empty_answers_are_not_kept(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        llm, _ = scoped(store, "  ", "good")
        with pytest.raises(LLMError, match="no text"):
            await llm.complete(ASKED)
        assert store.counts() == {}


async def test_imported_answers_serve_any_sampling_and_are_never_replaced(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        assert store.add_imported([("a", MESSAGES, "published"), ("b", MESSAGES, "other")]) == 2
        assert store.add_imported([("a", MESSAGES, "changed")]) == 0
        llm = StoredLLM("a", StoreScope(store, "replay"))
        done = await llm.complete(ASKED)
        assert done.choices[0].text == "published"
        assert done.recorded_seconds is None
        with pytest.raises(LLMError, match="holds no answer"):
            await llm.complete(ASKED)
        turns = StoredLLM("a", StoreScope(store, "replay"), repeats=True)
        assert await texts(turns, ASKED, ASKED) == ["published", "published"]


async def test_usage_log_probabilities_and_seconds_come_back(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        choice = Choice("four", logprobs=(-0.5, -0.25), completion_tokens=2)
        store.append(answer_key("a", MESSAGES, ASKED.sampling), "a", Completion((choice, choice), Usage(9, 4, 3)), 1.5)
        done = await StoredLLM("a", StoreScope(store, "replay")).complete(replace(ASKED, n=2))
        assert done == Completion((choice, choice), Usage(9, 4, 3), recorded_seconds=1.5)


async def test_a_pool_in_front_of_a_store(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        silent = Member("a", ScriptedLLM("a", ["hi"]), capabilities=Capabilities(logprobs=False))
        scope = StoreScope(store)
        pool = scope.pool({"a": silent})
        assert (await pool["a"].llm.complete(ASKED)).choices[0].text == "hi"
        inner = silent.llm
        assert isinstance(inner, ScriptedLLM)
        assert not inner.history[0].logprobs
        assert sum(scope.taken.values()) == 1


async def test_streaming_from_a_store_gives_the_whole_text(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "s.db") as store:
        llm, _ = scoped(store, "one")
        pieces: list[str] = []
        await llm.complete(ASKED, on_delta=lambda delta: pieces.append(delta.text))
        assert "".join(pieces) == "one"


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no answer store"):
        AnswerStore(tmp_path / "none.db", create=False)
    (tmp_path / "text.db").write_text("not a database, and long enough to be looked at as one" * 50)
    with pytest.raises(ConfigError, match="cannot be used as an answer store"):
        AnswerStore(tmp_path / "text.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE things (a)")
    other.commit()
    other.close()
    with pytest.raises(ConfigError, match="is a database, but no answer store"):
        AnswerStore(tmp_path / "other.db")
    with AnswerStore(tmp_path / "old.db") as store:
        store._db.execute("UPDATE about SET value = '0'")
    with pytest.raises(ConfigError, match="of format '0', and this smcs reads 1"):
        AnswerStore(tmp_path / "old.db")

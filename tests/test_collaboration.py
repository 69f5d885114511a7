"""The front door: one question or many, async or not, watched or streamed, left early, failing to start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers_server import nothing_left
from helpers_strategies import SETTINGS, member, resources, scripted
from smcs import Collaboration, Message, Query
from smcs.errors import ConfigError, InputError, LLMError, NoUsableAnswerError
from smcs.run import AttemptStarted, Event, RunFinished, RunStarted, TextArrived
from smcs.strategies import Resources, profile

NAMES = ("adder", "half", "poor", "merger")


def team(*, prepare: Any = None, release: Any = None, **scripts: Any) -> Collaboration:
    members = (member(scripted(name, **scripts.get(name, {}))) for name in NAMES)
    return Collaboration(resources(*members), SETTINGS, prepare=prepare, release=release)


async def test_ask_answers_and_tells_what_happens() -> None:
    events: list[Event] = []
    async with team() as together:
        run = await together.ask("add 3 and 4", watch=events.append)
    assert run.answer == "answer of merger"
    assert isinstance(events[0], RunStarted)
    assert events[-1] == RunFinished(run)


async def test_a_conversation_is_shown_whole_and_looked_up_by_its_last_turn() -> None:
    conversation = [
        Message("system", "be brief"),
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "c"),
    ]
    async with team() as together:
        run = await together.ask(conversation)
        assert run.query == Query("c", tuple(conversation))
        assert (await together.ask(Query("look me up", (Message("user", "x"),)))).query.text == "look me up"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ([], "empty"),
        ([Message("user", " ")], "empty"),
        ([Message("user", "a"), Message("assistant", "b")], "must end with a message of the user"),
        (Query("text", ()), "must end with a message of the user"),
    ],
)
async def test_what_cannot_be_asked(question: Any, expected: str) -> None:
    async with team() as together:
        with pytest.raises(InputError, match=expected):
            await together.ask(question)
        with pytest.raises(InputError, match=expected):
            async for _ in together.stream(question):
                pass


async def test_settings_can_be_changed_for_one_question() -> None:
    async with team() as together:
        assert len((await together.ask("q", n=2)).candidates) == 2
        assert len((await together.ask("q")).candidates) == SETTINGS.n
        with pytest.raises(InputError, match="Unknown setting 'temprature'"):
            await together.ask("q", temprature=1)
        with pytest.raises(InputError, match="Did you mean 'max_calls'"):
            await together.ask("q", max_call=1)
        with pytest.raises(InputError, match="`n` must be at least 1"):
            await together.ask("q", n=0)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Unknown strategy 'smsc'\. Did you mean 'smcs'"):
        Collaboration(team().resources, strategy_name="smsc")


def test_the_default_profile_is_balanced() -> None:
    assert Collaboration(team().resources).settings == profile("balanced")


async def test_many_questions_at_once_keep_their_records_apart() -> None:
    async with team(**{name: {"latency": 0.01} for name in NAMES}) as together, asyncio.TaskGroup() as group:
        tasks = [group.create_task(together.ask(f"question {i}")) for i in range(20)]
    runs = [task.result() for task in tasks]
    assert [run.query.text for run in runs] == [f"question {i}" for i in range(20)]
    assert len({run.id for run in runs}) == 20
    assert all(run.calls == runs[0].calls and len(run.candidates) == SETTINGS.n for run in runs)


async def test_a_run_that_fails_raises_and_the_next_one_works() -> None:
    scripts = {name: {"failures": ["refused"] * 9} for name in NAMES}
    async with team(**scripts) as together:
        with pytest.raises(NoUsableAnswerError):
            await together.ask("q")
        for name in NAMES:
            together.resources.pool[name].llm.failures = ()  # type: ignore[attr-defined]
        assert (await together.ask("q")).answer == "answer of merger"


async def test_a_stream_ends_in_the_record() -> None:
    async with nothing_left(), team() as together:
        events = [event async for event in together.stream("q", n=2)]
    assert isinstance(events[0], RunStarted)
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert len(last.run.candidates) == 2
    assert not any(isinstance(event, TextArrived) for event in events)


async def test_a_stream_carries_text_for_those_who_want_it() -> None:
    async with team() as together:
        events = [event async for event in together.stream("q", wants_text=True)]
    text = "".join(event.text for event in events if isinstance(event, TextArrived) and event.llm == "half")
    assert text == "answer of half"


async def test_a_stream_raises_what_the_run_raised() -> None:
    async with nothing_left(), team(**{name: {"failures": "refused"} for name in NAMES}) as together:
        stream = together.stream("q")
        assert isinstance(await anext(stream), RunStarted)
        with pytest.raises(NoUsableAnswerError):
            assert not [event async for event in stream if isinstance(event, RunFinished)]


async def test_leaving_a_stream_early_cancels_every_call() -> None:
    async with team(**{name: {"failures": "hang"} for name in NAMES}) as together, nothing_left():
        async for event in together.stream("q"):
            if isinstance(event, AttemptStarted):
                break


async def test_cancelling_a_question_cancels_its_calls() -> None:
    async with team(**{name: {"failures": "hang"} for name in NAMES}) as together, nothing_left():
        started = asyncio.Event()
        asking = asyncio.create_task(together.ask("q", watch=lambda event: started.set()))
        await started.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


class Preparation:
    """Fails as often as it is told to, and counts."""

    def __init__(self, failures: int = 0, *, hang: bool = False) -> None:
        self.failures, self.hang, self.count = failures, hang, 0

    async def __call__(self, over: Resources) -> Resources:
        self.count += 1
        await asyncio.sleep(0.01)
        if self.count <= self.failures:
            raise LLMError("not yet", llm="merger")
        if self.hang:
            await asyncio.Event().wait()
        return over


async def test_preparation_happens_once_for_all_questions() -> None:
    prepare = Preparation()
    async with team(prepare=prepare) as together, asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(together.ask("q"))
    assert prepare.count == 1


async def test_a_failed_start_is_raised_and_tried_again_by_the_next_question() -> None:
    prepare = Preparation(failures=2)
    async with team(prepare=prepare) as together:
        with pytest.raises(LLMError, match="not yet"):
            await together.start()
        with pytest.raises(LLMError, match="not yet"):
            await together.ask("q")
        assert (await together.ask("q")).answer == "answer of merger"
    assert prepare.count == 3


async def test_a_failed_start_is_raised_for_everyone_who_waits_for_it() -> None:
    prepare = Preparation(failures=1)
    async with team(prepare=prepare) as together:
        tasks = [asyncio.create_task(together.ask("q")) for _ in range(3)]
        await asyncio.wait(tasks)
        assert [type(task.exception()) for task in tasks] == [LLMError] * 3
        assert (await together.ask("q")).answer == "answer of merger"
    assert prepare.count == 2


async def test_one_who_gives_up_waiting_does_not_end_the_preparation() -> None:
    prepare = Preparation()
    async with team(prepare=prepare) as together:
        impatient = asyncio.create_task(together.ask("q"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.wait([impatient])
        assert (await together.ask("q")).answer == "answer of merger"
    assert prepare.count == 1


async def test_closing_ends_a_preparation_and_releases_once() -> None:
    released = []

    async def release() -> None:
        released.append(True)

    together = team(prepare=Preparation(hang=True), release=release)
    async with nothing_left():
        asking = asyncio.create_task(together.ask("q"))
        await asyncio.sleep(0.05)
        await together.close()
        await together.close()
        await asyncio.wait([asking])
        assert asking.cancelled()
    assert released == [True]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "smcs.yaml"
    pool = [{"name": name, "kind": "scripted", "script": {"replies": [f"answer of {name}"]}} for name in NAMES]
    file.write_text(yaml.safe_dump({"pool": pool, "aggregators": ["merger"], "embedder": {"kind": "hashing"}}))
    return file


def test_ask_sync_outside_a_loop(config: Path) -> None:
    with Collaboration.from_config(config, n=2) as together:
        run = together.ask_sync("q")
        assert run.answer == "answer of merger"
        assert len(run.candidates) <= 2
        assert together.ask_sync("q", n=1).settings["n"] == 1
        with pytest.raises(InputError, match="empty"):
            together.ask_sync("")


async def test_ask_sync_inside_a_running_loop(config: Path) -> None:
    with Collaboration.from_config(config) as together:
        assert together.ask_sync("q").answer == "answer of merger"
        assert together.ask_sync("q").answer == "answer of merger"


def test_the_block_ends_its_thread(config: Path) -> None:
    import threading

    before = set(threading.enumerate())
    with Collaboration.from_config(config) as together:
        together.ask_sync("q")
        assert any(thread.name == "smcs" for thread in threading.enumerate())
    left = {thread for thread in set(threading.enumerate()) - before if thread.name == "smcs"}
    assert not left


def test_from_config_takes_profile_and_settings(config: Path) -> None:
    together = Collaboration.from_config(str(config), profile_name="paper", k=2)
    assert (together.settings.k, together.settings.quorum) == (2, None)
    with pytest.raises(InputError, match="Unknown setting 'kk'"):
        Collaboration.from_config(config, kk=2)
    with pytest.raises(InputError, match="Did you mean 'paper'"):
        Collaboration.from_config(config, profile_name="papr")
    with pytest.raises(ConfigError, match="Unknown strategy"):
        Collaboration.from_config(config, strategy_name="moe")


async def test_what_a_strategy_cannot_do_without_is_said_before_any_call() -> None:
    async with Collaboration(resources(*(member(scripted(name)) for name in NAMES)), strategy_name="rps") as together:
        with pytest.raises(ConfigError, match="Strategy 'rps' needs a question bank"):
            await together.ask("add 3 and 4")
        assert all(one.llm.calls == 0 for one in together.resources.pool.values())  # type: ignore[attr-defined]

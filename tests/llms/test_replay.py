from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from helpers_llms import question
from smcs.errors import ConfigError, LLMError
from smcs.llms import RecordingLLM, ReplayLLM, ScriptedLLM, ScriptedReply
from smcs.types import Completion, Delta, Sampling


async def test_what_was_recorded_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.jsonl"
    reply = ScriptedReply("forty\n“two”", reasoning="hm", finish_reason="length")
    recorder = RecordingLLM(ScriptedLLM("s", [reply, "b", "c", "d"]), "a", path)
    requests = [question(logprobs=True), question(), question(n=2), question(sampling=Sampling(seed=1))]
    said = [await recorder.complete(request) for request in requests]
    replay = ReplayLLM("a", path)
    assert [await replay.complete(request) for request in requests] == said
    assert len(path.read_bytes().splitlines()) == 4


async def test_repeated_requests_stay_different_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    recorder = RecordingLLM(ScriptedLLM("s", ["1", "2", "3"]), "a", path)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(recorder.complete(question()))
    replay = ReplayLLM("a", path)
    assert [(await replay.complete(question())).choices[0].text for _ in range(3)] == ["1", "2", "3"]
    with pytest.raises(LLMError, match="holds no answer"):
        await replay.complete(question())


async def test_misses_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await RecordingLLM(ScriptedLLM("s"), "a", path).complete(question())
    for name, request in (
        ("b", question()),
        ("a", question("other")),
        ("a", question(n=2)),
        ("a", question(sampling=Sampling(temperature=0.5))),
    ):
        with pytest.raises(LLMError, match=rf"{name}: r\.jsonl holds no answer"):
            await ReplayLLM(name, path).complete(request)


async def test_failures_are_recorded_too(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    recorder = RecordingLLM(ScriptedLLM("s", failures=["error", "timeout"]), "a", path)
    for kind, status in (("error", 500), ("timeout", None)):
        with pytest.raises(LLMError):
            await recorder.complete(question(kind))
        with pytest.raises(LLMError) as caught:
            await ReplayLLM("a", path).complete(question(kind))
        assert (caught.value.kind, caught.value.http_status) == (kind, status)
        assert str(caught.value).startswith("a: ")
        assert "s: " not in str(caught.value)


async def test_an_unfinished_line_is_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "r.jsonl"
    await RecordingLLM(ScriptedLLM("s", ["1"]), "a", path).complete(question("one"))
    with path.open("ab") as file:
        file.write(b'{"key": "half a li')
    await RecordingLLM(ScriptedLLM("s", ["2"]), "a", path).complete(question("two"))
    replay = ReplayLLM("a", path)
    assert (await replay.complete(question("one"))).choices[0].text == "1"
    assert (await replay.complete(question("two"))).choices[0].text == "2"
    assert "line 2" in caplog.text


async def test_replay_streams(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await RecordingLLM(ScriptedLLM("s", ["one", "two"]), "a", path).complete(question(n=2))
    pieces: list[Delta] = []
    completion: Completion = await ReplayLLM("a", path).complete(question(n=2), on_delta=pieces.append)
    assert pieces == [Delta("one"), Delta("two", choice=1)]
    assert len(completion.choices) == 2


def test_files_that_are_no_recording(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        ReplayLLM("a", tmp_path / "absent.jsonl")
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    with pytest.raises(ConfigError, match="is no recording"):
        ReplayLLM("a", path)

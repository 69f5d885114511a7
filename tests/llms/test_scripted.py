from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import pytest

from helpers_llms import question
from smcs.errors import ConfigError, InputError, LLMError
from smcs.llms import Latency, ScriptedLLM, ScriptedReply
from smcs.types import Choice, Delta, Request, Sampling


async def texts(llm: ScriptedLLM, *questions: Request) -> list[str]:
    return [choice.text for request in questions for choice in (await llm.complete(request)).choices]


async def test_a_list_is_repeated() -> None:
    llm = ScriptedLLM("s", ["a", "b", "c"])
    assert await texts(llm, question(n=2), question(), question()) == ["a", "b", "c", "a"]
    assert llm.calls == len(llm.history) == 3


async def test_patterns_and_functions() -> None:
    llm = ScriptedLLM("s", {"capital": "Paris", r"\d x \d": "42", "": "no idea"})
    assert await texts(llm, question("The capital?"), question("6 x 7"), question("why")) == ["Paris", "42", "no idea"]
    llm = ScriptedLLM("s", lambda request, number: f"{request.messages[-1].content}{number}")
    assert await texts(llm, question("q", n=2)) == ["q0", "q1"]


async def test_no_pattern_fits_is_empty() -> None:
    with pytest.raises(LLMError) as caught:
        await ScriptedLLM("s", {"capital": "Paris"}).complete(question("why"))
    assert caught.value.kind == "empty"


async def test_logprobs_only_when_asked_and_repeatable() -> None:
    def fresh() -> ScriptedLLM:
        return ScriptedLLM("s", ["one two three"], logprob=-0.2, spread=0.5)

    assert (await fresh().complete(question())).choices[0].logprobs is None
    first = (await fresh().complete(question(logprobs=True))).choices[0].logprobs
    assert first == (await fresh().complete(question(logprobs=True))).choices[0].logprobs
    assert first is not None
    assert len(first) == 3
    assert all(-0.7 <= value <= -0.2 for value in first)
    assert (await ScriptedLLM("s", logprob=None).complete(question(logprobs=True))).choices[0].logprobs is None
    own = ScriptedReply("x", reasoning="hm", logprobs=(-1.0, -2.0), finish_reason="length")
    choice = (await ScriptedLLM("s", [own]).complete(question(logprobs=True))).choices[0]
    assert choice == Choice("x", reasoning="hm", finish_reason="length", logprobs=(-1.0, -2.0), completion_tokens=2)


async def test_failures_follow_the_script() -> None:
    llm = ScriptedLLM("s", failures=["error", None, "nan", "timeout", "empty", "malformed", "refused"])
    seen: list[Any] = []
    for _ in range(8):
        try:
            seen.append((await llm.complete(question(logprobs=True))).choices[0].logprobs is not None)
        except LLMError as error:
            seen.append((error.kind, error.http_status))
    assert seen == [
        ("error", 500),
        True,
        False,
        ("timeout", None),
        ("empty", None),
        ("error", None),
        ("error", 400),
        True,
    ]


async def test_hang_ends_with_cancellation() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await ScriptedLLM("s", failures="hang").complete(question())


async def test_too_many_choices_are_refused() -> None:
    with pytest.raises(LLMError) as caught:
        await ScriptedLLM("s", max_n=2).complete(question(n=3))
    assert caught.value.http_status == 400


async def test_latency_is_kept_and_does_not_depend_on_order() -> None:
    llm = ScriptedLLM("s", latency=0.05)
    started = time.monotonic()
    await llm.complete(question())
    assert 0.049 <= time.monotonic() - started < 1.0

    async def order(questions: list[Request]) -> list[str]:
        finished: list[str] = []
        llm = ScriptedLLM("s", latency=Latency(0.02, 0.9), seed=5)

        async def one(request: Request) -> None:
            await llm.complete(request)
            finished.append(request.messages[0].content)

        async with asyncio.TaskGroup() as group:
            for request in questions:
                group.create_task(one(request))
        return finished

    questions = [question(text) for text in "abcd"]
    assert await order(questions) == await order(questions[::-1])


def test_latency_distribution() -> None:
    from random import Random

    random = Random(3)
    drawn = [Latency(2.0, 0.8).seconds(random) for _ in range(4_000)]
    assert statistics.median(drawn) == pytest.approx(2.0, rel=0.06)
    assert Latency(2.0).seconds(random) == 2.0


async def test_streaming_adds_up() -> None:
    pieces: list[Delta] = []
    replies: list[str | ScriptedReply] = [ScriptedReply(" a b\n c  ", reasoning="hm"), "second"]
    completion = await ScriptedLLM("s", replies).complete(question(n=2), on_delta=pieces.append)
    for index, choice in enumerate(completion.choices):
        assert "".join(piece.text for piece in pieces if piece.choice == index) == choice.text
        assert "".join(piece.reasoning for piece in pieces if piece.choice == index) == choice.reasoning
    assert len(pieces) == 5


async def test_from_config() -> None:
    config = {
        "replies": {"capital": "Paris", "": "?"},
        "latency": {"median": 0.001, "sigma": 0.1},
        "failures": [None, "error"],
        "logprob": -0.3,
        "spread": 0.0,
        "max_n": 4,
        "seed": 9,
    }
    llm = ScriptedLLM.from_config("s", config)
    completion = await llm.complete(question("The capital?", logprobs=True, sampling=Sampling(seed=1)))
    assert completion.choices[0].text == "Paris"
    assert completion.choices[0].logprobs == (-0.3,)
    with pytest.raises(LLMError):
        await llm.complete(question())
    assert await texts(ScriptedLLM.from_config("s", {}), question()) == ["A scripted answer."]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"reply": ["a"]}, "unknown key 'reply'. Did you mean 'replies'"),
        ({"replies": [1]}, "replies"),
        ({"replies": []}, "`replies` is empty"),
        ({"replies": {"(": "a"}}, "'\\('"),
        ({"failures": ["explode"]}, "explode"),
        ({"logprob": 0.5}, "`logprob` must be"),
        ({"latency": -1.0}, "cannot be negative"),
        ({"latency": {"mean": 1.0}}, "mean"),
    ],
)
def test_config_mistakes(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ScriptedLLM.from_config("s", config)


def test_unknown_failure() -> None:
    with pytest.raises(InputError, match="Did you mean 'hang'"):
        ScriptedLLM("s", failures=["hank"])  # type: ignore[list-item]

from __future__ import annotations

import asyncio
import json
import statistics
import time
from contextlib import aclosing
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

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


async def test_latency_is_kept() -> None:
    llm = ScriptedLLM("s", latency=0.05)
    started = time.monotonic()
    await llm.complete(question())
    assert 0.049 <= time.monotonic() - started < 30.0


async def test_latency_does_not_depend_on_order(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def seconds(texts: str) -> dict[str, float]:
        llm, before = ScriptedLLM("s", latency=Latency(0.2, 0.9), seed=5), len(slept)
        for text in texts:
            await llm.complete(question(text))
        return dict(zip(texts, slept[before:], strict=True))

    assert await seconds("abcd") == await seconds("dcba")
    assert len(set(slept)) == 4


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


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALLS = (("weather", '{"city": "Paris"}'), ("time", "{}"))


def raw(text: str, **options: Any) -> dict[str, Any]:
    return {"model": "any", "messages": [{"role": "user", "content": text}], **options}


async def streamed(llm: ScriptedLLM, body: dict[str, Any]) -> list[ChatCompletionChunk]:
    async with aclosing(llm.forward_stream(body)) as events:
        return [ChatCompletionChunk.model_validate_json(event) async for event in events]


async def test_a_raw_request_gets_what_the_script_says() -> None:
    llm = ScriptedLLM("s", [ScriptedReply("a  b\nc ", reasoning="hm", finish_reason="length"), "x"], logprob=-0.5)
    body = raw("why?", n=2, logprobs=True, stop="END", response_format={"type": "json_object"}, max_tokens=9)
    whole = ChatCompletion.model_validate_json(await llm.forward(body))
    assert [choice.message.content for choice in whole.choices] == ["a  b\nc ", "x"]
    assert [choice.finish_reason for choice in whole.choices] == ["length", "stop"]
    assert whole.choices[0].logprobs is not None
    tokens = whole.choices[0].logprobs.content or []
    assert "".join(token.token for token in tokens) == "a  b\nc "
    assert [token.logprob for token in tokens] == [-0.5] * 3
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (1, 5)
    sampling = Sampling(stop=("END",), response_format={"type": "json_object"}, max_tokens=9)
    assert llm.history[0] == question("why?", n=2, logprobs=True, sampling=sampling)
    assert llm.bodies[0] is body
    chunks = await streamed(ScriptedLLM("s", llm.replies, logprob=-0.5), body)
    for index, choice in enumerate(whole.choices):
        pieces = [piece for one in chunks for piece in one.choices if piece.index == index]
        assert "".join(piece.delta.content or "" for piece in pieces) == choice.message.content
        assert pieces[-1].finish_reason == choice.finish_reason
        assert sum(len(piece.logprobs.content or []) for piece in pieces if piece.logprobs) == (3, 1)[index]
    assert chunks[-1].usage == whole.usage


async def test_roles_and_parts_of_a_raw_request_become_messages() -> None:
    llm = ScriptedLLM("s", {"sunny": "take a hat", "": "?"})
    turns = [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "and "}, {"type": "image_url"}, {"type": "text", "text": "now"}],
        },
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    answer = json.loads(await llm.forward({"messages": turns}))
    assert answer["choices"][0]["message"]["content"] == "take a hat"
    assert [(turn.role, turn.content) for turn in llm.history[0].messages] == [
        ("system", "be brief"),
        ("user", "and now"),
        ("assistant", ""),
        ("user", "sunny"),
    ]


async def test_tools_are_called_where_they_are_offered() -> None:
    llm = ScriptedLLM("s", [ScriptedReply("no tools here", tool_calls=CALLS)])
    whole = ChatCompletion.model_validate_json(await llm.forward(raw("weather?", tools=TOOLS)))
    message = whole.choices[0].message
    assert whole.choices[0].finish_reason == "tool_calls"
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls or ()] == list(CALLS)  # type: ignore[union-attr]
    chunks = await streamed(llm, raw("weather?", tools=TOOLS))
    parts = [call for one in chunks for choice in one.choices for call in choice.delta.tool_calls or ()]
    for index, (name, arguments) in enumerate(CALLS):
        of_one = [part for part in parts if part.index == index]
        assert of_one[0].id
        assert of_one[0].function is not None
        assert of_one[0].function.name == name
        assert "".join(part.function.arguments or "" for part in of_one if part.function) == arguments
    for body in (raw("weather?"), raw("weather?", tools=TOOLS, tool_choice="none")):
        choice = json.loads(await llm.forward(body))["choices"][0]
        assert (choice["finish_reason"], "tool_calls" in choice["message"]) == ("stop", False)
    assert (await llm.complete(question("weather?"))).choices[0].text == "no tools here"


async def test_failures_of_raw_requests() -> None:
    llm = ScriptedLLM("s", ["one two three four"], failures=["refused", "cut", "cut", "nan"])
    with pytest.raises(LLMError) as caught:
        await llm.forward(raw("why"))
    assert json.loads(caught.value.body or b"")["error"]["type"] == "invalid_request_error"
    got: list[Delta] = []
    with pytest.raises(LLMError, match="before the answer was complete"):
        await llm.complete(question(), on_delta=got.append)
    assert "".join(piece.text for piece in got) == "one two"
    with pytest.raises(LLMError, match="before the answer was complete"):
        await streamed(llm, raw("why"))
    assert json.loads(await llm.forward(raw("why", logprobs=True)))["choices"][0]["logprobs"] is None


async def test_tool_calls_come_from_a_config_too() -> None:
    replies = [{"text": "", "tool_calls": [["weather", "{}"]]}, "It is sunny."]
    llm = ScriptedLLM.from_config("s", {"replies": replies})
    first, second = [json.loads(await llm.forward(raw("?", tools=TOOLS)))["choices"][0]["message"] for _ in range(2)]
    assert (first["content"], first["tool_calls"][0]["function"]["name"]) == (None, "weather")
    assert second["content"] == "It is sunny."


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"reply": ["a"]}, "unknown key 'reply'. Did you mean 'replies'"),
        ({"replies": [1]}, "replies"),
        ({"replies": []}, "`replies` is empty"),
        ({"replies": [{"text": "a", "tools": []}]}, "unknown field `tools`"),
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

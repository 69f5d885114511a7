"""The chat request: what it is taken to ask for, and what is refused on each of its three ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_protocol import chat, chat_body, encoded, refused
from smcs.gateway.errors import GatewayError
from smcs.gateway.protocol import (
    ChatRequest,
    check_collaborative,
    check_pass_through,
    check_routed,
    checks,
    parse_chat,
)
from smcs.strategies import STRATEGIES
from smcs.types import Sampling

TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
WITH_IMAGE = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}

FULL: dict[str, Any] = chat_body(
    {"role": "developer", "content": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": "What is 6 x 7?", "name": "ann"},
    {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "multiply", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    temperature=0,
    top_p=0.9,
    n=2,
    stop=["END", "\n\n"],
    max_completion_tokens=100,
    presence_penalty=-2,
    frequency_penalty=2,
    seed=-1,
    response_format={"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
    stream=True,
    stream_options={"include_usage": True},
    user="user-1",
    metadata={"team": "a"},
    store=False,
    service_tier="auto",
    parallel_tool_calls=True,
    modalities=["text"],
    verbosity="medium",
    prompt_cache_key="k",
    safety_identifier="s",
    smcs={
        "strategy": "smcs",
        "k": 3,
        "n": 4,
        "drop": 0,
        "aggregator": "large",
        "include": ["a", "b"],
        "exclude": ["c"],
        "max_usd": 0.1,
        "max_seconds": 30,
        "max_calls": 20,
        "explain": True,
        "thinking": False,
        "profile": "fast",
        "without": ["perplexity", "rps"],
    },
)


def refusal(check: Callable[[ChatRequest], None], **fields: Any) -> GatewayError:
    messages = fields.pop("messages", ())
    with pytest.raises(GatewayError) as caught:
        check(chat(*messages, **fields))
    assert caught.value.status == 400
    return caught.value


def test_every_field_is_understood() -> None:
    request = parse_chat(encoded(FULL))
    check_collaborative(request)
    assert request.streamed
    assert request.include_usage
    assert request.answers == 2
    assert request.needs == frozenset()
    assert request.deterministic
    assert request.sampling() == Sampling(
        temperature=0,
        top_p=0.9,
        max_tokens=100,
        presence_penalty=-2,
        frequency_penalty=2,
        seed=2**62 - 1,
        stop=("END", "\n\n"),
        response_format=FULL["response_format"],
    )
    assert request.options.settings() == {
        "k": 3,
        "n": 4,
        "drop": 0,
        "max_usd": 0.1,
        "max_seconds": 30,
        "max_calls": 20,
        "without": ("perplexity", "rps"),
    }


def test_an_endpoint_is_sent_what_came(snapshot: Callable[[str, bytes], None]) -> None:
    request = parse_chat(encoded(FULL))
    expected = {name: value for name, value in FULL.items() if name != "smcs"}
    assert request.body() == expected
    snapshot("chat_request.json", json.dumps(FULL, indent=1).encode() + b"\n")
    snapshot("chat_request_forwarded.json", json.dumps(request.body(), indent=1).encode() + b"\n")


def test_nothing_given_means_nothing_asked() -> None:
    request = chat()
    assert request.sampling() == Sampling()
    assert not request.streamed
    assert not request.include_usage
    assert request.answers == 1
    assert not request.deterministic
    assert request.options.settings() == {}
    assert request.options.steering() == ()


def test_null_is_the_same_as_absent() -> None:
    nothing = dict.fromkeys(("temperature", "stop", "tools", "smcs", "stream", "n", "response_format", "metadata"))
    assert chat(**nothing).canonical() == chat().canonical()


def test_a_text_format_asks_for_nothing() -> None:
    assert chat(response_format={"type": "text"}).sampling().response_format is None


@settings(max_examples=50)
@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_every_seed_can_seed_a_run(seed: int) -> None:
    run_seed = chat(seed=seed).run_seed
    assert run_seed is not None
    assert 0 <= run_seed <= 2**63 - 1 - 100_000
    assert run_seed == seed or not 0 <= seed < 2**62


def test_canonical_leaves_out_delivery_and_keeps_what_decides_the_answer() -> None:
    plain = chat(temperature=0, max_tokens=5)
    same = chat(
        max_completion_tokens=5,
        temperature=0.0,
        stream=True,
        stream_options={"include_usage": True},
        user="x",
        metadata={"a": "b"},
        store=False,
        smcs={"explain": True, "thinking": True},
    )
    assert plain.canonical() == same.canonical()
    for other in (
        chat(temperature=0),
        chat(temperature=1, max_tokens=5),
        chat(temperature=0, max_tokens=5, smcs={"k": 2}),
        chat(temperature=0, max_tokens=5, smcs={"without": ["rps"]}),
        chat({"role": "user", "content": "What is 6 x 8?"}, temperature=0, max_tokens=5),
    ):
        assert other.canonical() != plain.canonical()


@pytest.mark.parametrize(
    ("messages", "fields", "needs"),
    [
        ((), {"tools": [TOOL]}, {"tools"}),
        ((), {"tools": [TOOL], "tool_choice": "none"}, set()),
        ((), {"tools": []}, set()),
        ((WITH_IMAGE,), {}, {"image"}),
        ((WITH_IMAGE,), {"tools": [TOOL], "tool_choice": "auto"}, {"image", "tools"}),
    ],
)
def test_needs_of_one_capable_llm(messages: tuple[Any, ...], fields: dict[str, Any], needs: set[str]) -> None:
    request = chat(*messages, **fields)
    assert request.needs == needs
    check_routed(request)
    if needs:
        with pytest.raises(GatewayError):
            check_collaborative(request)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"store": True}, "store"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any], param: str) -> None:
    assert refused(chat_body(**fields)).param == param


def test_an_assistant_must_have_said_something() -> None:
    assert refused(chat_body({"role": "assistant", "content": None})).param == "messages[0].content"
    chat({"role": "assistant", "content": ""})


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_the_type_that_old_harnesses_put_beside_a_text_is_harmless(role: str) -> None:
    message = {"role": role, "content": "a", "type": "text"}
    assert chat(message).body()["messages"] == [message]
    assert refused(chat_body({**message, "type": "image"})).param == "messages[0].type"


def test_equal_limits_under_both_names_are_one_limit() -> None:
    assert chat(max_tokens=5, max_completion_tokens=5).max_output_tokens == 5


ONE_LLM_ONLY = {
    "reasoning_effort": "low",
    "verbosity": "high",
    "logprobs": True,
    "prediction": {"type": "content", "content": "x"},
}
NEVER_VIRTUAL = {
    "functions": [{"name": "f"}],
    "function_call": "auto",
    "logit_bias": {"5": 1},
    "audio": {"voice": "a", "format": "wav"},
    "modalities": ["text", "audio"],
    "moderation": {"model": "m"},
    "web_search_options": {},
    "service_tier": "flex",
}


@pytest.mark.parametrize("name", [*ONE_LLM_ONLY, *NEVER_VIRTUAL])
def test_what_a_collaboration_cannot_honour_is_refused_by_name(name: str) -> None:
    value = {**ONE_LLM_ONLY, **NEVER_VIRTUAL}[name]
    error = refusal(check_collaborative, **{name: value})
    assert (error.param, error.code) == (name, "unsupported_parameter")
    assert name in error.message


@pytest.mark.parametrize("name", ONE_LLM_ONLY)
def test_one_llm_can_honour_more(name: str) -> None:
    check_routed(chat(**{name: ONE_LLM_ONLY[name]}))


@pytest.mark.parametrize("name", NEVER_VIRTUAL)
def test_a_virtual_model_refuses_even_where_one_llm_answers(name: str) -> None:
    assert refusal(check_routed, **{name: NEVER_VIRTUAL[name]}).param == name
    check_pass_through(chat(**{name: NEVER_VIRTUAL[name]}))


@pytest.mark.parametrize(
    ("part", "checks"),
    [
        (IMAGE, (check_collaborative,)),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, (check_collaborative, check_routed)),
        ({"type": "file", "file": {"file_id": "file-1"}}, (check_collaborative, check_routed)),
    ],
)
def test_the_part_that_is_refused_is_named(part: Any, checks: tuple[Callable[[ChatRequest], None], ...]) -> None:
    messages = ({"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}, part]})
    for check in checks:
        assert refusal(check, messages=messages).param == "messages[1].content[1]"


def test_obfuscation_is_refused_only_where_it_is_asked_for() -> None:
    check_collaborative(chat(stream=True, stream_options={"include_obfuscation": False}))
    error = refusal(check_collaborative, stream=True, stream_options={"include_obfuscation": True})
    assert error.param == "stream_options.include_obfuscation"


def test_options_of_a_collaboration_mean_nothing_to_one_llm() -> None:
    check_pass_through(chat(smcs={"max_usd": 1, "max_seconds": 5, "explain": True, "thinking": False}))
    assert refusal(check_pass_through, smcs={"explain": True, "k": 3}).param == "smcs.k"


def test_a_strategy_leaves_out_only_what_it_has() -> None:
    for spec in STRATEGIES.values():
        chat(smcs={"without": list(spec.ablations)}).options.check_ablations(spec)
    some = refusal(
        lambda asked: asked.options.check_ablations(STRATEGIES["best_of_n"]), smcs={"without": ["similarity", "rps"]}
    )
    assert (some.param, some.code) == ("smcs.without", "unsupported_parameter")
    assert "'best_of_n' cannot leave out 'rps'; it can: similarity, perplexity." in some.message
    none = refusal(lambda asked: asked.options.check_ablations(STRATEGIES["moa"]), smcs={"without": ["rps"]})
    assert "'moa'" in none.message
    assert none.message.endswith("strategies that can leave out parts: rps, prior_vote, best_of_n, smcs, smcs_guarded.")
    assert refusal(check_pass_through, smcs={"without": ["rps"]}).param == "smcs.without"


def test_too_much_text_is_413_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MAX_TEXT", 1_000)
    half = "x" * 501
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": half}}
    parts = [{"type": "text", "text": half}]
    fine = {"role": "user", "content": half}
    for second in ({"role": "user", "content": parts}, {"role": "assistant", "content": None, "tool_calls": [call]}):
        with pytest.raises(GatewayError) as caught:
            chat(fine, second)
        assert caught.value.status == 413
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + half}}
    chat(fine, {"role": "user", "content": [image]})


def test_ten_thousand_messages_are_read() -> None:
    request = chat(*[{"role": "user", "content": "x"}] * 10_000)
    assert len(request.messages) == 10_000


def test_the_schema_of_the_body_can_be_published() -> None:
    schema = ChatRequest.model_json_schema()
    assert schema["additionalProperties"] is False
    assert {"model", "messages", "smcs"} <= schema["properties"].keys()
    assert schema["required"] == ["model", "messages"]

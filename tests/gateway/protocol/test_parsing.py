"""Bodies that are wrong, hostile or both: each becomes one line in OpenAI's shape, with the place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_protocol import chat_body, encoded, refused
from smcs.gateway.errors import GatewayError
from smcs.gateway.protocol import check_shape, parse_chat
from smcs.gateway.protocol.parsing import MAX_DEPTH, MAX_VALUES

USER = {"role": "user", "content": "Hi"}

MISTAKES: dict[str, tuple[Any, str | None, str | None]] = {
    "not_json": (b"{", None, "invalid_json"),
    "not_utf8": (b'{"model": "\xff"}', None, "invalid_json"),
    "lone_surrogate": (b'{"model": "\\ud800"}', None, "invalid_json"),
    "array": (b"[]", None, "invalid_type"),
    "no_model": ({"messages": [USER]}, "model", "missing_required_parameter"),
    "no_messages": ({"model": "a"}, "messages", "missing_required_parameter"),
    "empty_messages": ({"model": "a", "messages": []}, "messages", "array_below_min_length"),
    "messages_of_text": ({"model": "a", "messages": "Hi"}, "messages", "invalid_type"),
    "message_of_text": ({"model": "a", "messages": ["Hi"]}, "messages[0]", "invalid_type"),
    "no_role": (chat_body({"content": "Hi"}), "messages[0].role", "missing_required_parameter"),
    "wrong_role": (chat_body(USER, {"role": "boss", "content": "Hi"}), "messages[1].role", "invalid_value"),
    "no_content": (chat_body({"role": "user"}), "messages[0].content", "missing_required_parameter"),
    "content_number": (chat_body(USER, {"role": "user", "content": 5}), "messages[1].content", "invalid_type"),
    "content_object": (chat_body({"role": "user", "content": {"str": 1}}), "messages[0].content", "invalid_type"),
    "content_empty": (chat_body({"role": "user", "content": []}), "messages[0].content", "array_below_min_length"),
    "part_without_text": (
        chat_body({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text"}]}),
        "messages[0].content[1].text",
        "missing_required_parameter",
    ),
    "part_of_wrong_type": (
        chat_body({"role": "user", "content": [{"type": "video"}]}),
        "messages[0].content[0].type",
        "invalid_value",
    ),
    "image_from_a_file": (
        chat_body({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}),
        "messages[0].content[0].image_url.url",
        "invalid_value",
    ),
    "image_of_text": (
        chat_body({"role": "user", "content": [{"type": "image_url", "image_url": "https://x"}]}),
        "messages[0].content[0].image_url",
        "invalid_type",
    ),
    "unknown": (chat_body(zzz=1), "zzz", "unknown_parameter"),
    "misspelt": (chat_body(temprature=1), "temprature", "unknown_parameter"),
    "unknown_in_message": (chat_body({**USER, "colour": "red"}), "messages[0].colour", "unknown_parameter"),
    "unknown_option": (chat_body(smcs={"kk": 1}), "smcs.kk", "unknown_parameter"),
    "option_out_of_range": (chat_body(smcs={"k": 0}), "smcs.k", "integer_below_min_value"),
    "option_unknown_part": (chat_body(smcs={"without": ["rps", "luck"]}), "smcs.without[1]", "invalid_value"),
    "option_infinite": (b'{"model":"a","messages":[],"smcs":{"max_usd":1e999}}', None, None),
    "temperature_high": (chat_body(temperature=2.5), "temperature", "decimal_above_max_value"),
    "temperature_text": (chat_body(temperature="1"), "temperature", "invalid_type"),
    "temperature_nan": (
        b'{"model":"a","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        "temperature",
        "invalid_value",
    ),
    "n_high": (chat_body(n=17), "n", "integer_above_max_value"),
    "n_boolean": (chat_body(n=True), "n", "invalid_type"),
    "n_decimal": (chat_body(n=1.5), "n", "invalid_type"),
    "max_tokens_negative": (chat_body(max_tokens=-1), "max_tokens", "integer_below_min_value"),
    "max_tokens_huge": (chat_body(max_tokens=10**30), "max_tokens", "integer_above_max_value"),
    "seed_huge": (chat_body(seed=2**63), "seed", "integer_above_max_value"),
    "stop_many": (chat_body(stop=["a"] * 17), "stop", "array_above_max_length"),
    "stop_number": (chat_body(stop=5), "stop", "invalid_type"),
    "model_with_newline": ({**chat_body(), "model": "a\r\nx: y"}, "model", "invalid_value"),
    "model_long": ({**chat_body(), "model": "a" * 257}, "model", "string_above_max_length"),
    "format_unknown": (chat_body(response_format={"type": "xml"}), "response_format.type", "invalid_value"),
    "format_unnamed": (
        chat_body(response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
        "response_format.json_schema.name",
        "missing_required_parameter",
    ),
    "tool_choice_unknown": (chat_body(tool_choice="maybe"), "tool_choice", "invalid_value"),
    "metadata_number": (chat_body(metadata={"a": 1}), "metadata.a", "invalid_type"),
    "metadata_many": (chat_body(metadata={str(i): "" for i in range(17)}), "metadata", "array_above_max_length"),
    "many_messages": (chat_body(*[USER] * 10_001), "messages", "array_above_max_length"),
    "many_unknown": (chat_body(**{f"field{i}": 1 for i in range(200)}), None, None),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_place(name: str) -> None:
    body, param, code = MISTAKES[name]
    error = refused(body)
    assert error.status == 400
    if code is not None:
        assert (error.param, error.code) == (param, code)


def test_the_words_of_all_mistakes(snapshot: Callable[[str, bytes], None]) -> None:
    told = {name: refused(body).body()["error"] for name, (body, _, _) in MISTAKES.items()}
    snapshot("chat_mistakes.json", json.dumps(told, indent=1).encode() + b"\n")


def test_a_misspelt_field_is_put_right() -> None:
    assert "Did you mean 'temperature'?" in refused(chat_body(temprature=1)).message
    assert "Did you mean" not in refused(chat_body(zzzzzzzz=1)).message


def test_what_is_repeated_of_a_body_is_short_and_printable() -> None:
    error = refused(chat_body(**{"x\r\n\x1b[31m" + "y" * 10_000: 1}))
    assert len(error.message) < 600
    assert error.message.isprintable()
    error = refused({**chat_body(), "response_format": {"type": "\u202e" + "z" * 100_000}})
    assert len(error.message) < 400
    assert error.message.isprintable()


def test_an_endpoint_may_know_more_fields_but_not_wrong_ones() -> None:
    def raw(name: str) -> bool:
        return name == "raw"

    body = {**chat_body({**USER, "colour": "red"}, top_k=5), "model": "raw"}
    request = parse_chat(encoded({**body, "smcs": {"explain": True}}), passes_through=raw)
    assert request.body() == body
    assert request.options.explain
    assert b"top_k" in request.canonical()
    for wrong, param in (
        ({**body, "model": "smcs"}, "messages[0].colour"),
        ({**body, "smcs": {"kk": 1}}, "smcs.kk"),
        ({**body, "messages": [USER], "smcs": {"kk": 1}}, "smcs.kk"),
        ({**body, "n": 0}, "n"),
        ({**body, "messages": [*body["messages"], {"role": "user"}]}, "messages[1].content"),
    ):
        with pytest.raises(GatewayError) as caught:
            parse_chat(encoded(wrong), passes_through=raw)
        assert caught.value.param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\[]{}\n\u00e9'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='a"\\[{', max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@settings(max_examples=60)
@given(JSON, st.integers(min_value=0, max_value=90), st.booleans())
def test_depth_is_counted_as_a_parser_counts_it(value: Any, around: int, ascii_only: bool) -> None:
    for _ in range(around):
        value = [value, "[[{", {}]
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    if depth(value) > MAX_DEPTH:
        with pytest.raises(GatewayError, match=f"nested {depth(value)} levels"):
            check_shape(body)
    else:
        check_shape(body)


@pytest.mark.parametrize("values", [b"[],", b"1,", b'{"a":1},'])
def test_a_body_of_endless_values_is_refused_before_it_is_built(values: bytes) -> None:
    assert "values" in refused(b'{"messages":[' + values * (MAX_VALUES + 1) + b"0]}").message


def test_what_stands_in_texts_counts_for_nothing() -> None:
    text = '",[{\\' * MAX_VALUES
    assert parse_chat(encoded(chat_body({"role": "user", "content": text}))).messages[0].content == text


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_a_bottomless_body_is_refused_before_it_is_built(opening: bytes) -> None:
    assert "nested" in refused(b'{"messages":' + opening * 50_000).message


@settings(max_examples=60)
@given(st.binary(max_size=300) | JSON.map(encoded))
def test_whatever_comes_is_refused_and_never_breaks(body: bytes) -> None:
    assert refused(body).status == 400


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(list(chat_body(n=1, stop=1, tools=1, smcs=1, user=1, stream=1))), JSON))
def test_values_of_any_kind_in_known_fields_never_break(fields: dict[str, Any]) -> None:
    with contextlib.suppress(GatewayError):
        parse_chat(encoded({**chat_body(), **fields}))

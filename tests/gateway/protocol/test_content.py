"""From the protocol's messages to a conversation of texts, and the text that similar questions are searched with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_protocol import chat
from smcs.gateway.errors import GatewayError
from smcs.gateway.protocol import conversation, query_of, retrieval_text
from smcs.gateway.protocol.content import SHORT_TURN
from smcs.types import Message

LONG = "Explain in detail why the sky is blue, and say which role Rayleigh scattering plays in it."


def said(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def turns(*messages: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((turn.role, turn.content) for turn in conversation(chat(*messages).messages))


def searched(*messages: dict[str, Any], **options: Any) -> str:
    return retrieval_text(chat(*messages).messages, **options)


def test_instructions_come_first_in_one_system_message() -> None:
    assert turns(
        said("system", "Be brief."), said("user", "Hi"), said("developer", "Be kind."), said("user", "And now?")
    ) == (("system", "Be brief.\n\nBe kind."), ("user", "Hi"), ("user", "And now?"))


def test_parts_and_names_become_text() -> None:
    parts = [{"type": "text", "text": "Hello."}, {"type": "text", "text": "You there?"}]
    assert turns(said("user", parts, name="ann")) == (("user", "ann: Hello.\nYou there?"),)


def test_tool_calls_and_their_results_become_readable() -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}},
        {"id": "2", "type": "custom", "custom": {"name": "shell", "input": "date"}},
    ]
    assert turns(
        said("user", "What is it like?"),
        said("assistant", "Let me see.", tool_calls=calls),
        said("tool", "18 degrees", tool_call_id="1"),
        said("tool", [{"type": "text", "text": "Monday"}], tool_call_id="2"),
        said("tool", "lost", tool_call_id="3"),
    ) == (
        ("user", "What is it like?"),
        ("assistant", 'Let me see.\n\n[called weather with {"city": "Paris"}]\n\n[called shell with date]'),
        ("user", "[weather returned: 18 degrees]\n\n[shell returned: Monday]\n\n[tool returned: lost]"),
    )


def test_deprecated_functions_become_readable_too() -> None:
    call = {"name": "f", "arguments": "{}"}
    assert turns(
        said("user", "Go"), said("assistant", None, function_call=call), said("function", "done", name="f")
    ) == (("user", "Go"), ("assistant", "[called f with {}]"), ("user", "[f returned: done]"))


def test_reasoning_of_earlier_turns_is_shown_to_nobody() -> None:
    earlier = said("assistant", "42", reasoning_content="SECRET", reasoning="SECRET", reasoning_details=["SECRET"])
    shown = turns(said("user", "6 x 7?"), earlier, said("user", "Sure?"))
    assert shown == (("user", "6 x 7?"), ("assistant", "42"), ("user", "Sure?"))


def test_refusals_are_what_an_assistant_said() -> None:
    earlier = said("assistant", [{"type": "refusal", "refusal": "I will not."}])
    assert turns(said("user", "a"), earlier, said("user", "b"))[1] == ("assistant", "I will not.")
    assert turns(said("user", "a"), said("assistant", None, refusal="No."), said("user", "b"))[1][1] == "No."


def test_turns_without_a_text_are_left_out() -> None:
    assert turns(said("user", "a"), said("assistant", ""), said("user", "b")) == (("user", "a"), ("user", "b"))


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([said("user", "a"), said("assistant", "b")], "messages[1]"),
        ([said("system", "a")], "messages[0]"),
        ([said("user", "  ")], "messages[0]"),
        ([said("user", "a"), said("user", "")], None),
    ],
)
def test_a_chat_ends_with_the_user(messages: list[dict[str, Any]], param: str | None) -> None:
    if param is None:
        assert turns(*messages) == (("user", "a"),)
        return
    with pytest.raises(GatewayError) as caught:
        turns(*messages)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_what_is_no_text_is_refused_with_its_place() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(GatewayError, match="image_url") as caught:
        turns(said("user", "a"), said("user", [{"type": "text", "text": "b"}, image]))
    assert caught.value.param == "messages[1].content[1]"
    with pytest.raises(GatewayError) as caught:
        turns(said("user", "a"), said("assistant", None, audio={"id": "x"}), said("user", "b"))
    assert caught.value.param == "messages[1].audio"


def test_a_full_question_is_searched_alone() -> None:
    assert len(LONG) >= SHORT_TURN
    assert searched(said("user", "Something else"), said("assistant", "Yes"), said("user", LONG)) == LONG


def test_a_follow_up_brings_the_question_it_follows_up() -> None:
    chat_so_far = [
        said("system", "You know the weather."),
        said("user", LONG),
        said("assistant", "It is 64 degrees Fahrenheit."),
        said("user", "Thanks. How warm is it in Paris in May?"),
        said("assistant", "64 degrees Fahrenheit."),
        said("user", "and in Celsius?"),
    ]
    expected = f"{LONG}\nThanks. How warm is it in Paris in May?\nand in Celsius?"
    assert searched(*chat_so_far) == expected


def test_neither_tools_nor_assistants_nor_instructions_are_searched() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "ARGS"}}
    found = searched(
        said("system", "SYSTEM"),
        said("developer", "DEVELOPER"),
        said("user", "Short?"),
        said("assistant", "ASSISTANT", tool_calls=[call]),
        said("tool", "TOOL", tool_call_id="1"),
    )
    assert found == "Short?"


def test_a_text_over_the_limit_keeps_both_ends_of_the_last_turn() -> None:
    found = searched(said("user", "Once."), said("user", "BEGIN" + "x" * 5_000 + "END"), limit_chars=100)
    assert len(found) == 100
    assert found.startswith("BEGIN")
    assert found.endswith("END")
    found = searched(said("user", "BEGIN" + "x" * 5_000 + "END"), said("user", "Why?"), limit_chars=100)
    assert len(found) == 100
    assert found.startswith("BEGIN")
    assert found.endswith("END\nWhy?")


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=120)), min_size=1, max_size=8))
def test_the_search_text_is_bounded_and_ends_as_the_user_did(talk: list[tuple[str, str]]) -> None:
    messages = [said(role, text.encode("utf-8", "ignore").decode()) for role, text in talk]
    found = searched(*messages, limit_chars=150)
    users = [str(each["content"]).replace("\x00", "").strip() for each in messages if each["role"] == "user"]
    texts = [text for text in users if text]
    assert len(found) <= 150
    assert "\x00" not in found
    assert found.endswith(texts[-1]) if texts else found == ""


def test_a_query_holds_both() -> None:
    query = query_of(chat(said("system", "Be brief."), said("user", "6 x 7?")).messages)
    assert query.text == "6 x 7?"
    assert query.messages == (Message("system", "Be brief."), Message("user", "6 x 7?"))
    assert query.task == ""


def test_a_query_needs_words_of_a_user() -> None:
    with pytest.raises(GatewayError):
        query_of(chat(said("tool", "18 degrees", tool_call_id="1")).messages)

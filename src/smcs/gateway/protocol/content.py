"""From a chat in the protocol's words to what a collaboration works with: texts, a conversation, a query.

Every stage of a run is shown the same conversation, and none of its LLMs is given tools, so whatever a chat holds
becomes text here. Who said what stays visible; nothing is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from smcs.gateway.errors import invalid_request, unsupported
from smcs.gateway.protocol.messages import (
    AssistantMessage,
    ChatMessage,
    CustomToolCall,
    FunctionMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from smcs.run import Query
from smcs.types import Message, Role

__all__ = ("SHORT_TURN", "conversation", "query_of", "retrieval_text", "text_of")

SHORT_TURN: Final = 80
"""A user's turn below this many characters is taken for a follow-up, which says little on its own."""

_LIMIT: Final = 2_000
_NUL: Final = re.compile("\x00")


def text_of(message: ChatMessage) -> str:
    """Return the text of a message: its text parts (and refusals), one below the other; images and files have none."""
    if isinstance(message, AssistantMessage):
        pieces = [message.content] if isinstance(message.content, str) else []
        if isinstance(message.content, list):
            pieces = [part.text if part.type == "text" else part.refusal for part in message.content]
        return "\n".join([*pieces, *([message.refusal] if message.refusal else [])])
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content if part.type == "text")
    return message.content or ""


def conversation(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Return a chat as every LLM of a collaboration is shown it.

    - All `system` and `developer` messages become one system message at the start, in their order: templates of many
      local models know no other place for it.
    - An assistant's tool calls become text in its turn (`[called get_weather with {"city": "Paris"}]`), and what the
      tools returned becomes a user's turn (`[get_weather returned: 18 degrees]`), several results one turn.
    - The `name` of a participant stands before what was said (`Ann: ...`).
    - Turns of one role may follow one another; they stay apart.
    - Turns without a text are left out.

    Raises:
        GatewayError: 400; a part is not text, or the chat does not end with a user or a tool.
    """
    instructions: list[str] = []
    turns: list[Message] = []
    called: dict[str, str] = {}
    results: list[str] = []
    for i, message in enumerate(messages):
        _refuse_other_than_text(i, message)
        if isinstance(message, ToolMessage | FunctionMessage):
            results.append(_result(message, called))
            continue
        turns += _turn("user", results)
        results = []
        if isinstance(message, AssistantMessage):
            called |= {call.id: _name(call) for call in message.tool_calls or ()}
            turns += _turn("assistant", _spoken(message))
        else:
            said = [_named(message.name, text_of(message))]
            if message.role == "user":
                turns += _turn("user", said)
            else:
                instructions += said
    turns += _turn("user", results)
    last = len(messages) - 1
    if not turns or messages[last].role not in ("user", "tool", "function") or turns[-1].role != "user":
        raise invalid_request(
            "The chat must end with a text of the user or the result of a tool.", f"messages[{last}]", "invalid_value"
        )
    return (*_turn("system", instructions), *turns)


def retrieval_text(messages: Sequence[ChatMessage], *, limit_chars: int = _LIMIT) -> str:
    """Return the text that similar bank questions are searched with.

    The rule: the user's last turn, and while the text so far is shorter than `SHORT_TURN` (80) characters, the user's
    turn before it, put in front. So "and in Celsius?" brings the question it follows up, and a full question stands
    alone. Only the user's own words count: what assistants and tools said, and instructions, would pull the search
    towards themselves. A text over the limit keeps its beginning and its end, half each, because the question stands
    at one of them; the last turn is kept before earlier ones are.

    Args:
        messages: The chat.
        limit_chars: Most characters, at least 16.

    Returns:
        The text without NUL characters; empty when no user said anything.
    """
    said = [_NUL.sub("", text).strip() for text in _user_turns(messages)]
    chosen = ""
    for text in reversed([text for text in said if text]):
        if len(chosen) >= SHORT_TURN:
            break
        if not chosen:
            chosen = _shortened(text, limit_chars)
        elif (room := limit_chars - len(chosen) - 1) >= 16:
            chosen = f"{_shortened(text, room)}\n{chosen}"
    return chosen


def query_of(messages: Sequence[ChatMessage]) -> Query:
    """Return what a strategy is asked: the conversation, and the text it retrieves similar questions for.

    Raises:
        GatewayError: 400; see `conversation`, or no user said anything.
    """
    turns = conversation(messages)
    text = retrieval_text(messages)
    if not text:
        raise invalid_request("No message of the user has a text.", "messages", "invalid_value")
    return Query(text, turns)


def _user_turns(messages: Iterable[ChatMessage]) -> Iterable[str]:
    return (text_of(message) for message in messages if isinstance(message, UserMessage))


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = (limit - 3) // 2
    return f"{text[: limit - 3 - half]}...{text[-half:]}"


def _refuse_other_than_text(i: int, message: ChatMessage) -> None:
    if isinstance(message, AssistantMessage):
        if message.audio is not None:
            raise unsupported(f"messages[{i}].audio", "Audio of an earlier answer cannot be shown to other LLMs.")
    elif isinstance(message, UserMessage) and not isinstance(message.content, str):
        for j, part in enumerate(message.content):
            if part.type != "text":
                why = f"A part of type {part.type!r} cannot be shown to every LLM; send text."
                raise unsupported(f"messages[{i}].content[{j}]", why)


def _turn(role: Role, pieces: Sequence[str]) -> list[Message]:
    text = "\n\n".join(piece for piece in pieces if piece.strip())
    return [Message(role, text)] if text else []


def _spoken(message: AssistantMessage) -> list[str]:
    calls = [f"[called {_name(call)} with {_input(call)}]" for call in message.tool_calls or ()]
    if message.function_call is not None:
        calls.append(f"[called {message.function_call.name} with {message.function_call.arguments}]")
    return [_named(message.name, text_of(message)), *calls]


def _name(call: ToolCall | CustomToolCall) -> str:
    return call.function.name if call.type == "function" else call.custom.name


def _input(call: ToolCall | CustomToolCall) -> str:
    return call.function.arguments if call.type == "function" else call.custom.input


def _result(message: ToolMessage | FunctionMessage, called: dict[str, str]) -> str:
    name = message.name if isinstance(message, FunctionMessage) else called.get(message.tool_call_id, message.name)
    return f"[{name or 'tool'} returned: {text_of(message)}]"


def _named(name: str | None, text: str) -> str:
    return f"{name}: {text}" if name and text.strip() else text

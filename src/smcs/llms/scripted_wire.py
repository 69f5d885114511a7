"""What a scripted LLM reads and writes when a raw OpenAI request passes through it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from smcs.types import Choice, Message, Request, Role, Sampling, Usage

__all__ = ("Said", "completion_body", "completion_events", "read_request", "wants_tools", "words")

_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "assistant": "assistant"}
_FINISH = {"stop": "stop", "length": "length", "other": "content_filter"}
_WORD = re.compile(r"\s*\S+\s*$|\s*\S+")
_ARGUMENT_PIECE = 8


@dataclass(frozen=True, slots=True)
class Said:
    """One choice, and the tools it calls as pairs of a name and JSON arguments."""

    choice: Choice
    tool_calls: Sequence[tuple[str, str]] = ()

    @property
    def finish_reason(self) -> str:
        """OpenAI's word for why it ended."""
        return "tool_calls" if self.tool_calls else _FINISH[self.choice.finish_reason]


def words(text: str) -> list[str]:
    """Cut a text into its words, the white space with them: the tokens of a scripted LLM."""
    return _WORD.findall(text)


def wants_tools(body: Mapping[str, Any]) -> bool:
    """Return whether a body offers tools."""
    return bool(body.get("tools")) and body.get("tool_choice") != "none"


def read_request(body: Mapping[str, Any]) -> Request:
    """Return what a script needs of a body: texts (a tool's result as a user turn), sampling, `n` and `logprobs`."""
    stop = body.get("stop")
    sampling = Sampling(
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        presence_penalty=body.get("presence_penalty"),
        frequency_penalty=body.get("frequency_penalty"),
        seed=body.get("seed"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        response_format=body.get("response_format"),
    )
    messages = tuple(Message(_ROLES.get(turn["role"], "user"), _text(turn.get("content"))) for turn in body["messages"])
    return Request(messages, sampling=sampling, n=body.get("n") or 1, logprobs=bool(body.get("logprobs")))


def completion_body(llm: str, number: int, said: Sequence[Said], usage: Usage) -> bytes:
    """Return a whole chat completion.

    Args:
        llm: Name, given as the model.
        number: Of the call, for the id.
        said: The choices.
        usage: Tokens.
    """
    choices = []
    for index, one in enumerate(said):
        message: dict[str, Any] = {"role": "assistant", "content": one.choice.text or None}
        if one.choice.reasoning:
            message["reasoning_content"] = one.choice.reasoning
        if one.tool_calls:
            message["tool_calls"] = [_call(number, index, at, *call) for at, call in enumerate(one.tool_calls)]
        logprobs = None if one.choice.logprobs is None else {"content": _tokens(one.choice)}
        choices.append(_choice(index, "message", message, one.finish_reason, logprobs))
    head = _head(llm, number, "chat.completion")
    return msgspec.json.encode({**head, "choices": choices, "usage": _usage(usage)})


def completion_events(llm: str, number: int, said: Sequence[Said], usage: Usage) -> list[bytes]:
    """Return the events of a streamed chat completion without `[DONE]`; args as `completion_body`."""
    head = _head(llm, number, "chat.completion.chunk")
    events = [
        {**head, "choices": [piece], "usage": None}
        for index, one in enumerate(said)
        for piece in _pieces(number, index, one)
    ]
    return [msgspec.json.encode(event) for event in (*events, {**head, "choices": [], "usage": _usage(usage)})]


def _pieces(number: int, index: int, said: Said) -> Iterator[dict[str, Any]]:
    yield _choice(index, "delta", {"role": "assistant", "content": "" if said.choice.text else None})
    if said.choice.reasoning:
        yield _choice(index, "delta", {"reasoning_content": said.choice.reasoning})
    tokens = None if said.choice.logprobs is None else _tokens(said.choice)
    pieces = words(said.choice.text)
    for at, word in enumerate(pieces):
        end = at + 1 if at + 1 < len(pieces) else None
        yield _choice(index, "delta", {"content": word}, None, tokens and {"content": tokens[at:end]})
    for at, (name, arguments) in enumerate(said.tool_calls):
        yield _choice(index, "delta", {"tool_calls": [{"index": at, **_call(number, index, at, name, "")}]})
        for start in range(0, len(arguments), _ARGUMENT_PIECE):
            part = {"index": at, "function": {"arguments": arguments[start : start + _ARGUMENT_PIECE]}}
            yield _choice(index, "delta", {"tool_calls": [part]})
    yield _choice(index, "delta", {}, said.finish_reason)


def _choice(
    index: int, kind: str, content: Mapping[str, Any], finish: str | None = None, logprobs: Any = None
) -> dict[str, Any]:
    return {"index": index, kind: content, "logprobs": logprobs, "finish_reason": finish}


def _head(llm: str, number: int, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{llm}-{number}", "object": kind, "created": 0, "model": llm}


def _call(number: int, index: int, at: int, name: str, arguments: str) -> dict[str, Any]:
    called = {"name": name, "arguments": arguments}
    return {"id": f"call_{number}_{index}_{at}", "type": "function", "function": called}


def _tokens(choice: Choice) -> list[dict[str, Any]]:
    texts = words(choice.text)
    return [
        {"token": text, "logprob": value, "bytes": list(text.encode()), "top_logprobs": []}
        for at, value in enumerate(choice.logprobs or ())
        for text in [texts[at] if at < len(texts) else ""]
    ]


def _usage(usage: Usage) -> dict[str, Any]:
    total = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part.get("text") or "" for part in parts if part.get("type") == "text")

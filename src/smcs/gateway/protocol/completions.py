"""Chat completions as they leave: one JSON object, or a stream of chunks.

The bytes of a chunk that are the same for the whole stream are put together once; a piece of text then costs the
encoding of one string.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Literal

import msgspec

from smcs.gateway.errors import GatewayError
from smcs.gateway.protocol.info import SmcsInfo
from smcs.gateway.protocol.sse import DONE, error_event
from smcs.types import FinishReason, Usage

__all__ = (
    "ChatFinish",
    "ChatStream",
    "FinishedChoice",
    "TokenLogprob",
    "ToolInvocation",
    "chat_finish",
    "completion",
    "completion_id",
    "relabelled",
    "system_fingerprint",
    "usage_dict",
)

ChatFinish = Literal["stop", "length", "tool_calls", "content_filter"]
"""Why a choice ended, in the protocol's words."""

_ENCODED_FINISH: Final[Mapping[str, bytes]] = {
    reason: msgspec.json.encode(reason) for reason in ("stop", "length", "tool_calls", "content_filter")
}
_relabel_decoder: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and how likely it was."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ToolInvocation:
    """A function the assistant wants called."""

    id: str
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class FinishedChoice:
    """One of the answers of a completion."""

    text: str | None
    _: KW_ONLY
    finish_reason: ChatFinish = "stop"
    tool_calls: tuple[ToolInvocation, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    reasoning: str = ""
    """Shown as `reasoning_content`, where the client asked for thinking."""


def chat_finish(reason: FinishReason) -> ChatFinish:
    """Return the protocol's word for why a text ended; what only the endpoint has a word for is a stop."""
    return "length" if reason == "length" else "stop"


def completion_id(run_id: str) -> str:
    """Return the id of the completion of a run."""
    return f"chatcmpl-{run_id}"


def system_fingerprint(config_version: str) -> str:
    """Return a word that changes when what answers changes: the version of smcs and of its configuration."""
    return f"fp_{hashlib.sha256(config_version.encode()).hexdigest()[:12]}"


def usage_dict(usage: Usage) -> dict[str, Any] | None:
    """Return the `usage` object; `None` when an LLM did not say how much it read or wrote, as unknown is not zero."""
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    counted: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if usage.cached_tokens is not None:
        counted["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    return counted


def completion(
    run_id: str,
    model: str,
    choices: Sequence[FinishedChoice],
    usage: Usage,
    *,
    smcs: SmcsInfo,
    created: int,
    fingerprint: str | None = None,
) -> bytes:
    """Return the JSON of a chat completion.

    Args:
        run_id: Id of the run.
        model: Name the client asked for.
        choices: The answers.
        usage: Tokens of all LLM calls together.
        smcs: What is said of the run.
        created: Unix time in seconds.
        fingerprint: See `system_fingerprint`.
    """
    return msgspec.json.encode(
        {
            "id": completion_id(run_id),
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [_choice(index, choice) for index, choice in enumerate(choices)],
            "usage": usage_dict(usage),
            "system_fingerprint": fingerprint,
            "smcs": smcs.to_dict(),
        }
    )


def relabelled(payload: bytes, *, run_id: str, model: str, smcs: SmcsInfo | None = None) -> bytes:
    """Return a completion or chunk of an endpoint under our id and the model's name; all else passes untouched.

    Args:
        payload: JSON of the endpoint.
        run_id: Id of the run.
        model: Name the client asked for.
        smcs: What is said of the run, if it is to be added.

    Raises:
        msgspec.DecodeError: The payload is not a JSON object.
    """
    fields: dict[str, Any] = dict(_relabel_decoder.decode(payload))
    fields |= {"id": completion_id(run_id), "model": model}
    if smcs is not None:
        fields["smcs"] = smcs.to_dict()
    return msgspec.json.encode(fields)


class ChatStream:
    """The events of one streamed chat completion, as bytes to send.

    Order: `role` of each choice, then any number of `reasoning` and `content`, `finish` of each choice, `close`. A
    stream that breaks off ends with `failed` instead, which no client takes for success.

    Args:
        run_id: Id of the run.
        model: Name the client asked for.
        created: Unix time in seconds.
        fingerprint: See `system_fingerprint`.
        include_usage: Whether the client asked for a usage chunk; every other chunk then says `"usage": null`.
    """

    def __init__(
        self, run_id: str, model: str, *, created: int, fingerprint: str | None = None, include_usage: bool = False
    ) -> None:
        head = {
            "id": completion_id(run_id),
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "system_fingerprint": fingerprint,
        }
        self._head = b"data: " + msgspec.json.encode(head)[:-1] + b',"choices":['
        self._include_usage = include_usage
        self._usage = b',"usage":null' if include_usage else b""
        self._end = b"]" + self._usage + b"}\n\n"

    def role(self, index: int = 0) -> bytes:
        """Begin a choice."""
        return self._chunk(b'"role":"assistant","content":""', index)

    def reasoning(self, text: str, index: int = 0) -> bytes:
        """Show a piece of thinking, for clients that read `reasoning_content`."""
        return self._chunk(b'"reasoning_content":' + msgspec.json.encode(text), index)

    def content(self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None) -> bytes:
        """Hand out a piece of the answer."""
        shown = b"null" if logprobs is None else msgspec.json.encode({"content": logprobs, "refusal": None})
        return self._chunk(b'"content":' + msgspec.json.encode(text), index, logprobs=shown)

    def tool_call(self, position: int, call: ToolInvocation, index: int = 0) -> bytes:
        """Hand out a whole tool call, the `position`-th of its choice."""
        delta = {"index": position, **_tool_call(call)}
        return self._chunk(b'"tool_calls":' + msgspec.json.encode([delta]), index)

    def finish(self, reason: ChatFinish, index: int = 0, *, smcs: SmcsInfo | None = None) -> bytes:
        """End a choice; the last one carries what is said of the run."""
        info = b"" if smcs is None else b',"smcs":' + msgspec.json.encode(smcs.to_dict())
        choice = self._choice(b"", index, finish=_ENCODED_FINISH[reason])
        return self._head + choice + b"]" + self._usage + info + b"}\n\n"

    def close(self, usage: Usage) -> bytes:
        """End the stream: the usage chunk, if the client asked for it, and `[DONE]`."""
        if not self._include_usage:
            return DONE
        return self._head + b'],"usage":' + msgspec.json.encode(usage_dict(usage)) + b"}\n\n" + DONE

    def failed(self, error: GatewayError) -> bytes:
        """Break the stream off: an error event, and no `[DONE]`."""
        return error_event(error)

    def _chunk(self, delta: bytes, index: int, *, logprobs: bytes = b"null") -> bytes:
        return self._head + self._choice(delta, index, logprobs=logprobs) + self._end

    def _choice(self, delta: bytes, index: int, *, logprobs: bytes = b"null", finish: bytes = b"null") -> bytes:
        return b'{"index":%d,"delta":{%s},"logprobs":%s,"finish_reason":%s}' % (index, delta, logprobs, finish)


def _choice(index: int, choice: FinishedChoice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in choice.tool_calls]
    logprobs = None if choice.logprobs is None else {"content": choice.logprobs, "refusal": None}
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": choice.finish_reason}


def _tool_call(call: ToolInvocation) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}

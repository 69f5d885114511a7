"""An endpoint that answers at once, or after a while, in a process of its own: chat completions and embeddings.

    python benchmarks/gateway/upstream.py [--seconds 0.2] [--pause 0.5] [--fails 0.02]

A bare asyncio protocol whose bodies are made beforehand, so that it takes little of the machine that is measured. A
chat has as many tokens as `max_tokens` says (at most 300), with log-probabilities where they are asked for, and
`GET /stats` counts. The first line of standard output is the base URL; it ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import sys
import zlib
from functools import cache
from typing import Any, cast

import msgspec
import numpy as np
import uvloop

PROMPT_TOKENS, MOST_TOKENS, DIMENSIONS, TEXTS = 50, 300, 384, 16
"""Of every answer; most tokens of one; length of a vector; answers that differ."""


class Asked(msgspec.Struct):
    """What is looked at of a body."""

    model: str = ""
    stream: bool = False
    logprobs: bool | None = False
    n: int | None = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    input: str | list[str] | None = None


def words_of(text: int, tokens: int) -> list[str]:
    return [f" word{(text * 31 + i) % 97}" for i in range(tokens)]


def token(word: str, i: int) -> dict[str, Any]:
    entry = {"token": word, "logprob": -0.01 * (i % 40) - 1e-7, "bytes": None}
    return {**entry, "top_logprobs": [entry]}


def usage_of(tokens: int, n: int) -> dict[str, int]:
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": n * tokens, "total_tokens": PROMPT_TOKENS + n * tokens}


@cache
def whole(text: int, tokens: int, logprobs: bool, n: int) -> bytes:
    """Return a response that is not streamed."""
    words = words_of(text, tokens)
    told = {"content": [token(word, i) for i, word in enumerate(words)]} if logprobs else None
    message = {"role": "assistant", "content": "".join(words)}
    choices = [{"index": i, "message": message, "finish_reason": "stop", "logprobs": told} for i in range(n)]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "upstream"}
    return http(json.dumps({**head, "choices": choices, "usage": usage_of(tokens, n)}, separators=(",", ":")).encode())


@cache
def streamed(text: int, tokens: int, logprobs: bool) -> tuple[bytes, ...]:
    """Return the head of a streamed response, then each of its events as a chunk of its own."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "upstream"}

    def event(delta: dict[str, Any], finish: str | None = None, told: Any = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": told}
        return chunk({**head, "choices": [choice]})

    pieces = [event({"role": "assistant", "content": ""})]
    for i, word in enumerate(words_of(text, tokens)):
        pieces.append(event({"content": word}, told={"content": [token(word, i)]} if logprobs else None))
    pieces.append(event({}, "stop"))
    pieces.append(chunk({**head, "choices": [], "usage": usage_of(tokens, 1)}))
    start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    end = b"data: [DONE]\n\n"
    return (start, *pieces, b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))


def chunk(event: dict[str, Any]) -> bytes:
    data = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def http(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@cache
def vectors() -> list[bytes]:
    drawn = np.random.default_rng(0).standard_normal((997, DIMENSIONS)).astype("<f4")
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return [base64.b64encode(row.tobytes()) for row in drawn]


def embeddings(texts: list[str]) -> bytes:
    known = vectors()
    rows = (
        b'{"object":"embedding","index":%d,"embedding":"%b"}' % (i, known[zlib.crc32(text.encode()) % len(known)])
        for i, text in enumerate(texts)
    )
    return http(b'{"object":"list","model":"embed","data":[%b]}' % b",".join(rows))


class Upstream:
    """What all connections share.

    Args:
        seconds: Before the first byte of every answer.
        pause: Seconds between two events of a stream; 0 sends all at once.
        fails: Share of chats that are answered with 503.
    """

    def __init__(self, seconds: float, pause: float, fails: float) -> None:
        self.seconds, self.pause, self.fails = seconds, pause, fails
        self.counts = {"chats": 0, "failed": 0, "answered": 0, "embeddings": 0, "connections": 0}
        self.decoder = msgspec.json.Decoder(Asked)
        self.rng = random.Random(0)


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, just enough for what is measured."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._upstream.counts["connections"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        self._upstream.counts["connections"] -= 1

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            size = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + size:
                return
            body = self._buffer[end + 4 : end + 4 + size]
            self._buffer = self._buffer[end + 4 + size :]
            self._answer(head.split(b" ", 2)[1], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        upstream = self._upstream
        if not path.startswith(b"/v1/"):
            self._transport.write(http(json.dumps(upstream.counts).encode()))
            return
        asked = upstream.decoder.decode(body) if body else Asked()
        loop = asyncio.get_running_loop()
        if upstream.seconds:
            loop.call_later(upstream.seconds, self._send, path, asked)
        else:
            self._send(path, asked)

    def _send(self, path: bytes, asked: Asked) -> None:
        upstream, write = self._upstream, self._transport.write
        if path.endswith(b"/embeddings"):
            upstream.counts["embeddings"] += 1
            write(embeddings([asked.input] if isinstance(asked.input, str) else asked.input or []))
            return
        if not path.endswith(b"/completions"):
            write(http(b'{"object":"list","data":[{"id":"upstream","object":"model"}]}'))
            return
        upstream.counts["chats"] += 1
        if upstream.fails and upstream.rng.random() < upstream.fails:
            upstream.counts["failed"] += 1
            write(http(b'{"error":{"message":"scripted breakdown"}}', "503 Service Unavailable"))
            return
        upstream.counts["answered"] += 1
        tokens = min(asked.max_completion_tokens or asked.max_tokens or MOST_TOKENS, MOST_TOKENS)
        text = upstream.counts["chats"] % TEXTS
        if not asked.stream:
            write(whole(text, tokens, bool(asked.logprobs), asked.n or 1))
            return
        pieces = streamed(text, tokens, bool(asked.logprobs))
        if upstream.pause:
            write(pieces[0])
            self._send_from(pieces, 1)
        else:
            write(b"".join(pieces))

    def _send_from(self, pieces: tuple[bytes, ...], at: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(pieces[at])
        if at + 1 < len(pieces):
            asyncio.get_running_loop().call_later(self._upstream.pause, self._send_from, pieces, at + 1)


async def serve(upstream: Upstream) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.0, help="before the first byte of an answer")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two events of a stream")
    parser.add_argument("--fails", type=float, default=0.0, help="share of chats that fail")
    options = parser.parse_args()
    uvloop.run(serve(Upstream(options.seconds, options.pause, options.fails)))


if __name__ == "__main__":
    main()

"""What the gateway writes to its log: one JSON object a line, and nothing that was said or that opens a door.

A request is one line of ids, names, counts and sums. Prompts and answers appear only where `log_texts` is on, and
because messages of upstream errors may quote them, errors are logged by their kind. Lines are written by a thread, so a
slow terminal or pipe never holds the event loop up.
"""

from __future__ import annotations

import json
import logging
import queue
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

from smcs.gateway.entries import Entry, asked_last
from smcs.llms.untrusted import one_line

__all__ = (
    "DEGRADED_KINDS",
    "JsonFormatter",
    "RequestLine",
    "SecretFilter",
    "degraded_kind",
    "log_request",
    "redact",
    "structured_logs",
)

_log = logging.getLogger("smcs.gateway.requests")
_LOGGERS: Final = ("smcs", "uvicorn", "asyncio", "nicegui")
_MAX_NAME: Final = 200
_MAX_TEXT: Final = 20_000
_MAX_CAUSES: Final = 5
_GATHER_SECONDS: Final = 0.02
"""How long a line may wait for others, since each time the thread wakes up the event loop has to wait for it."""
_TEXTS: Final = ("question", "answer")

_SECRETS: Final = (
    # RFC 6750, section 2.1, also inside a dumped header or a URL
    (("bearer",), re.compile(r"(?i)\b(bearer)(?:\s+|%20|\+)[\w.~+/=-]{6,}"), r"\1 ***"),
    # keys that say who issued them, ours (sk-smcs-) among them
    (("sk-", "pk-", "rk-"), re.compile(r"(?<![A-Za-z0-9])((?:sk|pk|rk)-)[\w-]{6,}"), r"\1***"),
    (
        ("hf_", "gsk_", "ghp_", "gho_", "pplx-", "xai-", "nvapi-", "r8_", "aiza", "akia"),
        re.compile(r"(?<![A-Za-z0-9])(hf_|gsk_|gh[op]_|pplx-|xai-|nvapi-|r8_|AIza|AKIA)[\w-]{16,}"),
        r"\1***",
    ),
    # JSON web tokens (RFC 7519)
    (("eyj",), re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"), "***"),
    # passwords inside URLs
    (("://",), re.compile(r"(://[^\s/:@\"'\\]*:)[^\s/@\"'\\]+@"), r"\1***@"),
    # secrets with a name: api_key=..., "X-API-Key": "...", password: ..., Authorization: Basic ...
    (
        ("key", "authorization", "token", "secret", "passw"),
        re.compile(
            r"(?i)\b((?:x-)?api[-_]?key|(?:proxy-)?authorization|access[-_]?token|client[-_]?secret|passw(?:or)?d|secret)"
            r"([\"']?\s*[:=]\s*[\"']?)(?!bearer)(?:basic\s+)?[^\s\"',;&}\\]+"
        ),
        r"\1\2***",
    ),
)
"""What must stand somewhere in a text in lower case (looked for first, because that is cheap), pattern, replacement."""

_HINTS: Final = re.compile("|".join(re.escape(hint) for hints, _, _ in _SECRETS for hint in hints), re.IGNORECASE)
"""Whether there is anything to look for at all: most texts are names and numbers."""

_DEGRADED: Final = (
    ("not_merged", re.compile(r"nothing was merged|no candidate:")),
    ("no_reference", re.compile(r"no reference arrived")),
    ("reference_replaced", re.compile(r"reference lost: .*took its place", re.DOTALL)),
    ("reference_lost", re.compile(r"reference lost:")),
    ("references_given_up", re.compile(r"references given up:")),
    ("references_shortened", re.compile(r"references shortened")),
    ("aggregation_lost", re.compile(r"aggregation lost:")),
    ("candidates_missing", re.compile(r"\S+ of \S+ candidates were scored")),
    ("samples_missing", re.compile(r"sample lost:|\S+ of \S+ samples of |.{1,200}? gave no sample, ")),
    ("llm_out", re.compile(r"out, (so not asked|but there is nobody else)")),
    ("answer_shortened", re.compile(r"what was handed out while ")),
    ("layer_lost", re.compile(r"no LLM answered in layer")),
    ("score_incomplete", re.compile(r"(perplexity|similarity) left out of the score")),
    ("compared_as_text", re.compile(r"answers were compared as plain text")),
    ("no_answer_found", re.compile(r"no answer was found in any text")),
    ("votes_unknown", re.compile(r"nothing could be learned about votes")),
    ("no_bank", re.compile(r"no question bank")),
    ("nobody_in_bank", re.compile(r"the bank knows none of the LLMs")),
    ("not_embedded", re.compile(r"the question could not be embedded")),
    ("prior_unknown", re.compile(r"no graded answer of")),
    ("no_support", re.compile(r"no support questions")),
    ("routing_fell_back", re.compile(r"mixed routing fell back|answers were compared by length alone")),
    ("shrunk", re.compile(r"max_(calls|usd|seconds)\b")),
    ("llm_failed", re.compile(r".{1,200}? did not answer \(")),
)

DEGRADED_KINDS: Final = (*(kind for kind, _ in _DEGRADED), "other")
"""Every kind of reason for which an answer is less than was asked for."""


def degraded_kind(reason: str) -> str:
    """Return the kind of a reason in `Run.degraded`, which itself may quote what an upstream said."""
    return next((kind for kind, pattern in _DEGRADED if pattern.match(reason)), "other")


def redact(text: str) -> str:
    """Return a text without what looks like a key, a token or a password."""
    if _HINTS.search(text) is None:
        return text
    lower = text.lower()
    for hints, pattern, replacement in _SECRETS:
        if any(hint in lower for hint in hints):
            text = pattern.sub(replacement, text)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """What is logged of one request."""

    endpoint: str
    model: str
    status: str
    """How it ended: ok, degraded, failed, cancelled or refused."""
    http_status: int
    seconds: float
    """Wall time from its first to its last byte."""
    run_id: str | None = None
    strategy: str | None = None
    key_id: str | None = None
    """Id of the key, never the key."""
    streamed: bool = False
    cached: bool = False
    calls: int = 0
    prompt_tokens: int | None = None
    """`None` where an upstream did not report it."""
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """USD; `None` where a price is unknown."""
    degraded: Sequence[str] = ()
    """`Run.degraded`; logged by kind."""
    error: str | None = None
    """Code or class of the error, never its message."""
    question: str | None = None
    """Logged only where texts are switched on."""
    answer: str | None = None
    """Logged only where texts are switched on."""

    @classmethod
    def of(cls, entry: Entry, *, error: str | None = None) -> RequestLine:
        """Return the line of a request that is in the ledger.

        Args:
            entry: What the ledger was given.
            error: Code or class of the error; the message in the entry is not taken.
        """
        record = entry.record
        return cls(
            endpoint=entry.endpoint,
            model=entry.model,
            status=entry.status,
            http_status=entry.http_status,
            seconds=entry.seconds,
            run_id=entry.id,
            strategy=entry.strategy or None,
            key_id=entry.key_id or None,
            streamed=entry.streamed,
            cached=entry.cached,
            calls=entry.calls,
            prompt_tokens=entry.prompt_tokens,
            completion_tokens=entry.completion_tokens,
            cost_usd=entry.cost_usd,
            degraded=entry.degraded,
            error=error,
            question=entry.question if record is None else asked_last(record),
            answer=None if record is None else record.answer,
        )


_LINE_FIELDS: Final = tuple(field.name for field in fields(RequestLine))


def log_request(line: RequestLine) -> None:
    """Log a request: level INFO, WARNING where it failed, ERROR where this server is to blame (500)."""
    level = logging.ERROR if line.http_status == 500 else logging.WARNING if line.status == "failed" else logging.INFO
    if not _log.isEnabledFor(level):
        return
    shown = {name: getattr(line, name) for name in _LINE_FIELDS}
    shown["degraded"] = sorted({degraded_kind(reason) for reason in line.degraded})
    _log.log(level, "request", extra={"fields": shown})


class SecretFilter(logging.Filter):
    """Takes whatever looks like a secret out of a record: its message, its fields and its traceback.

    Args:
        log_texts: Whether messages of exceptions, which may quote prompts and answers, and the texts of requests stay.
    """

    def __init__(self, *, log_texts: bool = False) -> None:
        super().__init__()
        self._log_texts = log_texts

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record in place and let it pass."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = f"{record.msg} (its arguments do not fit)"
        record.msg, record.args = redact(message), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = redact(_traceback(record.exc_info[1], with_messages=self._log_texts))
            record.exc_info = None
        told: Any = getattr(record, "fields", None)
        if isinstance(told, Mapping):
            record.fields = {
                name: self._clean(name, value)
                for name, value in told.items()
                if name not in _TEXTS or (self._log_texts and value is not None)
            }
        return True

    def _clean(self, name: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return redact(value[:_MAX_TEXT] if name in _TEXTS else one_line(value, limit=_MAX_NAME))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: no character of a value can end the line or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without its line end; `record.fields` are put beside the standard ones."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["traceback"] = record.exc_text
        return json.dumps(line, default=str)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a line says anything: a page's connection that comes or goes is none, and names the page."""
    comes_or_goes = isinstance(record.msg, str) and ("WebSocket" in record.msg or record.msg.startswith("connection "))
    return not (record.name == "uvicorn.error" and record.levelno <= logging.INFO and comes_or_goes)


class _LineHandler(logging.Handler):
    """Writes lines on a thread of its own; when that falls far behind, lines are counted instead of kept."""

    def __init__(self, stream: TextIO, capacity: int) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._capacity = capacity
        self._lost = 0
        self._thread = threading.Thread(target=self._write_all, name="smcs log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line of a record."""
        if self._lines.qsize() < self._capacity:
            self._lines.put(self.format(record))
        else:
            self._lost += 1

    def close(self) -> None:
        """Write what is queued and end the thread."""
        if self._thread.is_alive():
            self._lines.put(None)
            self._thread.join()
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._lines.empty():
                time.sleep(_GATHER_SECONDS)
            self._tell_lost()
            self._write(f"{line}\n", flush=self._lines.empty())
        self._tell_lost()
        self._write("", flush=True)

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            told = json.dumps({"level": "warning", "logger": __name__, "message": f"{lost} lines were lost"})
            self._write(f"{told}\n", flush=False)

    def _write(self, text: str, *, flush: bool) -> None:
        try:
            self._stream.write(text)
            if flush:
                self._stream.flush()
        except (OSError, ValueError):
            # nobody reads any more (a broken pipe, a closed file): there is nowhere left to say so but the next line
            self._lost += 1


@contextmanager
def structured_logs(
    level: int | str = logging.INFO,
    *,
    stream: TextIO | None = None,
    log_texts: bool = False,
    loggers: Sequence[str] = _LOGGERS,
    capacity: int = 10_000,
) -> Iterator[None]:
    """Write the logs of smcs and its server as JSON lines inside the block.

    Args:
        level: Least level that is written.
        stream: Where to; standard error if not given.
        log_texts: Whether prompts, answers and messages of exceptions are written too.
        loggers: Whose lines, with all loggers below them.
        capacity: Lines that may wait to be written; more are lost, and counted.
    """
    handler = _LineHandler(sys.stderr if stream is None else stream, capacity)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_is_news)
    handler.addFilter(SecretFilter(log_texts=log_texts))
    taken = [logging.getLogger(name) for name in loggers]
    before = [(log, log.handlers, log.level, log.propagate) for log in taken]
    try:
        for log in taken:
            log.handlers, log.propagate = [handler], False
            log.setLevel(level)
        yield
    finally:
        for log, handlers, old_level, propagate in before:
            log.handlers, log.propagate = handlers, propagate
            log.setLevel(old_level)
        handler.close()


def _traceback(error: BaseException, *, with_messages: bool) -> str:
    """Return an exception and what led to it, newest first; frames are code, messages may be anything."""
    lines: list[str] = []
    current: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if current is None:
            break
        kind = f"{type(current).__module__}.{type(current).__qualname__}"
        lines.append(f"{kind}: {one_line(str(current))}" if with_messages else kind)
        frames: TracebackType | None = current.__traceback__
        lines += (f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(frames))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(lines)

"""The gateway's log: whole lines of JSON, what an operator needs in them, and nothing that was said or opens a door."""

from __future__ import annotations

import ast
import io
import json
import logging
import string
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smcs.strategies
from smcs.errors import LLMError, RunError
from smcs.gateway.entries import Entry
from smcs.gateway.logs import (
    DEGRADED_KINDS,
    JsonFormatter,
    RequestLine,
    SecretFilter,
    degraded_kind,
    log_request,
    redact,
    structured_logs,
)
from smcs.run import Query, Trace

KEY = "sk-smcs-0123456789ab-" + "Ab1_-" * 8 + "xyz"
PROMPT = "the patient's name is Ada"
LINE = RequestLine(
    endpoint="/v1/chat/completions",
    model="smcs",
    status="ok",
    http_status=200,
    seconds=1.5,
    run_id="0" * 32,
    strategy="smcs_guarded",
    key_id="0123456789ab",
    calls=3,
    prompt_tokens=10,
    completion_tokens=5,
    question=PROMPT,
    answer="Ada it is",
)


def logged(*lines: RequestLine, log_texts: bool = False) -> list[dict[str, Any]]:
    """Log requests and return what was written."""
    stream = io.StringIO()
    with structured_logs(stream=stream, log_texts=log_texts):
        for line in lines:
            log_request(line)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def said(message: str, *args: object, log_texts: bool = False, **rest: Any) -> str:
    """Log a message and return the one line that was written."""
    stream = io.StringIO()
    with structured_logs(stream=stream, log_texts=log_texts):
        logging.getLogger("smcs.anything").warning(message, *args, **rest)
    (line,) = stream.getvalue().splitlines()
    return line


def test_a_request_is_one_line_with_what_an_operator_needs() -> None:
    (line,) = logged(LINE)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "logger": "smcs.gateway.requests",
        "message": "request",
        "endpoint": "/v1/chat/completions",
        "model": "smcs",
        "status": "ok",
        "http_status": 200,
        "seconds": 1.5,
        "run_id": "0" * 32,
        "strategy": "smcs_guarded",
        "key_id": "0123456789ab",
        "streamed": False,
        "cached": False,
        "calls": 3,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_usd": None,
        "degraded": [],
        "error": None,
    }


def test_texts_are_written_only_when_they_are_switched_on() -> None:
    (line,) = logged(LINE, log_texts=True)
    assert (line["question"], line["answer"]) == (PROMPT, "Ada it is")


def test_levels_say_who_is_to_blame() -> None:
    statuses = [("ok", 200), ("refused", 429), ("failed", 502), ("failed", 500)]
    lines = [RequestLine(endpoint="/", model="m", status=s, http_status=h, seconds=0.0) for s, h in statuses]
    assert [line["level"] for line in logged(*lines)] == ["info", "info", "warning", "error"]


def test_a_reason_that_quotes_an_upstream_is_logged_by_its_kind() -> None:
    reason = f"reference lost: a (error: HTTP 400: cannot answer {PROMPT!r})"
    line = RequestLine(
        endpoint="/", model="m", status="degraded", http_status=200, seconds=0.0, degraded=(reason, reason)
    )
    assert logged(line)[0]["degraded"] == ["reference_lost"]


def test_an_entry_of_the_ledger_becomes_a_line() -> None:
    trace = Trace()
    trace.start("smcs", Query.of(PROMPT), {})
    trace.degrade("no question bank: every LLM has the same prior")
    run = trace.finish(answer="four", answered_by="a")
    entry = Entry.of_run(run, endpoint="/v1/responses", model="smcs-max", key_id="k1", streamed=True, seconds=2.0)
    line = RequestLine.of(entry)
    assert (line.run_id, line.strategy, line.key_id, line.seconds) == (run.id, "smcs", "k1", 2.0)
    assert (line.question, line.answer, line.status) == (PROMPT, "four", "degraded")
    assert PROMPT not in json.dumps(logged(line))
    failed = Entry.of_attempts(run.id, run.created, (), endpoint="/", model="m", error=f"could not say {PROMPT}")
    shown = logged(RequestLine.of(failed, error="upstream_failed"))[0]
    assert (shown["error"], shown["strategy"], shown["key_id"]) == ("upstream_failed", None, None)


SECRETS = [
    f"Authorization: Bearer {KEY}",
    f"key={KEY} was refused",
    f"{{'authorization': 'Bearer {KEY}'}}",
    f"Authorization: Basic {KEY}",
    f"X-API-Key: {KEY}",
    f"api_key='{KEY}'",
    f'{{"api_key": "{KEY}"}}',
    f"postgresql+psycopg://smcs:{KEY}@db/ledger cannot be reached",
    f"https://example.org/v1?api-key={KEY}&x=1",
    f"password={KEY}",
    "bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl0123",
    "token hf_abcdefghijklmnopqrstuvwxyz0123 expired",
    "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_blotted_out(text: str) -> None:
    for part in (KEY, KEY[12:], "eyJzdWIi", "c2lnbmF0", "klmnopqrstuvwxyz"):
        assert part not in redact(text)
    assert "***" in redact(text)
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    ["prompt_tokens: 12", "bearer of news", "a task-oriented, risk-free workspace", "http://127.0.0.1:8000/v1",
     "key 0123456789ab is over its limit", "0123456789abcdef" * 2, "2025-11-22T09:10:26.123+00:00"],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@settings(max_examples=50)
@given(st.text(string.ascii_letters + string.digits + "-._~+/", min_size=6, max_size=60), st.sampled_from(["", "=="]))
def test_no_bearer_token_survives(token: str, padding: str) -> None:
    shown = redact(f"sent Authorization: Bearer {token}{padding} to the server")
    assert shown == "sent Authorization: Bearer *** to the server"


def test_secrets_leave_messages_fields_and_tracebacks() -> None:
    assert KEY not in said("refused %s", KEY)
    assert KEY not in said("refused", extra={"fields": {"model": f"Bearer {KEY}", "endpoint": KEY}})
    try:
        raise RunError(f"refused Bearer {KEY}")
    except RunError:
        line = said("broke", exc_info=True, log_texts=True)
    assert "refused Bearer ***" in line
    assert KEY not in line


def test_a_traceback_says_where_but_not_what_was_said() -> None:
    try:
        try:
            raise LLMError(f"HTTP 400: {PROMPT}", llm="a")
        except LLMError as cause:
            raise RunError(f"lost {PROMPT}") from cause
    except RunError:
        line = json.loads(said("broke", exc_info=True))
    assert "Ada" not in json.dumps(line)
    assert "smcs.errors.RunError" in line["traceback"]
    assert "smcs.errors.LLMError" in line["traceback"]
    assert "test_logs.py:" in line["traceback"]


def test_a_message_whose_arguments_do_not_fit_is_still_a_line() -> None:
    assert "do not fit" in json.loads(said("%d of %d", 1))["message"]


@settings(max_examples=60)
@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_can_end_or_steer_a_line(message: str, model: str) -> None:
    record = logging.LogRecord("smcs", logging.INFO, "", 0, "%s", (message,), None)
    record.fields = {"model": model, "answer": message}
    assert SecretFilter(log_texts=True).filter(record)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert isinstance(json.loads(line)["model"], str)
    assert "\n" not in json.loads(line)["model"]


def test_names_from_clients_are_cut() -> None:
    (line,) = logged(RequestLine(endpoint="/", model="m" * 10_000, status="refused", http_status=404, seconds=0.0))
    assert len(line["model"]) == 200


def test_levels_and_loggers_are_put_back() -> None:
    log = logging.getLogger("smcs")
    before = (log.handlers, log.level, log.propagate)
    with structured_logs("ERROR", stream=io.StringIO()):
        assert log.level == logging.ERROR
        log_request(LINE)
    assert (log.handlers, log.level, log.propagate) == before
    assert not [thread for thread in threading.enumerate() if thread.name == "smcs log"]


class Blocked(io.StringIO):
    """A terminal that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.go.wait(30)
        return super().write(text)


def test_a_slow_reader_costs_lines_and_says_so() -> None:
    stream = Blocked()
    with structured_logs(stream=stream, capacity=20):
        for _ in range(50):
            log_request(LINE)
        stream.go.set()
    lines = stream.getvalue().splitlines()
    lost = [json.loads(line)["message"] for line in lines if "were lost" in line]
    written = len(lines) - len(lost)
    assert written + sum(int(message.split()[0]) for message in lost) == 50
    assert lost


def test_a_reader_that_has_gone_breaks_nothing() -> None:
    stream = io.StringIO()
    with structured_logs(stream=stream):
        stream.close()
        log_request(LINE)


def _templates() -> Iterator[tuple[str, str]]:
    """Yield (file, reason) of every reason that strategies give, X standing for what is filled in."""
    for path in sorted(Path(str(smcs.strategies.__file__)).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        assigned = {
            node.targets[0].id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }

        def shown(node: ast.expr, names: dict[str, ast.expr] = assigned) -> str:
            match node:
                case ast.JoinedStr(values=values):
                    return "".join(shown(value) for value in values)
                case ast.FormattedValue(value=value):
                    return shown(value)
                case ast.Constant(value=value):
                    return str(value)
                case ast.Name(id=name) if isinstance(names.get(name), (ast.JoinedStr, ast.Constant)):
                    return shown(names[name])
            return "X"

        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "degrade":
                reason = shown(node.args[0])
                if reason != "X":
                    yield path.name, reason


REASONS = list(_templates())


@pytest.mark.parametrize(("file", "reason"), REASONS, ids=[f"{file}: {reason[:40]}" for file, reason in REASONS])
def test_every_reason_of_the_strategies_has_a_kind(file: str, reason: str) -> None:
    assert degraded_kind(reason) != "other", f"{file} gives a reason that logs and metrics do not know"


def test_kinds_of_reasons() -> None:
    assert len(REASONS) > 20
    assert degraded_kind("perplexity left out of the score: no usable log-probabilities from a") == "score_incomplete"
    assert degraded_kind("similarity left out of the score: the embedder broke") == "score_incomplete"
    assert degraded_kind("reference lost: a (error: HTTP 500: \nx); b took its place") == "reference_replaced"
    assert degraded_kind("6 of 8 candidates were scored") == "candidates_missing"
    assert degraded_kind("something new") == "other"
    assert len(set(DEGRADED_KINDS)) == len(DEGRADED_KINDS)

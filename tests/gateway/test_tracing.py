"""Traces: one tree per request with the right parents and times, continued from the client's, and without texts."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from smcs.errors import ConfigError, InputError, MissingExtraError
from smcs.gateway.inside import ENDPOINT
from smcs.gateway.tracing import NoTracing, TracedRequest, TracingSettings, open_tracing, stage_spans
from smcs.run import AttemptFinished, Query, Run, Trace
from smcs.types import Attempt, Choice, Usage

CREATED = "2025-11-22T09:00:00.250+00:00"
ZERO = datetime.fromisoformat(CREATED).timestamp()
PROMPT = "the patient's name is Ada"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def attempt(llm: str, stage: Any = "reference", status: Any = "ok", **rest: Any) -> Attempt:
    choices = (Choice(f"{llm} says Ada"),) if status == "ok" else ()
    return Attempt(llm, stage, status, choices=choices, **rest)


SMCS = (
    attempt("a", started=0.1, seconds=0.4, usage=Usage(10, 5, 2), cost_usd=0.25),
    attempt("b", status="error", started=0.1, seconds=0.6, http_status=500, error=f"HTTP 500: {PROMPT}", tries=2),
    attempt("c", status="cancelled", started=0.1, seconds=0.9),
    attempt("d", status="skipped", started=0.1),
    attempt("m", "aggregation", started=0.6, seconds=0.8),
)
STAGES = {"retrieval": 0.1, "references": 0.9, "exploration": 1.3, "scoring": 0.05}


def run_of(*attempts: Attempt, stages: dict[str, float], seconds: float = 1.5) -> Run:
    trace = Trace()
    trace.start("smcs", Query.of(PROMPT), {})
    for each in attempts:
        trace.emit(AttemptFinished(each, each.started + each.seconds))
    trace.degrade(f"reference lost: b (error: HTTP 500: {PROMPT})")
    for name, took in stages.items():
        trace.stage(name, took)
    run = trace.finish(answer="Ada", answered_by="m")
    fixed = json.loads(run.to_json()) | {"created": CREATED, "seconds": seconds}
    return Run.from_json(json.dumps(fixed))


def request(run: Run | None = None, **changes: Any) -> TracedRequest:
    given: dict[str, Any] = {"endpoint": "/v1/chat/completions", "model": "smcs", "http_status": 200}
    given |= {"started": ZERO - 0.01, "seconds": 1.52, "run": run}
    return TracedRequest(**given | changes)


def spans_of(*requests: TracedRequest, **options: Any) -> dict[str, ReadableSpan]:
    """Trace requests and return the spans by name."""
    exporter = InMemorySpanExporter()
    tracing = open_tracing(TracingSettings(**options), processor=SimpleSpanProcessor(exporter))
    for each in requests:
        tracing.record(each)
    return {span.name: span for span in exporter.get_finished_spans()}


def parent(span: ReadableSpan, spans: dict[str, ReadableSpan]) -> str | None:
    names = {other.context.span_id: name for name, other in spans.items() if other.context is not None}
    return None if span.parent is None else names.get(span.parent.span_id)


def times(span: ReadableSpan) -> tuple[float, float]:
    """Return when a span began and ended, in seconds after the run began."""
    assert span.start_time is not None
    assert span.end_time is not None
    return round(span.start_time / 1e9 - ZERO, 3), round(span.end_time / 1e9 - ZERO, 3)


def test_a_run_becomes_a_tree() -> None:
    spans = spans_of(request(run_of(*SMCS, stages=STAGES)))
    assert {name: parent(span, spans) for name, span in spans.items()} == {
        "POST /v1/chat/completions": None,
        "retrieval": "POST /v1/chat/completions",
        "exploration": "POST /v1/chat/completions",
        "references": "exploration",
        "scoring": "POST /v1/chat/completions",
        "chat a": "references",
        "chat b": "references",
        "chat c": "references",
        "chat m": "exploration",
    }
    assert len({span.context.trace_id for span in spans.values() if span.context is not None}) == 1
    kinds = {name: span.kind for name, span in spans.items()}
    assert kinds["POST /v1/chat/completions"] is SpanKind.SERVER
    assert kinds["chat a"] is SpanKind.CLIENT
    assert kinds["scoring"] is SpanKind.INTERNAL


def test_times_are_those_of_the_record() -> None:
    spans = spans_of(request(run_of(*SMCS, stages=STAGES)))
    assert {name: times(span) for name, span in spans.items()} == {
        "POST /v1/chat/completions": (-0.01, 1.51),
        "retrieval": (0.0, 0.1),
        "references": (0.1, 1.0),
        "exploration": (0.1, 1.4),
        "scoring": (1.45, 1.5),
        "chat a": (0.1, 0.5),
        "chat b": (0.1, 0.7),
        "chat c": (0.1, 1.0),
        "chat m": (0.6, 1.4),
    }


def test_merging_after_the_references_is_not_their_parent() -> None:
    guarded = run_of(*SMCS[:1], attempt("m", "aggregation", started=0.6, seconds=0.8),
                     stages={"references": 0.4, "exploration": 0.85})  # fmt: skip
    spans = spans_of(request(guarded))
    assert parent(spans["references"], spans) == "POST /v1/chat/completions"
    assert times(spans["exploration"]) == (0.55, 1.4)


def test_layers_of_one_name_are_one_span_over_all_of_them() -> None:
    calls = (attempt("a", started=0.0, seconds=0.5), attempt("b", started=0.2, seconds=1.0))
    (span,) = stage_spans(run_of(*calls, stages={"references": 0.3}))
    assert (span.begin, span.end) == (0.0, 1.2)


def test_a_stage_without_calls_ends_with_the_run() -> None:
    (span,) = stage_spans(run_of(stages={"aggregation": 0.5}))
    assert (span.begin, span.end) == (1.0, 1.5)


def test_attributes_follow_the_conventions() -> None:
    run = run_of(*SMCS, stages=STAGES)
    spans = spans_of(request(run, streamed=True, first_byte_seconds=0.7, key_id="k1"))
    root, call = dict(spans["POST /v1/chat/completions"].attributes or {}), dict(spans["chat a"].attributes or {})
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    for name in (*root, *call):
        assert not name.startswith("gen_ai.") or name in known
    assert root["gen_ai.operation.name"] == "chat"
    assert root["gen_ai.request.model"] == "smcs"
    assert root["gen_ai.response.model"] == "m"
    assert root["gen_ai.response.time_to_first_chunk"] == 0.7
    assert root["http.response.status_code"] == 200
    assert root["http.route"] == root["smcs.endpoint"] == "/v1/chat/completions"
    assert root["smcs.run.id"] == run.id
    assert root["smcs.key.id"] == "k1"
    assert root["smcs.degraded"] == ("reference_lost",)
    assert "gen_ai.usage.input_tokens" not in root, "a call did not report its tokens"
    assert "smcs.cost.usd" not in root
    assert root["smcs.cost.known_usd"] == 0.25
    assert call["gen_ai.usage.input_tokens"] == 10
    assert call["gen_ai.usage.output_tokens"] == 5
    assert call["gen_ai.usage.cache_read.input_tokens"] == 2
    assert call["gen_ai.response.finish_reasons"] == ("stop",)
    assert call["smcs.cost.usd"] == 0.25


def test_a_question_of_the_studios_is_no_http_request() -> None:
    run = run_of(*SMCS, stages=STAGES)
    spans = spans_of(request(run, endpoint=ENDPOINT, key_id="k1"))
    root = spans["chat from studio"]
    assert root.kind is SpanKind.INTERNAL
    assert parent(spans["exploration"], spans) == "chat from studio"
    attributes = dict(root.attributes or {})
    assert attributes["smcs.endpoint"] == "studio"
    assert (attributes["gen_ai.operation.name"], attributes["gen_ai.request.model"]) == ("chat", "smcs")
    assert (attributes["smcs.run.id"], attributes["smcs.key.id"]) == (run.id, "k1")
    assert not [name for name in attributes if name.startswith("http.")]


def test_a_question_of_the_studios_that_failed() -> None:
    (root,) = spans_of(request(endpoint=ENDPOINT, http_status=502, error="upstream_failed")).values()
    assert root.status.status_code is StatusCode.ERROR
    assert (root.attributes or {})["error.type"] == "upstream_failed"


def test_embedding_is_another_operation() -> None:
    (root,) = spans_of(request(endpoint="/v1/embeddings", model="smcs-embedder")).values()
    assert (root.name, (root.attributes or {})["gen_ai.operation.name"]) == ("POST /v1/embeddings", "embeddings")


def test_failures_are_marked() -> None:
    spans = spans_of(request(run_of(*SMCS, stages=STAGES)))
    assert spans["chat b"].status.status_code is StatusCode.ERROR
    assert (spans["chat b"].attributes or {})["error.type"] == "500"
    assert spans["chat c"].status.status_code is StatusCode.UNSET, "giving a straggler up is no error"
    assert spans["POST /v1/chat/completions"].status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("status", "error", "failed"),
    [(502, "upstream_failed", True), (429, "rate_limit_exceeded", False), (200, "upstream_failed", True)],
)
def test_requests_that_failed(status: int, error: str, failed: bool) -> None:
    calls = (attempt("a", status="timeout", started=0.5, seconds=1.0),)
    spans = spans_of(request(http_status=status, error=error, attempts=calls))
    root = spans["POST /v1/chat/completions"]
    assert (root.status.status_code is StatusCode.ERROR) is failed
    assert (root.attributes or {})["error.type"] == error
    assert parent(spans["chat a"], spans) == "POST /v1/chat/completions"
    assert (spans["chat a"].attributes or {})["error.type"] == "timeout"
    assert times(spans["chat a"]) == (0.49, 1.49)


def test_texts_are_left_out_unless_asked_for() -> None:
    run = run_of(*SMCS, stages=STAGES)
    assert "Ada" not in "".join(span.to_json() for span in spans_of(request(run)).values())
    spans = spans_of(request(run), texts=True)
    root = spans["POST /v1/chat/completions"].attributes or {}
    assert json.loads(str(root["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": PROMPT}]}
    ]
    assert json.loads(str(root["gen_ai.output.messages"]))[0]["finish_reason"] == "stop"
    assert "a says Ada" in str((spans["chat a"].attributes or {})["gen_ai.output.messages"])
    assert spans["chat b"].status.description == f"HTTP 500: {PROMPT}"


def test_a_client_goes_on_with_its_own_trace() -> None:
    (root,) = spans_of(request(traceparent=PARENT, tracestate="vendor=1")).values()
    assert root.context is not None
    assert root.parent is not None
    assert f"{root.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{root.parent.span_id:016x}" == PARENT.split("-")[2]
    assert root.context.trace_state.get("vendor") == "1"


def test_what_a_client_or_the_sample_leaves_out_is_not_traced() -> None:
    run = run_of(*SMCS, stages=STAGES)
    assert spans_of(request(run, traceparent=PARENT[:-1] + "0")) == {}
    assert spans_of(request(run), sample=0.0) == {}
    assert spans_of(request(run, traceparent=PARENT), sample=0.0) != {}


@settings(max_examples=30)
@given(st.text(max_size=80) | st.just(PARENT), st.text(max_size=600))
def test_no_header_breaks_a_trace(traceparent: str, tracestate: str) -> None:
    spans = spans_of(request(traceparent=traceparent, tracestate=tracestate))
    assert list(spans) == ["POST /v1/chat/completions"]


async def test_off_is_off() -> None:
    tracing = open_tracing(None)
    assert isinstance(tracing, NoTracing)
    tracing.record(request())
    await tracing.close()


async def test_closing_ends_the_processor() -> None:
    exporter = InMemorySpanExporter()
    tracing = open_tracing(TracingSettings(), processor=SimpleSpanProcessor(exporter))
    tracing.record(request())
    await tracing.close()
    assert len(exporter.get_finished_spans()) == 1


async def test_a_collector_on_this_machine_is_allowed_and_closes() -> None:
    tracing = open_tracing(TracingSettings(endpoint="http://127.0.0.1:9/v1/traces"))
    await tracing.close()


def test_a_collector_elsewhere_needs_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318")
    with pytest.raises(ConfigError, match=r"collector\.example"):
        open_tracing(TracingSettings())


def test_without_the_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(MissingExtraError, match=r"smcs\[otel\]"):
        open_tracing(TracingSettings())


@pytest.mark.parametrize(
    ("field", "value"), [("sample", 1.5), ("sample", float("nan")), ("endpoint", "localhost:4318")]
)
def test_settings_are_checked(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"`{field}`"):
        TracingSettings(**{field: value})

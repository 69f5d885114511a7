"""OpenTelemetry traces: a span per request or question of the studio's, below it one per stage and call to an LLM.

Spans are built from the record after the answer was sent, so tracing costs a request nothing while it runs. Names
follow the semantic conventions for generative AI (OpenTelemetry, 1.37 and later). Prompts and answers are left out
unless they are asked for; error messages, which may quote them, too. Needs the extra `otel`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from smcs._network import check_request_allowed
from smcs.errors import InputError, MissingExtraError
from smcs.gateway.logs import degraded_kind
from smcs.run import Run
from smcs.types import Attempt, Stage

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, Tracer

__all__ = ("NoTracing", "StageSpan", "TracedRequest", "Tracing", "TracingSettings", "open_tracing", "stage_spans")

_DEFAULT_ENDPOINT: Final = "http://localhost:4318/v1/traces"
_EXPORT_SECONDS: Final = 5.0
_STAGES_OF: Final[Mapping[Stage, tuple[str, ...]]] = {
    "reference": ("references",),
    "aggregation": ("aggregation", "exploration"),
    "embedding": ("retrieval",),
}
"""Stages of a run whose calls are of a kind; the first that the run has is the parent."""
_API: Final = "openai"
"""`gen_ai.provider.name` of every call: the API that is spoken, which is all that is known of who is behind it."""

Attributes = dict[str, "str | bool | int | float | Sequence[str]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """Where traces go and what is in them.

    Raises:
        InputError: A value is out of range.
    """

    endpoint: str | None = None
    """Full URL of an OTLP/HTTP collector (".../v1/traces"); `None` asks the environment (OTEL_EXPORTER_OTLP_ENDPOINT,
    else port 4318 of this machine)."""
    sample: float = 1.0
    """Share of requests that are traced, 0 to 1; a client's traceparent decides for its own."""
    service: str = "smcs"
    """`service.name`."""
    texts: bool = False
    """Whether prompts, answers and error messages are in the spans."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sample) and 0 <= self.sample <= 1):
            raise InputError(f"`sample` must be from 0 to 1, got {self.sample}.")
        if self.endpoint is not None and urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise InputError(f"`endpoint` must be an http or https URL, got {self.endpoint!r}.")


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """A request that was answered."""

    endpoint: str
    """Its path, with names of parameters in place of their values; what asked in this process has a name instead."""
    model: str
    http_status: int
    started: float
    """Unix time in seconds."""
    seconds: float
    _: KW_ONLY
    run: Run | None = None
    attempts: Sequence[Attempt] = ()
    """Calls where there is no run; their `started` counts from the request's."""
    key_id: str | None = None
    streamed: bool = False
    cached: bool = False
    first_byte_seconds: float | None = None
    error: str | None = None
    """Code or class of the error."""
    traceparent: str | None = None
    """Header of the client (W3C Trace Context); one that is malformed is passed over, as that demands."""
    tracestate: str | None = None

    @property
    def came_over_http(self) -> bool:
        """Whether a client sent it; else somebody in this process asked, as the studio does."""
        return self.endpoint.startswith("/")

    @property
    def operation(self) -> Literal["chat", "embeddings"]:
        """What was asked for, in the words of the conventions."""
        return "embeddings" if self.endpoint == "/v1/embeddings" else "chat"


class Tracing(Protocol):
    """What takes note of requests."""

    def record(self, request: TracedRequest) -> None:
        """Take note of a request that was answered; returns at once."""
        ...

    async def close(self) -> None:
        """Send what is left."""
        ...


class NoTracing:
    """Takes note of nothing."""

    def record(self, request: TracedRequest) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


def open_tracing(settings: TracingSettings | None, *, processor: SpanProcessor | None = None) -> Tracing:
    """Return what takes note of requests.

    Args:
        settings: `None` switches tracing off.
        processor: Takes the spans instead of sending them.

    Raises:
        ConfigError: The collector is on another machine and only this one may be called.
        MissingExtraError: OpenTelemetry is not installed.
    """
    if settings is None:
        return NoTracing()
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise MissingExtraError("Tracing", "otel") from error
    processor = processor or _exporting(settings)
    provider = TracerProvider(
        resource=Resource.create({"service.name": settings.service}),
        sampler=ParentBased(TraceIdRatioBased(settings.sample)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(processor)
    return _Spans(provider, texts=settings.texts)


def _exporting(settings: TracingSettings) -> SpanProcessor:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError("Sending traces", "otel") from error
    url = settings.endpoint or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if url is None:
        base = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        url = f"{base.rstrip('/')}/v1/traces" if base else _DEFAULT_ENDPOINT
    check_request_allowed(urlsplit(url).hostname or "")
    return BatchSpanProcessor(OTLPSpanExporter(url, timeout=_EXPORT_SECONDS))


@dataclass(frozen=True, slots=True)
class StageSpan:
    """When a stage of a run began and ended, in seconds after the run began."""

    name: str
    begin: float
    end: float


def stage_spans(run: Run) -> tuple[StageSpan, ...]:
    """Return when each stage was, in the order in which they began.

    A record holds how long a stage took. Retrieval comes first and scoring last; any other stage ends with the last of
    its calls, and is stretched over all of them where several stages had the same name (layers).
    """
    spans = []
    for name, seconds in run.stage_seconds.items():
        calls = _calls_of(run, name)
        if name == "retrieval":
            begin, end = 0.0, seconds
        elif calls:
            end = max(call.started + call.seconds for call in calls)
            begin = max(0.0, end - seconds)
            if name != "exploration":
                begin = min(begin, *(call.started for call in calls))
        else:
            begin, end = max(0.0, run.seconds - seconds), run.seconds
        spans.append(StageSpan(name, begin, end))
    return tuple(sorted(spans, key=lambda span: (span.begin, -span.end)))


def _calls_of(run: Run, stage: str) -> list[Attempt]:
    if stage == "references":
        return [call for call in run.attempts if call.stage == "reference" and call.status != "skipped"]
    if stage in ("aggregation", "exploration"):
        merges = [call for call in run.attempts if call.stage == "aggregation" and call.status != "skipped"]
        return merges or (_calls_of(run, "references") if stage == "exploration" else [])
    return []


class _Spans:
    """Builds the spans of each request and hands them to OpenTelemetry."""

    def __init__(self, provider: TracerProvider, *, texts: bool) -> None:
        from smcs import __version__

        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("smcs", __version__)
        self._texts = texts

    def record(self, request: TracedRequest) -> None:
        """Build the spans of a request; a sampler may have decided against it."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        over_http = request.came_over_http
        span = self._tracer.start_span(
            f"POST {request.endpoint}" if over_http else f"{request.operation} from {request.endpoint}",
            context=_parent(request),
            kind=SpanKind.SERVER if over_http else SpanKind.INTERNAL,
            attributes=_request_attributes(request),
            start_time=_nanoseconds(request.started),
        )
        if span.is_recording():
            context = set_span_in_context(span)
            if request.run is not None:
                self._add_run(span, context, request.run)
            self._add_calls(request.attempts, request.started, {}, context)
            # A refusal (4xx) is no error of the server's; an error after a 200 is one in the middle of a stream.
            failed = request.http_status >= 500 or (request.error is not None and request.http_status < 400)
            self._end(span, request.started + request.seconds, failed=failed, why=request.error)

    async def close(self) -> None:
        """Send what is left, without holding up the event loop."""
        await asyncio.to_thread(self._provider.shutdown)

    def _add_run(self, span: Span, context: Context, run: Run) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        span.set_attributes(_run_attributes(run))
        if self._texts:
            span.set_attribute(
                "gen_ai.input.messages", _messages((m.role, m.content, None) for m in run.query.messages)
            )
            span.set_attribute("gen_ai.output.messages", _messages([("assistant", run.answer, "stop")]))
        zero = datetime.fromisoformat(run.created).timestamp()
        stages: dict[str, Context] = {}
        ended: list[tuple[Span, float]] = []
        for stage in stage_spans(run):
            part = self._tracer.start_span(
                stage.name,
                context=stages.get("exploration", context) if stage.name == "references" else context,
                kind=SpanKind.INTERNAL,
                attributes={"smcs.run.id": run.id, "smcs.stage": stage.name},
                start_time=_nanoseconds(zero + stage.begin),
            )
            stages[stage.name] = set_span_in_context(part)
            ended.append((part, zero + stage.end))
        self._add_calls(run.attempts, zero, stages, context)
        for part, end in ended:
            part.end(_nanoseconds(end))

    def _add_calls(
        self, attempts: Sequence[Attempt], zero: float, stages: Mapping[str, Context], context: Context
    ) -> None:
        from opentelemetry.trace import SpanKind

        for attempt in attempts:
            if attempt.status == "skipped":
                continue
            own = next((stages[name] for name in _STAGES_OF.get(attempt.stage, ()) if name in stages), context)
            attributes = _call_attributes(attempt)
            if self._texts and attempt.choices:
                attributes["gen_ai.output.messages"] = _messages(
                    ("assistant", choice.text, choice.finish_reason) for choice in attempt.choices
                )
            began = zero + attempt.started
            span = self._tracer.start_span(
                f"{attributes['gen_ai.operation.name']} {attempt.llm}",
                context=own,
                kind=SpanKind.CLIENT,
                attributes=attributes,
                start_time=_nanoseconds(began),
            )
            failed = attempt.status not in ("ok", "cancelled")
            self._end(span, began + attempt.seconds, failed=failed, why=attempt.error if self._texts else None)

    def _end(self, span: Span, at: float, *, failed: bool, why: str | None) -> None:
        from opentelemetry.trace import Status, StatusCode

        if failed:
            span.set_status(Status(StatusCode.ERROR, why))
        span.end(_nanoseconds(at))


def _parent(request: TracedRequest) -> Context:
    """Return the context that a client's headers continue, or an empty one."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    given = {"traceparent": request.traceparent, "tracestate": request.tracestate}
    headers = {name: value for name, value in given.items() if value}
    return TraceContextTextMapPropagator().extract(headers, context=Context())


def _request_attributes(request: TracedRequest) -> Attributes:
    found: Attributes = {
        "smcs.endpoint": request.endpoint,
        "gen_ai.operation.name": request.operation,
        "gen_ai.provider.name": "smcs",
        "gen_ai.request.model": request.model[:200],
        "gen_ai.request.stream": request.streamed,
        "smcs.cached": request.cached,
    }
    if request.came_over_http:
        found["http.request.method"] = "POST"
        found["http.route"] = request.endpoint
        found["http.response.status_code"] = request.http_status
    if request.key_id is not None:
        found["smcs.key.id"] = request.key_id
    if request.first_byte_seconds is not None:
        found["gen_ai.response.time_to_first_chunk"] = request.first_byte_seconds
    if request.error is not None:
        found["error.type"] = request.error
    return found


def _run_attributes(run: Run) -> Attributes:
    found: Attributes = {
        "gen_ai.response.id": f"chatcmpl-{run.id}",
        "gen_ai.response.model": run.answered_by,
        "smcs.run.id": run.id,
        "smcs.strategy": run.strategy,
        "smcs.calls": run.calls,
        "smcs.referencers": run.referencers,
        "smcs.degraded": tuple(sorted({degraded_kind(reason) for reason in run.degraded})),
        "smcs.cost.known_usd": run.known_cost_usd,
    }
    if run.cost_usd is not None:
        found["smcs.cost.usd"] = run.cost_usd
    return found | _usage(run.usage.prompt_tokens, run.usage.completion_tokens, run.usage.cached_tokens)


def _call_attributes(attempt: Attempt) -> Attributes:
    found: Attributes = {
        "gen_ai.operation.name": "embeddings" if attempt.stage == "embedding" else "chat",
        "gen_ai.provider.name": _API,
        "gen_ai.request.model": attempt.llm,
        "smcs.stage": attempt.stage,
        "smcs.status": attempt.status,
        "smcs.tries": attempt.tries,
    }
    if attempt.choices:
        found["gen_ai.response.finish_reasons"] = tuple(choice.finish_reason for choice in attempt.choices)
    if attempt.http_status is not None:
        found["http.response.status_code"] = attempt.http_status
    if attempt.cost_usd is not None:
        found["smcs.cost.usd"] = attempt.cost_usd
    if attempt.status not in ("ok", "cancelled"):
        found["error.type"] = attempt.status if attempt.http_status is None else str(attempt.http_status)
    usage = attempt.usage
    return found | _usage(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)


def _usage(prompt: int | None, completion: int | None, cached: int | None) -> Attributes:
    named = {
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": completion,
        "gen_ai.usage.cache_read.input_tokens": cached,
    }
    return {name: tokens for name, tokens in named.items() if tokens is not None}


def _messages(messages: Any) -> str:
    """Return (role, text, finish reason) triples as the JSON of `gen_ai.*.messages`."""
    return json.dumps(
        [
            {"role": role, "parts": [{"type": "text", "content": text}]} | ({"finish_reason": end} if end else {})
            for role, text, end in messages
        ],
        ensure_ascii=False,
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)

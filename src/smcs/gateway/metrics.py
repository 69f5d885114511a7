"""Prometheus metrics of the gateway, read off the same records as everything else.

Labels come from sets that are known beforehand, and anything else counts as "other": no request can make the number of
series grow. With several worker processes, each writes to a shared folder and any of them renders the sum: call
`prepare_workers` before the first one starts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.gc_collector import GCCollector
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector

from smcs.gateway.admission import Admission
from smcs.gateway.logs import degraded_kind
from smcs.gateway.models import EMBEDDER
from smcs.llms.breaker import BreakerState
from smcs.run import Run
from smcs.types import Attempt

__all__ = ("CONTENT_TYPE", "CacheOutcome", "Metrics", "Refusal", "forget_worker", "prepare_workers")

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
"""Media type of `Metrics.render`."""

CacheOutcome = Literal["hit", "miss", "coalesced"]
"""An answer came from the cache, did not, or came from an identical request that ran already."""
Refusal = Literal[
    "overloaded",
    "ledger_unavailable",
    "bank_unavailable",
    "llm_switched_off",
    "invalid_api_key",
    "host_not_allowed",
    "origin_not_allowed",
    "loop_detected",
    "model_not_allowed",
    "model_not_found",
    "not_found",
    "method_not_allowed",
    "insufficient_quota",
    "requests_per_minute",
    "tokens_per_minute",
    "max_concurrent",
    "budget_exceeded",
    "request_too_large",
    "other",
]
"""Why a request was turned away before it ran: the code of its error; "other" is a request that is wrong in itself."""

_EMBEDDINGS: Final = "/v1/embeddings"
_ENDPOINTS: Final = (
    "/v1/chat/completions",
    "/v1/responses",
    _EMBEDDINGS,
    "/v1/models",
    "/v1/runs",
    "/v1/feedback",
    "/v1/estimate",
    "/health",
    "/ready",
    "/metrics",
    "studio",
)
_STAGES: Final = frozenset({"retrieval", "references", "exploration", "aggregation", "scoring"})
_STATUSES: Final = frozenset({"ok", "degraded", "failed", "cancelled", "refused"})
_BREAKER_STATES: Final[Mapping[BreakerState, int]] = {"closed": 0, "half-open": 1, "open": 2}
_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
_SHORT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def prepare_workers(folder: Path) -> None:
    """Let the processes that are started from here on share one set of metrics.

    Must be called before any of them imports this module; the own process is not changed if it has imported it.

    Args:
        folder: Where they write; made if it is missing, and emptied of what earlier workers left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        file.unlink()
    os.environ[_FOLDER] = str(folder)


def forget_worker(pid: int, folder: Path) -> None:
    """Take what a process that ended said about the present (running, queue, breakers) out of the sums."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one process; make one per process.

    Args:
        models: Names a client can ask for.
        llms: LLMs of the pool, those that only merge included.
        strategies: Names of strategies.
        endpoints: Paths as they are reported.
        version: Reported as a label of `smcs_build_info`.
    """

    def __init__(
        self,
        *,
        models: Iterable[str] = (),
        llms: Iterable[str] = (),
        strategies: Iterable[str] = (),
        endpoints: Iterable[str] = _ENDPOINTS,
        version: str = "",
    ) -> None:
        self._endpoints = frozenset(endpoints)
        self._strategies = frozenset(strategies)
        self.know(models=models, llms=llms)
        self._registry = CollectorRegistry()
        folder = os.environ.get(_FOLDER)
        self._folder = folder if folder and values.ValueClass is not values.MutexValue else None
        if self._folder is None:
            ProcessCollector(registry=self._registry)
            GCCollector(registry=self._registry)
        self._make_request_metrics()
        self._make_run_metrics()
        self._make_server_metrics(version)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"smcs_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(f"smcs_{name}", text, labels, buckets=buckets, registry=self._registry)

    def _make_request_metrics(self) -> None:
        self._requests = self._counter("requests", "Requests.", "endpoint", "model", "strategy", "status")
        self._responses = self._counter("responses", "Responses by HTTP status.", "endpoint", "code")
        self._request_seconds = self._histogram("request_seconds", "Seconds to the last byte.", "endpoint", "strategy")
        self._first_byte = self._histogram("first_byte_seconds", "Seconds to an answer's first byte.", "endpoint")
        self._refusals = self._counter("refusals", "Requests turned away before they ran.", "reason")
        self._cache = self._counter("cache", "Requests that may share answers, by outcome.", "outcome")

    def _make_run_metrics(self) -> None:
        self._stage_seconds = self._histogram("stage_seconds", "Seconds of a run's stages; they overlap.", "stage")
        self._attempts = self._counter("attempts", "Calls to LLMs.", "llm", "stage", "status")
        self._attempt_seconds = self._histogram("attempt_seconds", "Seconds of calls that ended well.", "llm", "stage")
        self._retries = self._counter("retries", "Requests to LLMs beyond a call's first.", "llm")
        self._errors = self._counter("upstream_errors", "Calls to LLMs that failed, by kind.", "llm", "kind")
        self._degraded = self._counter("degraded", "Reasons for which answers were less than asked for.", "reason")
        self._tokens = self._counter("tokens", "Tokens that were reported: a lower bound.", "llm", "kind")
        self._usd = self._counter("usd", "USD of the calls whose price is known: a lower bound.", "llm")
        self._unpriced = self._counter("unpriced_calls", "Calls whose cost is unknown.", "llm")

    def _make_server_metrics(self, version: str) -> None:
        def gauge(name: str, text: str, mode: Literal["livesum", "livemax"], *labels: str) -> Gauge:
            return Gauge(f"smcs_{name}", text, labels, multiprocess_mode=mode, registry=self._registry)

        self._running = gauge("running", "Weight of requests that run.", "livesum")
        self._queue_length = gauge("queue_length", "Requests that wait.", "livesum")
        self._queue_wait = self._histogram("queue_wait_seconds", "Seconds in the queue.", buckets=_SHORT_SECONDS)
        self._breakers = gauge("breaker_state", "0 closed, 1 half-open, 2 open.", "livemax", "llm")
        self._breaker_opened = self._counter("breaker_opened", "Times a breaker opened.", "llm")
        self._lag = self._histogram("event_loop_lag_seconds", "Event-loop lag.", buckets=_SHORT_SECONDS)
        gauge("build_info", "Constant 1.", "livemax", "version").labels(version).set(1)

    def know(self, *, models: Iterable[str], llms: Iterable[str], embedders: Iterable[str] = ()) -> None:
        """Replace the names that have series of their own, as after a change of the config.

        Args:
            models: Names a client can ask for an answer.
            llms: LLMs of the pool, those that only merge included.
            embedders: Names by which the embedder is asked for; it is counted as `EMBEDDER`.
        """
        self._models = frozenset(models)
        self._llms = frozenset(llms)
        self._embedders = frozenset(embedders)

    def observe_request(
        self,
        *,
        endpoint: str,
        model: str | None,
        strategy: str | None,
        status: str,
        http_status: int,
        seconds: float,
        first_byte_seconds: float | None = None,
    ) -> None:
        """Count a request that ended.

        Args:
            endpoint: Its path, with names of parameters in place of their values.
            model: As asked for.
            strategy: What answered, if it came so far.
            status: How it ended: ok, degraded, failed, cancelled or refused.
            http_status: What the client was told.
            seconds: Wall time to the last byte.
            first_byte_seconds: Wall time to the first byte of the answer, where it was streamed.
        """
        embeds = endpoint == _EMBEDDINGS and model in self._embedders
        named = EMBEDDER if embeds else _among(model, self._models)
        endpoint = _among(endpoint, self._endpoints)
        strategy = _among(strategy, self._strategies)
        self._requests.labels(endpoint, named, strategy, _among(status, _STATUSES)).inc()
        self._responses.labels(endpoint, str(http_status) if 100 <= http_status < 600 else "other").inc()
        self._request_seconds.labels(endpoint, strategy).observe(seconds)
        if first_byte_seconds is not None:
            self._first_byte.labels(endpoint).observe(first_byte_seconds)

    def observe_unrouted(self, path: str, http_status: int, seconds: float) -> None:
        """Count a request that no route answers: 404, or 405; of its path, only a known beginning is a label."""
        known = (each for each in self._endpoints if each[0] == "/" and f"{path}/".startswith(f"{each}/"))
        self.observe_request(
            endpoint=next(known, "other"),
            model=None,
            strategy=None,
            status="refused",
            http_status=http_status,
            seconds=seconds,
        )
        self.observe_refusal("method_not_allowed" if http_status == 405 else "not_found")

    def observe_run(self, run: Run) -> None:
        """Count what a run did: its stages, calls, tokens, money, and what it lacked."""
        for stage, seconds in run.stage_seconds.items():
            self._stage_seconds.labels(_among(stage, _STAGES)).observe(seconds)
        for reason in run.degraded:
            self._degraded.labels(degraded_kind(reason)).inc()
        self.observe_attempts(run.attempts)

    def observe_attempts(self, attempts: Iterable[Attempt]) -> None:
        """Count calls to LLMs, of a run or of none: what failed before there was a record, what was handed through."""
        for attempt in attempts:
            llm = _among(attempt.llm, self._llms)
            self._attempts.labels(llm, attempt.stage, attempt.status).inc()
            if attempt.status == "skipped":
                continue
            if attempt.status == "ok":
                self._attempt_seconds.labels(llm, attempt.stage).observe(attempt.seconds)
            elif attempt.status != "cancelled":
                self._errors.labels(llm, _error_kind(attempt)).inc()
            if attempt.tries > 1:
                self._retries.labels(llm).inc(attempt.tries - 1)
            usage = attempt.usage
            self._count_tokens(llm, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
            if attempt.cost_usd is None:
                self._unpriced.labels(llm).inc()
            else:
                self._usd.labels(llm).inc(attempt.cost_usd)

    def _count_tokens(self, llm: str, prompt: int | None, completion: int | None, cached: int | None) -> None:
        for kind, tokens in (("prompt", prompt), ("completion", completion), ("cached", cached)):
            if tokens:
                self._tokens.labels(llm, kind).inc(tokens)

    def observe_cache(self, outcome: CacheOutcome) -> None:
        """Count a request that may share its answer."""
        self._cache.labels(outcome).inc()

    def observe_refusal(self, reason: str) -> None:
        """Count a request that was turned away; a reason that is not a `Refusal` counts as "other"."""
        self._refusals.labels(_among(reason, get_args(Refusal))).inc()

    def observe_wait(self, seconds: float) -> None:
        """Count the time a request spent in the queue."""
        self._queue_wait.observe(seconds)

    def observe_breaker(self, llm: str, state: BreakerState) -> None:
        """Set the state of an LLM's circuit breaker; call it whenever that changes."""
        name = _among(llm, self._llms)
        self._breakers.labels(name).set(_BREAKER_STATES[state])
        if state == "open":
            self._breaker_opened.labels(name).inc()

    async def watch(self, admission: Admission, *, interval: float = 0.25) -> None:
        """Measure the event loop's lag and the queue every `interval` seconds until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._running.set(admission.running)
            self._queue_length.set(admission.waiting)
            due = loop.time() + interval
            await asyncio.sleep(interval)
            self._lag.observe(max(0.0, loop.time() - due))

    def render(self) -> bytes:
        """Return everything in the text format of Prometheus (version 0.0.4); may be called on any thread."""
        if self._folder is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, self._folder)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def close(self) -> None:
        """Take what this process says about the present out of the sums of all workers."""
        if self._folder is not None:
            forget_worker(os.getpid(), Path(self._folder))


def _among(value: str | None, known: Iterable[str]) -> str:
    if not value:
        return "none"
    return value if value in known else "other"


def _error_kind(attempt: Attempt) -> str:
    """Return what kind of failure it was, from a bounded set; "broken" is one without an HTTP error."""
    status = attempt.http_status
    if attempt.status in ("timeout", "empty"):
        return attempt.status
    if status is None or not 300 <= status < 600:
        return "broken"
    if status == 429:
        return "rate_limited"
    return "not_authorized" if status in (401, 403) else f"{status // 100}xx"

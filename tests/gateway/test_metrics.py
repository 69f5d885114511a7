"""Metrics: what a run did can be read off them, labels are bounded, and several processes add up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smcs.gateway.admission import Admission
from smcs.gateway.metrics import Metrics, prepare_workers
from smcs.run import AttemptFinished, Query, Run, Trace
from smcs.types import Attempt, Choice, Usage


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(models=["smcs", "a"], llms=["a", "b"], strategies=["smcs"], version="1.2.3")


def read(source: Metrics | bytes) -> dict[str, float]:
    """Return what is rendered as values by name and labels."""
    text = (source if isinstance(source, bytes) else source.render()).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        f"{sample.name}{{{','.join(f'{name}={value}' for name, value in sorted(sample.labels.items()))}}}": sample.value
        for sample in samples
    }


def run_of(*attempts: Attempt) -> Run:
    trace = Trace()
    trace.start("smcs", Query.of("2 + 2?"), {})
    for attempt in attempts:
        trace.emit(AttemptFinished(attempt, trace.clock()))
    trace.degrade("reference lost: b (error: HTTP 500: no)")
    trace.degrade("what nobody foresaw")
    trace.stage("retrieval", 0.02)
    trace.stage("a stage of tomorrow", 0.3)
    return trace.finish(answer="four", answered_by="a")


def ok(llm: str = "a", *, cost_usd: float | None = 0.25, usage: Usage = Usage(10, 5, 2), tries: int = 1) -> Attempt:
    return Attempt(
        llm, "reference", "ok", choices=(Choice("four"),), seconds=0.4, usage=usage, cost_usd=cost_usd, tries=tries
    )


def request(
    metrics: Metrics, *, endpoint: str = "/v1/chat/completions", model: str = "smcs", status: str = "ok"
) -> None:
    metrics.observe_request(
        endpoint=endpoint, model=model, strategy="smcs", status=status, http_status=200, seconds=0.3
    )


def test_requests_are_counted_and_timed(metrics: Metrics) -> None:
    request(metrics)
    metrics.observe_request(
        endpoint="/v1/responses",
        model="a",
        strategy=None,
        status="failed",
        http_status=502,
        seconds=7.0,
        first_byte_seconds=0.06,
    )
    seen = read(metrics)
    assert seen["smcs_requests_total{endpoint=/v1/chat/completions,model=smcs,status=ok,strategy=smcs}"] == 1
    assert seen["smcs_requests_total{endpoint=/v1/responses,model=a,status=failed,strategy=none}"] == 1
    assert seen["smcs_responses_total{code=502,endpoint=/v1/responses}"] == 1
    assert seen["smcs_request_seconds_bucket{endpoint=/v1/chat/completions,le=0.25,strategy=smcs}"] == 0
    assert seen["smcs_request_seconds_bucket{endpoint=/v1/chat/completions,le=0.5,strategy=smcs}"] == 1
    assert seen["smcs_first_byte_seconds_sum{endpoint=/v1/responses}"] == 0.06
    assert "smcs_first_byte_seconds_sum{endpoint=/v1/chat/completions}" not in seen
    assert seen["smcs_build_info{version=1.2.3}"] == 1


def test_a_run_is_read_off_its_record(metrics: Metrics) -> None:
    failed = Attempt("b", "reference", "error", error="HTTP 500: no", http_status=500, tries=3, cost_usd=None)
    skipped = Attempt("b", "aggregation", "skipped", error="max_calls", tries=0, cost_usd=0.0)
    metrics.observe_run(run_of(ok(), ok(cost_usd=0.5, usage=Usage(1, None, None)), failed, skipped))
    seen = read(metrics)
    assert seen["smcs_attempts_total{llm=a,stage=reference,status=ok}"] == 2
    assert seen["smcs_attempts_total{llm=b,stage=reference,status=error}"] == 1
    assert seen["smcs_attempts_total{llm=b,stage=aggregation,status=skipped}"] == 1
    assert seen["smcs_attempt_seconds_count{llm=a,stage=reference}"] == 2
    assert seen["smcs_upstream_errors_total{kind=5xx,llm=b}"] == 1
    assert seen["smcs_retries_total{llm=b}"] == 2
    assert seen["smcs_usd_total{llm=a}"] == 0.75
    assert seen["smcs_unpriced_calls_total{llm=b}"] == 1
    assert "smcs_usd_total{llm=b}" not in seen, "an unknown price is never $0"
    assert seen["smcs_tokens_total{kind=prompt,llm=a}"] == 11
    assert seen["smcs_tokens_total{kind=completion,llm=a}"] == 5
    assert seen["smcs_tokens_total{kind=cached,llm=a}"] == 2
    assert seen["smcs_degraded_total{reason=reference_lost}"] == 1
    assert seen["smcs_degraded_total{reason=other}"] == 1
    assert seen["smcs_stage_seconds_sum{stage=retrieval}"] == 0.02
    assert seen["smcs_stage_seconds_sum{stage=other}"] == 0.3


@pytest.mark.parametrize(
    ("attempt", "kind"),
    [(Attempt("a", "reference", "timeout"), "timeout"),
     (Attempt("a", "reference", "empty", http_status=200), "empty"),
     (Attempt("a", "reference", "error"), "broken"),
     (Attempt("a", "reference", "error", http_status=200), "broken"),
     (Attempt("a", "reference", "error", http_status=429), "rate_limited"),
     (Attempt("a", "reference", "error", http_status=401), "not_authorized"),
     (Attempt("a", "reference", "error", http_status=404), "4xx"),
     (Attempt("a", "reference", "error", http_status=999), "broken")],
)  # fmt: skip
def test_upstream_errors_have_a_kind(metrics: Metrics, attempt: Attempt, kind: str) -> None:
    metrics.observe_attempts([attempt])
    assert read(metrics)[f"smcs_upstream_errors_total{{kind={kind},llm=a}}"] == 1


def test_giving_a_call_up_is_no_upstream_error(metrics: Metrics) -> None:
    metrics.observe_attempts([Attempt("a", "reference", "cancelled", error="straggler")])
    assert not [name for name in read(metrics) if name.startswith("smcs_upstream_errors_total")]


def test_no_request_can_add_series(metrics: Metrics) -> None:
    def series() -> int:
        return len(read(metrics))

    for number in range(3):
        request(metrics, endpoint=f"/{number}", model=f"m{number}", status=f"s{number}")
        metrics.observe_attempts([ok(f"llm{number}")])
        metrics.observe_refusal(f"r{number}")
        metrics.observe_breaker(f"llm{number}", "open")
        if number == 0:
            before = series()
    assert series() == before
    assert read(metrics)["smcs_requests_total{endpoint=other,model=other,status=other,strategy=smcs}"] == 3


def test_names_change_with_the_config(metrics: Metrics) -> None:
    metrics.know(models=["new"], llms=["c"])
    request(metrics, model="new")
    request(metrics, model="smcs")
    seen = read(metrics)
    assert seen["smcs_requests_total{endpoint=/v1/chat/completions,model=new,status=ok,strategy=smcs}"] == 1
    assert seen["smcs_requests_total{endpoint=/v1/chat/completions,model=other,status=ok,strategy=smcs}"] == 1


def test_the_embedder_is_counted_by_its_public_name(metrics: Metrics) -> None:
    metrics.know(models=["smcs"], llms=[], embedders=["smcs", "hashing"])
    for model in ("smcs", "hashing", "nope"):
        request(metrics, endpoint="/v1/embeddings", model=model)
    request(metrics, model="hashing")
    counts = {name: count for name, count in read(metrics).items() if name.startswith("smcs_requests_total")}
    assert counts == {
        "smcs_requests_total{endpoint=/v1/embeddings,model=smcs-embedder,status=ok,strategy=smcs}": 2,
        "smcs_requests_total{endpoint=/v1/embeddings,model=other,status=ok,strategy=smcs}": 1,
        "smcs_requests_total{endpoint=/v1/chat/completions,model=other,status=ok,strategy=smcs}": 1,
    }


def test_what_no_route_answers_is_counted_under_known_paths_only(metrics: Metrics) -> None:
    for path in ("/wp-login.php", "/v1/embeddingsx", "/v1/runs/a/b", "/v1/chat/completions/", "studio"):
        metrics.observe_unrouted(path, 404, 0.001)
    metrics.observe_unrouted("/health", 405, 0.001)
    seen = read(metrics)
    assert seen["smcs_responses_total{code=404,endpoint=other}"] == 3
    assert seen["smcs_responses_total{code=404,endpoint=/v1/runs}"] == 1
    assert seen["smcs_responses_total{code=404,endpoint=/v1/chat/completions}"] == 1
    assert seen["smcs_responses_total{code=405,endpoint=/health}"] == 1
    assert seen["smcs_requests_total{endpoint=other,model=none,status=refused,strategy=none}"] == 3
    assert seen["smcs_refusals_total{reason=not_found}"] == 5
    assert seen["smcs_refusals_total{reason=method_not_allowed}"] == 1


def test_cache_refusals_waits_and_breakers(metrics: Metrics) -> None:
    for outcome in ("hit", "miss", "miss", "coalesced"):
        metrics.observe_cache(outcome)
    metrics.observe_refusal("insufficient_quota")
    metrics.observe_wait(0.2)
    for state in ("open", "half-open"):
        metrics.observe_breaker("a", state)
    seen = read(metrics)
    assert seen["smcs_cache_total{outcome=miss}"] == 2
    assert seen["smcs_refusals_total{reason=insufficient_quota}"] == 1
    assert seen["smcs_queue_wait_seconds_count{}"] == 1
    assert seen["smcs_breaker_state{llm=a}"] == 1
    assert seen["smcs_breaker_opened_total{llm=a}"] == 1


class Watched(Admission):
    """Says when it has been looked at twice."""

    def __init__(self) -> None:
        super().__init__(2, 10, 60.0)
        self.looks = 0
        self.twice = asyncio.Event()

    @property
    def waiting(self) -> int:
        self.looks += 1
        if self.looks == 2:
            self.twice.set()
        return super().waiting


async def test_the_queue_and_the_event_loop_are_watched(metrics: Metrics) -> None:
    admission = Watched()
    async with admission.slot("k"), admission.slot("k"):
        waiting = asyncio.create_task(admission.acquire("k"))
        await asyncio.sleep(0)
        watching = asyncio.create_task(metrics.watch(admission, interval=0.001))
        await asyncio.sleep(0)
        time.sleep(0.02)  # noqa: ASYNC251 the loop is held up on purpose
        await admission.twice.wait()
        seen = read(metrics)
        for task in (watching, waiting):
            task.cancel()
        await asyncio.wait([watching, waiting])
    assert seen["smcs_running{}"] == 2
    assert seen["smcs_queue_length{}"] == 1
    assert seen["smcs_event_loop_lag_seconds_count{}"] == 1
    assert seen["smcs_event_loop_lag_seconds_sum{}"] >= 0.01


def test_memory_and_files_of_the_process_are_reported(metrics: Metrics) -> None:
    assert read(metrics)["process_open_fds{}"] > 0


WORKER = """
import sys
from smcs.gateway.metrics import Metrics
metrics = Metrics(models=["smcs"], llms=["a"])
metrics.observe_request(endpoint="/health", model=None, strategy=None, status="ok", http_status=200, seconds=0.1)
metrics.observe_breaker("a", sys.argv[1])
if sys.argv[2] == "close":
    metrics.close()
sys.stdout.buffer.write(metrics.render())
"""


def test_workers_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").write_bytes(b"left by an earlier worker")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    prepare_workers(folder)
    assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(folder)

    def work(state: str, end: str) -> dict[str, float]:
        done = subprocess.run([sys.executable, "-c", WORKER, state, end], capture_output=True, timeout=110, check=True)
        return read(done.stdout)

    work("half-open", "stay")
    seen = work("open", "close")
    assert seen["smcs_requests_total{endpoint=/health,model=none,status=ok,strategy=none}"] == 2
    assert seen["smcs_request_seconds_count{endpoint=/health,strategy=none}"] == 2
    assert seen["smcs_breaker_state{llm=a}"] == 1, "what a closed worker said of the present is gone, its counts stay"
    assert not any(name.startswith("process_") for name in seen)

"""Result files read once, off the event loop; what is broken is named with why; plots hold the report's own figures."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from starlette.requests import Request

from helpers_results import keep_arms, make_results, write_results
from smcs.bench import ResultFile, read_results
from smcs.bench.report import Report, build_report
from smcs.bench.report.cells import Section
from smcs.bench.report.sections import sections
from smcs.studio.frame import Studio
from smcs.studio.plot_options import draw
from smcs.studio.plots import HeatMap, Plot
from smcs.studio.results import catalogue, download
from smcs.studio.results.catalogue import Broken, Catalogue, Summary
from smcs.studio.results.drawing import plot_of, table_of
from smcs.studio.results.folder import find_file
from smcs.studio.results.listing import ResultRow, address, newest_first, result_row

ARMS = ("single", "moa", "smcs", "smcs-without-rps", "smcs-3-llms", "smcs-5-llms")


@pytest.fixture(scope="module")
def results() -> ResultFile:
    return keep_arms(make_results(12), *ARMS)


@pytest.fixture(scope="module")
def report(results: ResultFile) -> Report:
    return build_report([("x.jsonl.gz", results)], draws=200)


async def test_a_file_is_read_once_per_state_and_never_on_the_loops_thread(
    tmp_path: Path, results: ResultFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[threading.Thread] = []

    def watched(path: Path) -> ResultFile:
        read.append(threading.current_thread())
        return read_results(path)

    monkeypatch.setattr(catalogue, "read_results", watched)
    write_results(tmp_path, results, "run")
    known = Catalogue()
    found = [await known.summary(find_file(tmp_path, "run.jsonl.gz")) for _ in range(2)]
    assert found[0] is found[1]
    assert len(read) == 1
    assert read[0] is not threading.main_thread()
    (tmp_path / "run.jsonl.gz").write_bytes(gzip.compress(b'{"format": "other/1"}\n'))
    assert isinstance(await known.summary(find_file(tmp_path, "run.jsonl.gz")), Broken)


async def test_who_asks_meanwhile_waits_for_the_same_report(tmp_path: Path, results: ResultFile) -> None:
    write_results(tmp_path, keep_arms(results, "single", "moa"), "run")
    file, known = find_file(tmp_path, "run.jsonl.gz"), Catalogue()
    first = asyncio.create_task(known.report(file))
    second = asyncio.create_task(known.report(file))
    await asyncio.sleep(0)
    first.cancel()
    made = await second
    assert isinstance(made, Report)
    assert made is await known.report(file)
    other = await known.report(file, "moa")
    assert isinstance(other, Report)
    assert other.summary.baseline == "moa"
    nobody = await known.report(file, "<b>nobody</b>")
    assert isinstance(nobody, Broken)
    assert "Unknown baseline" in nobody.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"not json\n", "first line is no JSON"),
        (b'{"hello": 1}\n', "not a result file"),
        (b'{"format": "smcs-results/99"}\n', "smcs-results/99"),
        (b"\x1f\x8bnonsense", "damaged"),
        (b"[" * 100_000 + b"\n", ""),
    ],
)
async def test_a_broken_file_is_named_with_why_and_without_its_folder(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    file = find_file(tmp_path, "x.jsonl")
    found = await Catalogue().summary(file)
    assert isinstance(found, Broken)
    assert why in found.why
    assert str(tmp_path) not in found.why
    assert await Catalogue().report(file) == found
    row = result_row(file, found)
    assert (row.broken, row.href, row.why) == (True, "", found.why)


async def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.jsonl"
    with file.open("wb") as sparse:
        sparse.truncate(300 << 20)
    found = await Catalogue().summary(find_file(tmp_path, "huge.jsonl"))
    assert isinstance(found, Broken)
    assert "too large" in found.why


async def test_a_row_says_what_stands_in_the_file(tmp_path: Path, results: ResultFile) -> None:
    write_results(tmp_path, results, "a&b")
    file = find_file(tmp_path, "a&b.jsonl.gz")
    summary = await Catalogue().summary(file)
    assert isinstance(summary, Summary)
    row = result_row(file, summary)
    assert (row.name, row.made, row.commit) == ("made-up", "2026-01-02 03:04", "0123456789")
    assert (row.tasks, row.arms, row.questions) == ("arithmetic, mmlu_pro", "6", "24")
    assert row.href == "/results?file=a%26b.jsonl.gz"
    assert address("x", "a b") == "/results?file=x&baseline=a+b"
    assert result_row(file, None).why == "reading …"


def _plot(report: Report, key: str) -> tuple[Plot | HeatMap, Section]:
    (part,) = (part for part in sections(report) if part.key == key)
    plot = plot_of(report, part)
    assert plot is not None
    json.dumps(draw(plot).options, allow_nan=False)
    return plot, part


def test_every_plot_of_the_report_has_its_interactive_version(report: Report) -> None:
    drawn = {part.key for part in sections(report) if plot_of(report, part) is not None}
    assert drawn == {"accuracy", "comparison", "budget", "scaling", "ablations", "candidates", "ranking", "support"}


def test_plots_hold_the_reports_own_figures(report: Report) -> None:
    plot, part = _plot(report, "accuracy")
    assert isinstance(plot, Plot)
    best = max(report.summary.arms, key=lambda arm: arm.mean.accuracy.value if arm.mean.accuracy else 0)
    assert best.mean.accuracy is not None
    assert plot.y.labels[0] == best.name
    series = plot.series[0]
    assert series.values[0] == 100 * best.mean.accuracy.value
    assert (series.low[0], series.high[0]) == (100 * best.mean.accuracy.low, 100 * best.mean.accuracy.high)
    assert plot.table == table_of(part)
    assert len(plot.table.rows) == len(ARMS)

    plot, _ = _plot(report, "comparison")
    assert isinstance(plot, Plot)
    paired = {arm.name: arm.mean.against for arm in report.summary.arms}
    for name, value in zip(plot.y.labels, plot.series[0].values, strict=True):
        against = paired[name]
        assert against is not None
        assert value == 100 * against.difference
    assert "single" not in plot.y.labels


def test_the_front_climbs_in_steps_to_the_dearest_arm(report: Report) -> None:
    plot, _ = _plot(report, "budget")
    assert isinstance(plot, Plot)
    assert report.budget is not None
    front, *_, line = plot.series
    assert {value[2] for value in front.values if isinstance(value, tuple)} == set(report.budget.front)
    steps = cast("tuple[tuple[float, float], ...]", line.values)
    assert steps[-1][0] == max(point.spent for point in report.budget.points)
    assert all(b[0] >= a[0] and b[1] >= a[1] and (a[0] == b[0] or a[1] == b[1]) for a, b in zip(steps, steps[1:]))  # noqa: B905, RUF007
    assert plot.x.low is not None
    assert plot.x.low < min(point.spent for point in report.budget.points)


def test_support_is_coloured_up_to_its_largest_share(report: Report) -> None:
    plot, _ = _plot(report, "support")
    assert isinstance(plot, HeatMap)
    shares = [value for _, _, value, _ in plot.cells if value is not None]
    assert plot.highest == max(shares)


async def _download(folder: Path, monkeypatch: pytest.MonkeyPatch, **asked: str) -> Any:
    monkeypatch.setattr(download, "CATALOGUE", Catalogue())
    found = SimpleNamespace(folder=folder, config=SimpleNamespace(gateway=SimpleNamespace(results=".")))
    studio = cast("Studio", SimpleNamespace(service=lambda: SimpleNamespace(found=found)))
    query = urlencode(asked).encode()
    request = Request({"type": "http", "path": "/results/download", "headers": [], "query_string": query})
    return await download.send(request, studio)


async def test_downloads(tmp_path: Path, results: ResultFile, monkeypatch: pytest.MonkeyPatch) -> None:
    write_results(tmp_path, keep_arms(results, "single", "moa"), "my_run")
    (tmp_path / "broken.jsonl").write_bytes(b"x\n")
    plain = await _download(tmp_path, monkeypatch, file="my_run.jsonl.gz")
    assert plain.headers["content-disposition"] == 'attachment; filename="my-run.jsonl.gz"'
    table = await _download(tmp_path, monkeypatch, file="my_run.jsonl.gz", **{"as": "csv"})
    assert table.body.startswith(b"arm,strategy,task,accuracy")
    text = await _download(tmp_path, monkeypatch, file="my_run.jsonl.gz", **{"as": "md"}, baseline="moa")
    assert b"Against moa" in text.body
    refused = [
        await _download(tmp_path, monkeypatch, **asked)
        for asked in (
            {"file": "../x.jsonl"},
            {},
            {"file": "broken.jsonl", "as": "csv"},
            {"file": "my_run.jsonl.gz", "as": "exe"},
        )
    ]
    assert [response.status_code for response in refused] == [404, 404, 422, 400]


def test_experiments_are_listed_by_when_they_were_made() -> None:
    rows = [
        ResultRow(name, name, made=made) for name, made in (("a", "2026-01-02 03:04"), ("b", ""), ("c", "2026-05-01"))
    ]
    assert [row.file for row in newest_first(rows)] == ["c", "a", "b"]

"""The files of a report: one page that asks nobody for anything, and shows names as they are."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from helpers_results import keep_arms, make_results
from smcs.bench.report import Report, build_report, write_report
from smcs.bench.report.markdown import render_markdown
from smcs.bench.report.page import render_page
from smcs.bench.report.sections import sections
from smcs.bench.report.sheet import MEAN, render_csv
from smcs.bench.report.theme import DARK, LIGHT
from smcs.bench.results import ResultFile
from smcs.errors import ConfigError, MissingExtraError

HOSTILE = '=<script>alert("1")</script>|$x_1$&amp;'
VOID = {"meta", "br", "link", "img", "input", "hr"}


def renamed(results: ResultFile, old: str, new: str) -> ResultFile:
    arms = tuple(replace(arm, name=new) if arm.name == old else arm for arm in results.header.arms)
    rows = tuple(replace(row, arm=new) if row.arm == old else row for row in results.rows)
    return ResultFile(replace(results.header, arms=arms), rows)


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report([("r.jsonl.gz", renamed(make_results(15), "moa", HOSTILE))], draws=100)


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("report")
    write_report(report, where / "out")
    return where / "out"


class Page(HTMLParser):
    """Collects elements, and fails on a tag that is not closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_figure_comes_as_png_and_svg(folder: Path) -> None:
    names = {"accuracy", "comparison", "budget", "scaling", "ablations", "candidates", "ranking", "support"}
    assert {path.name for path in (folder / "figures").iterdir()} == {f"{n}.{k}" for n in names for k in ("png", "svg")}
    assert (folder / "figures" / "budget.png").read_bytes().startswith(b"\x89PNG")
    for path in (folder / "figures").glob("*.svg"):
        assert "<dc:date>" not in path.read_text()


def test_equal_reports_give_equal_bytes(report: Report, folder: Path, tmp_path: Path) -> None:
    for path in write_report(report, tmp_path):
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name


def test_the_page_asks_nobody_for_anything(html: str, page: Page) -> None:
    assert not page.attributes("src")
    assert all(target.startswith("#") for target in page.attributes("href") + page.attributes("xlink:href"))
    assert not re.findall(r"url\((?!#)|@import", html)
    assert {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "image", "base", "form"} == set()


def test_only_our_script_may_run(html: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "default-src 'none'" in html


def test_ids_are_unique_and_links_lead_somewhere(html: str, page: Page) -> None:
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    targets = {target[1:] for target in page.attributes("href")} | set(re.findall(r"url\(#([^)\"]+)\)", html))
    assert targets <= set(ids)


def test_plots_follow_the_theme(html: str) -> None:
    plots = re.findall(r"<figure>(.*?)</figure>", html, re.DOTALL)
    assert len(plots) == 8
    for plot in plots:
        assert set(re.findall(r"#[0-9a-f]{6}\b", plot)) == set()
        assert set(re.findall(r"var\(--(\w+)\)", plot)) <= {*LIGHT, "font"}
        assert 'role="img" aria-label="Plot: ' in plot


def contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read_in_both_themes(theme: dict[str, str]) -> None:
    for role in ("ink", "muted", "blue", "orange", "green", "violet"):
        assert contrast(theme[role], theme["surface"]) >= 4.5, role
    assert contrast(theme["gray"], theme["surface"]) >= 3


def test_names_are_shown_as_they_are(page: Page, folder: Path) -> None:
    assert HOSTILE in "".join(page.texts)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert f"{HOSTILE[:13]}...{HOSTILE[-10:]}" in "".join(page.texts)  # in a plot, where long names are cut
    markdown = (folder / "report.md").read_text()
    assert "<script>" not in markdown
    assert r"\<script\>alert" in markdown


def test_tables_are_accessible_and_sortable(page: Page) -> None:
    heads = [attributes for tag, attributes in page.elements if tag == "th"]
    assert heads
    assert all(head.get("scope") in ("col", "row") for head in heads)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("caption") == tags.count("table")
    assert page.attributes("data-order")


def test_what_is_missing_stands_before_the_figures(html: str, folder: Path, report: Report) -> None:
    assert report.cautions
    assert html.index("Before you read the figures") < html.index('<section id="accuracy"')
    markdown = (folder / "report.md").read_text()
    assert markdown.index("Before you read") < markdown.index("## Accuracy")


def test_markdown_tables_have_as_many_cells_in_every_row(report: Report, folder: Path) -> None:
    lines = (folder / "report.md").read_text().splitlines()
    widths = [len(re.findall(r"(?<!\\)\|", line)) - 1 for line in lines if line.startswith("|")]
    expected = [len(t.columns) for s in sections(report) for t in s.tables for _ in range(len(t.rows) + 2)]
    assert widths == expected
    for target in re.findall(r"\]\((figures/[^)]+)\)", "\n".join(lines)):
        assert (folder / target).is_file()


def test_provenance_is_there(html: str, folder: Path, report: Report) -> None:
    header = report.files[0][1][0]
    for text in (html, (folder / "report.md").read_text().replace("\\", "")):
        for fact in (header.command, header.commit, header.created, "memory_gb 8.0", "content_hash 0123abcd"):
            assert str(fact) in text


def test_the_sheet_has_a_row_per_arm_and_task(report: Report, folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((folder / "report.csv").read_text())))
    assert len(rows) == len(report.summary.arms) * 3
    assert {row["task"] for row in rows} == {*report.tasks, MEAN}
    assert not [row for row in rows if row["arm"].startswith("=")]
    smcs = next(row for row in rows if row["arm"] == "smcs" and row["task"] == MEAN)
    arm = next(arm for arm in report.summary.arms if arm.name == "smcs")
    assert arm.mean.accuracy is not None
    assert float(smcs["accuracy"]) == pytest.approx(arm.mean.accuracy.value)
    single = next(row for row in rows if row["arm"] == "single" and row["task"] == MEAN)
    assert single["difference"] == ""


def test_unknown_money_is_unknown_everywhere() -> None:
    report = build_report([("r", keep_arms(make_results(4, priced=False), "single", "majority_vote"))], draws=50)
    parts = sections(report)
    rows = list(csv.DictReader(io.StringIO(render_csv(report))))
    assert {row["cost_usd"] for row in rows} == {""}
    assert {row["cost_known_share"] for row in rows} == {"0"}
    for text in (render_page(report, parts, {}), render_markdown(report, parts, ())):
        assert "unknown" in text
        assert "$0" not in text.replace("\\", "")


def test_a_report_of_one_arm_and_question_is_written(tmp_path: Path) -> None:
    results = make_results(1, holes=False)
    rows = tuple(row for row in results.rows if row.arm == "single" and row.task == "arithmetic" and row.seed == 0)
    header = replace(results.header, tasks=("arithmetic",), arms=results.header.arms[:1], seeds=(0,))
    write_report(build_report([("r", ResultFile(header, rows))], draws=20), tmp_path)
    Page((tmp_path / "report.html").read_text())


def test_without_matplotlib_nothing_is_written(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", find_nothing)
    with pytest.raises(MissingExtraError, match=r"smcs\[bench\]"):
        write_report(report, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_is_one_line(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Cannot write the report"):
        write_report(report, tmp_path / "file")

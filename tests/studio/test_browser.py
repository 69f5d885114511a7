"""The studio as a person meets it: real Chromium in front of a real `smcs serve` over scripted LLMs."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from helpers_studio import QUESTION, StudioServer, chromium, open_page, studio_server
from smcs.bank import QuestionBank

pytestmark = pytest.mark.xdist_group("browser")

PAGES = ("/", "/runs", "/bank", "/bank?view=map", "/pool", "/results", "/spend")
expect.set_options(timeout=30_000)
_SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    with studio_server(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    with studio_server(tmp_path_factory.mktemp("locked"), keys="required") as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with open_page(browser) as tab:
        yield tab


def at(page: Page, name: str) -> Any:
    """Return what is marked with a name; of a form field the part one types into."""
    return page.locator(f"[data-testid={name}]")


_STREAMS = """() => {
    const one = name => document.querySelector(`[data-testid=${name}]`);
    return one("step-answers")?.textContent.includes("Three") && !one("stop").disabled;
}"""
"""Whether words of an answer are there while the question is still worked on."""


def ask(page: Page, question: str) -> None:
    at(page, "question").fill(question)
    at(page, "question").press("Enter")


def choose(page: Page, name: str, option: str) -> None:
    page.locator(f".q-select:has([data-testid={name}]), .q-select[data-testid={name}]").first.click()
    page.get_by_role("option", name=option).first.click()


def axe(page: Page) -> list[str]:
    """Return what keeps people out, by the rules of axe-core that are serious."""
    found = Axe().run(page)["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for rule in found
        if rule["impact"] in _SERIOUS
        for node in rule["nodes"]
    ]


def test_a_question_is_answered_live_and_explained(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    ask(page, QUESTION)
    expect(at(page, "step-pool")).to_contain_text("alpha")
    expect(at(page, "answer")).to_contain_text("Three and four are 7")
    expect(at(page, "answer").locator("math")).to_be_visible()
    expect(at(page, "why")).to_contain_text("alpha")
    for step, words in (
        ("step-support", "add the numbers"),
        ("step-answers", "gamma"),
        ("step-scores", "chosen"),
        ("step-timeline", "beta"),
        ("step-cost", "$"),
    ):
        expect(at(page, step)).to_contain_text(words)
    at(page, "run-link").click()
    page.wait_for_url("**/runs/*")
    expect(at(page, "run-question")).to_contain_text(QUESTION)
    expect(at(page, "answer")).to_contain_text("Three and four are 7")


def test_the_answers_stream_in_while_the_question_is_worked_on(browser: Browser, tmp_path: Path) -> None:
    with studio_server(tmp_path, latency=2.0) as slow, open_page(browser) as page:
        page.goto(slow.url)
        ask(page, QUESTION)
        expect(at(page, "stop")).to_be_enabled()
        expect(at(page, "step-pool")).to_contain_text("alpha")
        page.wait_for_function(_STREAMS)  # looked at in every frame
        expect(at(page, "answer")).to_contain_text("Three and four are 7")


def test_stopping_ends_every_call_and_says_so(browser: Browser, tmp_path: Path) -> None:
    with studio_server(tmp_path, latency=60.0) as slow, open_page(browser) as page:
        page.goto(slow.url)
        ask(page, QUESTION)
        expect(at(page, "step-pool")).to_contain_text("alpha")
        at(page, "stop").click()
        expect(at(page, "phase")).to_contain_text("Stopped")
        expect(at(page, "step-answers")).to_contain_text("given up")
        until = time.monotonic() + 30
        while True:  # the API's process writes it down a moment after the page has said it
            page.goto(f"{slow.url}/runs")
            expect(page.locator("main [role=status]:has-text('Loading')")).to_have_count(0)
            if at(page, "run-row").count() or time.monotonic() > until:
                break
        expect(at(page, "run-row").first).to_contain_text("cancelled")


def test_a_conversation_goes_on_in_sight_and_survives_a_reload(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    ask(page, QUESTION)
    expect(at(page, "run-link")).to_have_count(1)
    ask(page, "and once more?")
    expect(at(page, "question-asked").last).to_be_in_viewport()
    expect(at(page, "run-link")).to_have_count(2)
    page.reload()
    expect(at(page, "question-asked")).to_have_text([f"Your question{QUESTION}", "Your questionand once more?"])
    expect(at(page, "earlier-answer")).to_contain_text("Three and four are 7")
    ask(page, "and again?")
    expect(at(page, "run-link")).to_have_count(2)
    at(page, "run-link").last.click()
    page.wait_for_url("**/runs/*")
    expect(at(page, "run-question")).to_have_text("and again?")
    expect(at(page, "run-before")).to_contain_text("4 messages")
    at(page, "go-on").click()
    expect(at(page, "question-asked")).to_have_count(3)


def test_escape_closes_a_menu_before_it_stops_anything(browser: Browser, tmp_path: Path) -> None:
    with studio_server(tmp_path, latency=60.0) as slow, open_page(browser) as page:
        page.goto(slow.url)
        ask(page, QUESTION)
        expect(at(page, "step-pool")).to_contain_text("alpha")
        page.locator(".q-select:has([data-testid=compare])").first.click()
        expect(page.get_by_role("option").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("option")).to_have_count(0)
        expect(at(page, "stop")).to_be_enabled()
        at(page, "question").press("Enter")
        expect(at(page, "estimate")).to_contain_text("still being answered")
        at(page, "question").press("Escape")
        expect(at(page, "phase")).to_contain_text("Stopped")
        expect(at(page, "facts")).to_contain_text("cost unknown")
        ask(page, QUESTION)
        expect(at(page, "step-pool").nth(1)).to_contain_text("alpha")
        page.reload()
        expect(at(page, "no-past")).to_contain_text("still being answered")
        expect(at(page, "empty")).to_be_visible()


def test_feedback_reaches_the_bank(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    question = "add the numbers 90 and 91 for the feedback"
    ask(page, question)
    expect(at(page, "answer")).to_contain_text("Three and four")
    at(page, "correct-answer").fill("181")
    at(page, "save-answer").click()
    expect(at(page, "learned")).to_contain_text("bank", ignore_case=True)
    bank = QuestionBank.open(server.folder / "bank.db")
    try:
        assert question in {each.text for each in bank.iter_questions()}
    finally:
        bank.close()


def test_two_models_side_by_side(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    choose(page, "compare", "smcs/majority_vote")
    ask(page, QUESTION)
    expect(at(page, "run-view")).to_have_count(2)
    for index in range(2):
        expect(at(page, "answer").nth(index)).to_contain_text("Three and four are 7")


def test_two_runs_are_compared(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    for question in (QUESTION, "which city lies at river 3 near hill 4"):
        ask(page, question)
        expect(at(page, "question-asked").filter(has_text=question)).to_be_visible()
        expect(at(page, "answer").last).to_contain_text("Three and four")
    page.goto(f"{server.url}/runs")
    for index in range(2):
        at(page, "run-pick").nth(index).check()
    at(page, "compare-picked").click()
    page.wait_for_url("**/runs/compare*")
    expect(at(page, "compare-columns")).to_contain_text(QUESTION)
    expect(at(page, "compare-table")).to_contain_text("Calls", ignore_case=True)


def test_the_heat_map_shows_who_is_good_at_what(page: Page, server: StudioServer) -> None:
    page.goto(f"{server.url}/bank")
    heat = at(page, "bank-heat-map")
    expect(heat).to_contain_text("alpha")
    expect(heat).to_contain_text("cities")
    with page.expect_download() as started:
        heat.locator("[data-testid=plot-data]").click()
    lines = Path(started.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert any("alpha" in line and "sums" in line for line in lines)


def test_a_hostile_answer_stays_a_text(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    for model in ("smcs", "alpha"):
        if model != "smcs":
            choose(page, "model", model)
        ask(page, "ATTACK")
        expect(at(page, "run-link")).to_have_count(1 if model == "smcs" else 2)
        expect(at(page, "answer").last).to_contain_text("Hello")
        expect(at(page, "send")).to_be_enabled()
    at(page, "run-link").last.click()
    page.wait_for_url("**/runs/*")
    expect(at(page, "answer")).to_contain_text("Hello")
    assert page.evaluate("window.hacked") is None
    for tag in ("script", "iframe", "form[action*=attacker]", "svg[onload]", "img[src*=attacker]", "base"):
        assert at(page, "answer").locator(tag).count() == 0, tag
    links = at(page, "answer").locator("a").evaluate_all("all => all.map(each => each.href)")
    assert all(link.startswith(("http:", "https:", "mailto:")) for link in links)
    expect(page.locator("body")).to_be_visible()


def test_long_and_right_to_left_answers(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    ask(page, "ARABIC")
    expect(at(page, "answer")).to_contain_text("الجواب")
    block = at(page, "answer").locator("[dir=auto]", has_text="الجواب").last
    assert block.evaluate("each => getComputedStyle(each).direction") == "rtl"
    ask(page, "LONG")
    expect(at(page, "text-all").last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollHeight") < 40_000


def test_signing_in(browser: Browser, locked: StudioServer) -> None:
    with open_page(browser, errors=("401",)) as page:
        page.goto(f"{locked.url}/spend")
        assert "/sign-in" in page.url
        page.get_by_label("API key").fill("sk-smcs-wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("not valid")
        page.get_by_label("API key").fill(locked.key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{locked.url}/spend")
        expect(page.locator("h1")).to_have_text("Spend")
        cookie = next(each for each in page.context.cookies() if each["name"] == "smcs_session")
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        assert locked.key not in json.dumps(page.context.cookies())
        expect(at(page, "spend-budgets")).to_be_visible()  # only once the page is connected
        at(page, "sign-out").click()
        page.wait_for_url("**/sign-in")
        page.goto(locked.url)
        assert "/sign-in" in page.url


def sign_in(page: Page, server: StudioServer, key: str) -> None:
    page.goto(f"{server.url}/sign-in")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{server.url}/")


def test_a_shared_run_is_seen_by_others_and_only_while_it_is_shared(browser: Browser, locked: StudioServer) -> None:
    with open_page(browser) as admin, open_page(browser) as ann:
        sign_in(admin, locked, locked.admin_key)
        ask(admin, QUESTION)
        expect(at(admin, "answer")).to_contain_text("Three and four")
        at(admin, "run-link").click()
        admin.wait_for_url("**/runs/*")
        sign_in(ann, locked, locked.key)
        ann.goto(admin.url)
        expect(at(ann, "run-missing")).to_be_visible()
        at(admin, "share").click()
        expect(at(admin, "shared")).to_be_visible()
        ann.goto(admin.url)
        expect(at(ann, "answer")).to_contain_text("Three and four")
        ann.goto(f"{locked.url}/pool")
        expect(at(ann, "pool-switch")).to_have_count(0)


def test_a_revoked_key_ends_an_open_page(browser: Browser, locked: StudioServer) -> None:
    with open_page(browser, errors=("401",)) as page:
        sign_in(page, locked, locked.leaving_key)
        expect(at(page, "question")).to_be_visible()  # only once the page is connected
        with sqlite3.connect(locked.folder / "ledger.db") as database:
            database.execute("update gateway_keys set revoked = '2026-01-01T00:00:00.000+00:00' where name = 'leo'")
            database.execute("update gateway_meta set keys_version = keys_version + 1")
        page.wait_for_url("**/sign-in*")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_no_page_keeps_people_out(browser: Browser, server: StudioServer, path: str, dark: bool) -> None:
    with open_page(browser, dark=dark) as page:
        page.goto(server.url + path)
        expect(page.locator("main [role=status]:has-text('Loading')")).to_have_count(0)
        page.wait_for_timeout(300)
        assert axe(page) == []
        if path == "/":
            ask(page, QUESTION)
            expect(at(page, "answer")).to_contain_text("Three and four")
            expect(at(page, "send")).to_be_enabled()
            assert axe(page) == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_fits_a_phone(browser: Browser, server: StudioServer, path: str) -> None:
    with open_page(browser, width=390) as page:
        page.goto(server.url + path)
        expect(page.locator("main [role=status]:has-text('Loading')")).to_have_count(0)
        if path == "/":
            ask(page, QUESTION)
            expect(at(page, "answer")).to_contain_text("Three and four")
            expect(at(page, "step-cost")).to_be_visible()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_dark_mode_is_remembered(page: Page, server: StudioServer) -> None:
    page.goto(server.url)
    expect(page.locator("body")).not_to_have_class("body--dark")
    at(page, "theme").click()
    expect(page.locator("body.body--dark")).to_have_count(1)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.goto(f"{server.url}/runs")
    expect(page.locator("body.body--dark")).to_have_count(1)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == background


def test_the_keyboard_is_enough(page: Page, server: StudioServer) -> None:
    page.goto(f"{server.url}/pool")
    expect(at(page, "pool-row").first).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.goto(server.url)
    expect(at(page, "question")).to_be_focused()
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(at(page, "answer")).to_contain_text("Three and four")


def test_what_goes_out_follows_the_policy(server: StudioServer) -> None:
    with urllib.request.urlopen(server.url, timeout=20) as answer:  # noqa: S310 our own server
        policy = answer.headers["content-security-policy"]
        body = answer.read().decode()
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert QUESTION not in body
    assert "http://" not in body.replace("http://www.w3.org", "").replace(server.url, "")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/chat/completions", 405), ("POST", "/nowhere", 404)]
)
def test_the_api_beside_the_studio_says_itself_what_it_lacks(
    server: StudioServer, method: str, path: str, status: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(server.url + path, method=method), timeout=20)  # noqa: S310 ours
    assert caught.value.code == status
    assert set(json.load(caught.value)) == {"error"}
    assert caught.value.headers["allow"] == ("POST" if status == 405 else None)
    caught.value.close()

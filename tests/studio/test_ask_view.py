"""The view of a run, as elements: what it shows, and that an update changes only what is different."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import cast

import pytest
from nicegui import Client, background_tasks, core, ui
from nicegui.element import Element
from nicegui.page import page

from helpers_methods import KNOWN, says
from helpers_runs import watch
from helpers_strategies import SETTINGS, make_bank
from smcs.bank import QuestionBank
from smcs.gateway.desk import Desk
from smcs.gateway.reception import Reception
from smcs.run import AttemptFinished, TextArrived
from smcs.studio.ask import Fold, Progress, RunView, of_run
from smcs.studio.ask.state import Answer, Call, PoolRow
from smcs.studio.frame import Studio
from smcs.studio.viewer import Viewer

HOSTILE = "<img src=x onerror=alert(1)>\"' {{7*7}} \u202eabc\ud800"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    bank = asyncio.run(make_bank(tmp_path_factory.mktemp("known") / "bank.db", KNOWN))
    yield bank
    bank.close()


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(core, "loop", asyncio.get_running_loop())
    made = Client(page(""))
    yield made
    rendering = [task for task in background_tasks.running_tasks if task.get_name() == "render a text"]
    if rendering:
        await asyncio.wait(rendering, timeout=20)
    made.delete()


def viewed(client: Client) -> RunView:
    # Nothing of the gateway is touched before somebody says what they think of an answer.
    with client:
        return RunView(Studio(cast("Reception", None), Viewer(None), cast("Desk", None)))


def is_shown(element: Element) -> bool:
    return element.visible and (element.parent_slot is None or is_shown(element.parent_slot.parent))


def texts(client: Client, marker: str | None = None) -> list[str]:
    """Return the plain texts that are visible, in one marked element or everywhere."""
    everything = list(client.content.descendants())
    roots = [each for each in everything if marker is None or each.props.get("data-testid") == marker]
    inside = roots if marker is None else [each for root in roots for each in root.descendants(include_self=True)]
    return [each.text for each in inside if isinstance(each, ui.label) and each.text and is_shown(each)]


def steps(client: Client) -> list[str]:
    marked = [(element.props.get("data-testid", ""), element) for element in client.content.descendants()]
    return [name for name, element in marked if str(name).startswith("step-") and is_shown(element)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("single", ["answers", "timeline", "cost"]),
        ("rps", ["support", "pool", "answers", "timeline", "cost"]),
        ("majority_vote", ["support", "pool", "answers", "scores", "timeline", "cost"]),
        ("moa", ["answers", "merges", "timeline", "cost"]),
        ("smcs", ["support", "pool", "answers", "merges", "scores", "timeline", "cost"]),
        ("smcs_guarded", ["support", "pool", "answers", "merges", "scores", "timeline", "cost"]),
    ],
)
async def test_a_strategy_shows_the_steps_it_has(
    known: QuestionBank, client: Client, name: str, expected: list[str]
) -> None:
    watched = await watch(known, name)
    view = viewed(client)
    view.show(of_run(watched.run))
    assert steps(client) == [f"step-{each}" for each in expected]
    assert texts(client, "why")[0].startswith(("guide", "adder", "Written by", "This is the answer"))
    assert texts(client, "run-link") == []
    assert any("cost" in text for text in texts(client, "facts"))


@pytest.mark.parametrize("name", ["single", "self_consistency", "moa", "jisi", "smcs", "smcs_guarded"])
async def test_live_and_stored_look_the_same(known: QuestionBank, client: Client, name: str) -> None:
    scripts = {"adder": {"failures": "timeout"}, **{each: says("A") for each in ("guide", "half")}}
    watched = await watch(known, name, scripts=scripts, settings=replace(SETTINGS, samples=2, replace_failed=True))
    fold, view = Fold(), viewed(client)
    for at, event in enumerate(watched.events):
        fold.add(event)
        if at % 10 == 0 or event is watched.events[-1]:
            view.show(fold.progress())
    live = sorted(texts(client))
    client.content.clear()
    viewed(client).show(of_run(watched.run))
    assert sorted(texts(client)) == live


async def test_what_went_wrong_stands_by_the_answer(known: QuestionBank, client: Client) -> None:
    watched = await watch(known, "smcs", scripts={"adder": {"failures": "refused"}})
    viewed(client).show(of_run(watched.run))
    assert any("adder gave no answer" in text for text in texts(client, "degradations"))


async def test_a_failed_run_says_why_and_shows_no_step_that_has_nothing(client: Client) -> None:
    viewed(client).show(Progress(run_id="0" * 32, phase="failed", error="No LLM returned an answer:\n- one: timeout"))
    assert texts(client, "run-error") == ["No LLM returned an answer:\n- one: timeout"]
    assert texts(client, "phase") == ["No answer."]
    assert steps(client) == []


async def test_names_and_texts_of_others_never_become_markup(client: Client) -> None:
    call = Call("k", HOSTILE, "reference", "error", started=0.0, seconds=1.0, why=HOSTILE)
    progress = Progress(
        phase="done",
        pool=(PoolRow(HOSTILE, 0.5, recruited=True), PoolRow("b", out=HOSTILE)),
        answers=(call,),
        answer=Answer("fine", HOSTILE),
        degradations=(HOSTILE,),
        remarks=(HOSTILE,),
        seconds=1.0,
    )
    viewed(client).show(progress)
    for element in client.elements.values():
        assert "\ud800" not in str(element.props)
        assert not ("innerHTML" in element.props and "onerror" in str(element.props["innerHTML"]))
        assert "onerror" not in element.props
        assert "onerror" not in str(element.style)
    assert any("<img" in text for text in texts(client))


async def test_an_update_sends_only_what_changed(known: QuestionBank, client: Client) -> None:
    watched = await watch(known, "smcs")
    sent = next(at for at, event in enumerate(watched.events) if isinstance(event, AttemptFinished))
    fold, view = Fold(), viewed(client)
    for event in watched.events[:sent]:
        fold.add(event)
    view.show(fold.progress())
    updates: list[int] = []
    client.outbox.enqueue_update = lambda element: updates.append(element.id)  # type: ignore[method-assign]
    view.show(fold.progress())
    assert updates == []
    before = len(client.elements)
    for _ in range(500):
        fold.add(TextArrived("adder", "reference", "word ", "", 1.0))
    view.show(fold.progress(1.2))
    assert len(client.elements) == before
    assert 0 < len(set(updates)) < 25


async def test_very_many_llms_are_cut_and_can_be_shown(client: Client) -> None:
    rows = tuple(PoolRow(f"llm {at}", 1 - at / 500, recruited=at in (0, 400)) for at in range(500))
    calls = tuple(
        Call(f"c{at}", f"llm {at}", "reference", "ok", started=0.0, seconds=1.0, texts=("x" * 100_000,))
        for at in range(500)
    )
    view = viewed(client)
    view.show(Progress(phase="done", pool=rows, answers=calls, answer=Answer("x", "llm 0"), seconds=1.0))
    marked = [str(element.props.get("data-testid")) for element in client.elements.values()]
    assert marked.count("pool-row") == 13
    assert marked.count("answer-card") == 24
    assert len(client.elements) < 2_000

"""The live view of a run, fed with the events of scripted runs and drawn on a recording console."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from helpers_strategies import SETTINGS, make_bank, member, resources, run, scripted
from smcs.cli._view import LiveView, explain, summary
from smcs.run import (
    AttemptStarted,
    CandidateArrived,
    CandidatesScored,
    Event,
    PriorFound,
    Run,
    RunFinished,
    RunStarted,
    SubsetsDrawn,
)
from smcs.types import Price

ACCURACY = {"adder": {"sums": 1.0}, "half": {"sums": 0.5}, "poor": {"sums": 0.1}, "merger": {"sums": 0.05}}

Story = tuple[Run, list[Event]]


def drawn(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), record=True, width=180, markup=False, emoji=False)
    console.print(renderable)
    return console.export_text()


def view_until(events: list[Event], kind: type, *, count: int = 1) -> LiveView:
    """Feed events up to and with the `count`-th of a kind."""
    view = LiveView()
    for event in events:
        view.on(event)
        count -= isinstance(event, kind)
        if count == 0:
            return view
    raise AssertionError(f"no {kind.__name__}")


@pytest.fixture
async def story(tmp_path: Path) -> Story:
    bank = await make_bank(tmp_path / "bank.db", ACCURACY)
    members = [
        member(scripted("adder")),
        member(scripted("half", failures="refused")),
        member(scripted("poor"), price=None),
        member(scripted("merger", replies=["[/red] merged :smile: \x1b[31m"])),
    ]
    return await run(resources(*members, bank=bank))


async def test_before_anything_is_known_it_says_what_it_does(story: Story) -> None:
    shown = drawn(view_until(story[1], RunStarted))
    assert "add the numbers 3 and 4" in shown
    assert "choosing whom to ask" in shown


async def test_it_shows_who_was_chosen_and_why(story: Story) -> None:
    record, events = story
    shown = drawn(view_until(events, PriorFound))
    assert f"{record.support_size} similar questions; nearest (" in shown
    rows = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    assert "100%" in rows["adder"]
    assert "█" * 16 in rows["adder"]
    assert "not asked" in rows["merger"]
    assert "not asked" not in rows["poor"]
    assert "waiting for references" in shown


async def test_it_shows_who_is_answering_and_who_failed(story: Story) -> None:
    _, events = story
    shown = drawn(view_until(events, AttemptStarted, count=3))
    assert shown.count("answering") == 3
    shown = drawn(view_until(events, CandidateArrived))
    rows = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    assert "answered in" in rows["adder"]
    assert "error: HTTP 400: scripted refusal" in rows["half"]
    assert "degraded: reference lost: half" in shown


async def test_it_shows_candidates_as_they_arrive_and_their_scores(story: Story) -> None:
    record, events = story
    total = len(next(event for event in events if isinstance(event, SubsetsDrawn)).subsets)
    merging = drawn(view_until(events, AttemptStarted, count=4))
    assert f"merger merges references: 0 of {total}" in merging
    early = drawn(view_until(events, CandidateArrived))
    assert "merged" in early
    assert "comparing candidates" in early
    scored = drawn(view_until(events, CandidatesScored))
    for candidate in record.candidates:
        assert candidate.score is not None
        assert f"{candidate.score:.3f}" in scored
        assert ", ".join(candidate.members) in scored


async def test_model_text_is_shown_as_it_is_but_cannot_drive_the_terminal(story: Story) -> None:
    shown = drawn(view_until(story[1], RunFinished))
    assert "[/red] merged :smile: [31m" in shown
    assert "\x1b" not in shown


async def test_at_the_end_nothing_turns_any_more(story: Story) -> None:
    shown = drawn(view_until(story[1], RunFinished))
    assert "waiting" not in shown
    assert "merges references" not in shown


async def test_without_a_bank_it_says_so() -> None:
    _, events = await run(resources(*(member(scripted(name)) for name in ("a", "merger"))))
    shown = drawn(view_until(events, RunFinished))
    assert "no question bank: every LLM has the same prior" in shown


async def test_the_report_holds_calls_priors_and_scores(story: Story) -> None:
    record, _ = story
    shown = drawn(explain(record))
    for words in (
        "Support questions",
        "Priors",
        "Calls",
        "Candidates",
        "error: HTTP 400: scripted refusal",
        "retrieval",
    ):
        assert words in shown
    assert shown.count("aggregation") == sum(attempt.stage == "aggregation" for attempt in record.attempts)
    assert "unknown" in shown


async def test_the_summary_is_honest_about_what_is_unknown(story: Story) -> None:
    line = summary(story[0]).plain
    assert "at least" in line
    assert "cost unknown (at least $0.0" in line
    known, _ = await run(resources(*(member(scripted(n), price=Price(0, 0)) for n in ("a", "merger"))), SETTINGS)
    assert "cost $0.0000" in summary(known).plain
    assert "at least" not in summary(known).plain

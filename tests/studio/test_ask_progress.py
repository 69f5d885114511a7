"""The fold: live events and the stored record end in the same view, for every strategy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from helpers_methods import KNOWN, says
from helpers_runs import Watched, watch
from helpers_strategies import SETTINGS, make_bank
from smcs.bank import QuestionBank
from smcs.gateway.ledger import Entry, Redaction
from smcs.gateway.retention import kept, pack, unpack
from smcs.run import AnswerBegins, AttemptFinished, Event, RunFinished, TextArrived
from smcs.strategies import STRATEGIES
from smcs.studio.ask import Fold, Progress, of_run
from smcs.types import Capabilities

VOTERS = {name: says(letter) for name, letter in zip(("adder", "guide", "half", "poor"), "AABC", strict=True)}
FAILING = {**VOTERS, "adder": {"failures": "refused"}, "half": {"failures": "timeout"}}
SMALL = replace(SETTINGS, samples=3)
ONE_CANDIDATE = ("single", "simple_router", "rps", "moa", "self_moa", "symbolic_moe")
FIGURES = (
    "run_id",
    "strategy",
    "question",
    "settings",
    "support",
    "pool",
    "subsets",
    "candidates",
    "chosen",
    "scores",
    "degradations",
    "remarks",
    "totals",
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionBank]:
    bank = asyncio.run(make_bank(tmp_path_factory.mktemp("known") / "bank.db", KNOWN))
    yield bank
    bank.close()


def folded(events: tuple[Event, ...]) -> Progress:
    fold = Fold()
    for event in events:
        fold.add(event)
        fold.progress()
    return fold.progress()


def before_the_end(watched: Watched) -> Progress:
    """Return the view of all events but the last, which is the record itself."""
    assert isinstance(watched.events[-1], RunFinished)
    return folded(watched.events[:-1])


def same_figures(live: Progress, stored: Progress) -> None:
    """Compare all that events and record both know; whose answers a merge saw, a record may not tell."""
    for name in FIGURES:
        assert getattr(live, name) == getattr(stored, name), name
    for name in ("answers", "merges"):
        told, kept_ = getattr(live, name), getattr(stored, name)
        assert (told is None) == (kept_ is None)
        for one, other in zip(told or (), kept_ or (), strict=True):
            assert replace(one, members=()) == replace(other, members=())
            assert other.members in ((), one.members)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize(
    ("scripts", "makes_up"), [(VOTERS, False), (FAILING, False), (FAILING, True)], ids=["well", "gone", "replaced"]
)
async def test_events_and_record_give_the_same_view(
    known: QuestionBank, name: str, scripts: Mapping[str, Any], makes_up: bool
) -> None:
    watched = await watch(known, name, scripts=scripts, settings=replace(SMALL, replace_failed=makes_up))
    stored = of_run(watched.run)
    if watched.error is not None:
        same_figures(folded(watched.events), stored)
        return
    assert folded(watched.events) == stored
    live = before_the_end(watched)
    if name in (*ONE_CANDIDATE, "jisi") and stored.candidates is not None:
        live = replace(live, chosen=0)
    same_figures(live, stored)
    assert (stored.phase, stored.answer and stored.answer.text) == ("done", watched.run.answer)


async def test_what_does_not_apply_is_absent(known: QuestionBank) -> None:
    single = of_run((await watch(known, "single")).run)
    assert (single.support, single.pool, single.subsets, single.merges, single.scores) == (None,) * 5
    assert [call.llm for call in single.answers] == ["guide"]
    smcs = of_run((await watch(known, "smcs")).run)
    assert smcs.support is not None
    assert smcs.support.size >= 10
    assert smcs.pool is not None
    assert [row.llm for row in smcs.pool if row.recruited] == ["adder", "half", "guide"]
    assert smcs.scores is not None
    assert smcs.scores.terms == ("similarity", "sureness")
    assert smcs.scores.formula == "total = similarity + (1 - perplexity)"
    assert smcs.scores.rows[0].chosen


async def test_a_guarded_run_scores_by_votes(known: QuestionBank) -> None:
    watched = await watch(known, "smcs_guarded", scripts=VOTERS)
    shown = of_run(watched.run)
    assert shown.scores is not None
    assert "agreement" in shown.scores.terms
    assert shown.scores.formula.startswith("total = logarithm of the probability")
    vote = of_run((await watch(known, "majority_vote", scripts=VOTERS)).run)
    assert vote.scores is not None
    assert vote.scores.formula == "total = share of the votes for the answer"


async def test_who_failed_and_who_stood_in_is_shown(known: QuestionBank) -> None:
    settings = replace(SETTINGS, k=2, replace_failed=True)
    watched = await watch(known, "smcs", scripts={"adder": {"failures": "refused"}}, settings=settings)
    shown = of_run(watched.run)
    rows = {row.llm: row for row in shown.pool or ()}
    assert (rows["adder"].recruited, rows["adder"].replaced_by) == (False, "guide")
    assert (rows["guide"].recruited, rows["guide"].replaces) == (True, "adder")
    assert [(call.llm, call.status) for call in shown.answers] == [("adder", "error"), ("guide", "ok"), ("half", "ok")]
    assert "HTTP 400" in shown.answers[0].why
    assert shown.degradations == ("adder gave no answer (HTTP 400: scripted refusal); guide was asked instead.",)


async def test_an_llm_that_is_out_stands_in_the_pool_with_why(known: QuestionBank) -> None:
    why = "circuit open since 12:03:05 UTC (HTTP 503: busy)"
    watched = await watch(known, "smcs", out={"adder": why, "poor": "switched off"})
    shown = of_run(watched.run)
    assert {row.llm: row.out for row in shown.pool or () if row.out} == {"adder": why, "poor": "switched off"}
    assert folded(watched.events) == shown


async def test_a_run_that_failed_says_so(known: QuestionBank) -> None:
    broken = {name: {"failures": "refused"} for name in (*VOTERS, "merger")}
    watched = await watch(known, "smcs", scripts=broken)
    assert watched.error is not None
    fold = Fold()
    for event in watched.events:
        fold.add(event)
    fold.end("failed", str(watched.error))
    live, stored = fold.progress(), of_run(watched.run)
    assert (live.phase, stored.phase) == ("failed", "failed")
    assert live.answer is None
    assert stored.answer is None
    same_figures(live, stored)


async def test_the_answer_of_a_router_is_shown_while_it_is_written(known: QuestionBank) -> None:
    watched = await watch(known, "rps", scripts={"adder": {"replies": ["seven it is"]}})
    fold, seen = Fold(), []
    for event in watched.events:
        fold.add(event)
        answer = fold.progress().answer
        seen.append("" if answer is None else answer.text)
    assert "seven" in seen
    assert seen[-1] == "seven it is"
    assert any(isinstance(event, AnswerBegins) for event in watched.events)


@pytest.mark.parametrize(("strategy", "max_n"), [("smcs", 1), ("smcs", 8), ("best_of_n", 8), ("self_consistency", 1)])
async def test_texts_that_are_written_together_are_shown_apart(known: QuestionBank, strategy: str, max_n: int) -> None:
    facts = {"price": None, "capabilities": Capabilities(logprobs=True, max_n=max_n)}
    names = ("merger", "adder", "guesser")
    replies = {"replies": [f"text number {i} goes on like {i}" for i in range(8)], "max_n": max_n}
    watched = await watch(known, strategy, facts=dict.fromkeys(names, facts), scripts=dict.fromkeys(names, replies))
    fold, together = Fold(), 0
    live: dict[str, tuple[str, ...]] = {}
    for event in watched.events:
        fold.add(event)
        if not isinstance(event, TextArrived | AttemptFinished):
            continue
        now = fold.progress()
        calls = (*now.answers, *(now.merges or ()))
        together = max(together, sum(text != "" for call in calls for text in call.live))
        for call in calls:
            if call.status == "running":
                assert call.written == sum(map(len, call.live))
                live[call.key] = call.live
            elif call.status == "ok" and call.key in live:
                written = live.pop(call.key)
                assert [text.strip() for text in written] == [text.strip() for text in call.texts]
    assert together > 1


async def test_a_run_that_is_stopped_leaves_nothing_running(known: QuestionBank) -> None:
    watched = await watch(known, "smcs")
    begun = next(at for at, event in enumerate(watched.events) if isinstance(event, AttemptFinished))
    fold = Fold()
    for event in watched.events[:begun]:
        fold.add(event)
    running = fold.progress()
    assert {call.status for call in running.answers} == {"running"}
    assert running.phase == "asking"
    fold.end("stopped", elapsed=3.0)
    stopped = fold.progress(9.0)
    assert {call.status for call in stopped.answers} == {"cancelled"}
    assert (stopped.phase, stopped.seconds) == ("stopped", 3.0)
    assert all((call.started or 0.0) + (call.seconds or 0.0) == 3.0 for call in stopped.answers)
    assert next(span.end for span in stopped.spans if span.name == "Answering") == 3.0
    # What calls took that were given up is not known, and they were made.
    assert stopped.totals.calls == len(stopped.answers) > 0
    assert (stopped.totals.cost_usd, stopped.totals.usage.completion_tokens) == (None, None)
    fold.add(watched.events[begun])  # the end of a call that was told late is that call's, not another one's
    assert fold.progress().totals.calls == stopped.totals.calls


async def test_there_is_news_where_more_than_the_time_has_changed(known: QuestionBank) -> None:
    watched = await watch(known, "smcs")
    fold = Fold()
    quiet: list[bool] = []
    for event in watched.events[:-1]:
        before = fold.progress()
        quiet.append(not fold.has_news)
        fold.add(event)
        news, after = fold.has_news, fold.progress()
        same = replace(before, seconds=0.0) == replace(after, seconds=0.0)
        assert news or same
    assert all(quiet)
    fold.end("stopped")
    assert fold.has_news


@pytest.mark.parametrize("redaction", ["none", "texts"])
async def test_a_record_out_of_the_ledger_is_shown(known: QuestionBank, redaction: Redaction) -> None:
    watched = await watch(known, "smcs", scripts={"adder": {"failures": "refused"}})
    entry = kept(Entry.of_run(watched.run, endpoint="studio", model="smcs"), redaction)
    assert entry.record is not None
    shown = of_run(unpack(pack(entry.record)))
    assert shown.texts_are_kept is (redaction == "none")
    assert shown.degradations[0].startswith("adder gave no answer")
    if redaction == "none":
        whole = of_run(watched.run)
        assert replace(shown, settings={}) == replace(whole, settings={})


async def test_a_piece_of_text_costs_microseconds_and_parts_stay_the_same_objects(known: QuestionBank) -> None:
    watched = await watch(known, "smcs")
    sent = next(at for at, event in enumerate(watched.events) if isinstance(event, AttemptFinished))
    fold = Fold()
    for event in watched.events[:sent]:
        fold.add(event)
    first = fold.progress()
    piece = TextArrived(first.answers[0].llm, "reference", "word ", "", 1.0)
    begun = time.thread_time()
    for _ in range(20_000):
        fold.add(piece)
    per_event = (time.thread_time() - begun) / 20_000
    assert per_event < 20e-6
    second = fold.progress()
    assert second.pool is first.pool
    assert second.support is first.support
    assert second.answers[0].written - first.answers[0].written == 100_000

"""What a run says of itself, as people read it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from smcs.gateway.errors import forbidden, rate_limited
from smcs.run import Candidate
from smcs.strategies import CallEstimate
from smcs.studio.ask.asking import estimate_line, failure_words
from smcs.studio.ask.evidence import pool_table
from smcs.studio.ask.outcome import nice_scale, timeline_table, waited_for
from smcs.studio.ask.reaction import learned_line
from smcs.studio.ask.scores import score_table
from smcs.studio.ask.state import Answer, Call, CallStatus, Phase, PoolRow, Progress, Span
from smcs.studio.ask.words import (
    ABLATION_WORDS,
    left_out,
    listed,
    out_of_reach,
    phase_line,
    plain_reason,
    remarks_of,
    why_failed,
    why_it_won,
)
from smcs.types import Ablation


@pytest.mark.parametrize(
    ("reason", "plain"),
    [
        (
            "reference lost: gpt (timeout: no answer in time (30 s)); qwen (new) took its place",
            "gpt gave no answer (no answer in time (30 s)); qwen (new) was asked instead.",
        ),
        ("reference lost: gpt (error)", "gpt gave no answer (it failed)."),
        ("sample lost: gpt (empty: None)", "One of the answers of gpt was lost (None)."),
        ("aggregation lost: m (error: HTTP 500: x)", "m could not merge some answers (HTTP 500: x)."),
        (
            "references given up: a, b (straggler, not in at 1.5 x the median arrival (2.00 s))",
            "a, b: too slow, so not waited for (half of the others were in after 2.00 s).",
        ),
        (
            "references given up: a (not in when 60% of max_seconds had passed)",
            "a: too slow, so not waited for (the time allowed was nearly over).",
        ),
        ("5 of 8 candidates were scored", "Only 5 of 8 merged answers were in when the best was chosen."),
        ("2 of 8 samples of gpt arrived", "Only 2 of 8 answers of gpt came in."),
        (
            "max_calls=1: shrunk to k=1, n=1",
            "No more than 1 call may be made, so the run was made smaller: k=1, n=1.",
        ),
        (
            "gpt did not answer (error: HTTP 503), qwen is asked",
            "gpt did not answer (HTTP 503); qwen was asked instead.",
        ),
        ("gpt gave no sample, qwen is asked", "gpt gave no answer; qwen was asked instead."),
        (
            "no candidate: the answer is the reference of gpt, the best prior that arrived",
            "Nothing could be merged: this is the answer of gpt, the best LLM that answered.",
        ),
        ("the bank knows none of the LLMs", "The bank knows none of the LLMs."),
        ("gpt-4o said something new", "gpt-4o said something new."),
    ],
)
def test_reasons_become_sentences(reason: str, plain: str) -> None:
    assert plain_reason(reason) == plain


def test_llms_that_are_out_are_found_in_the_reasons() -> None:
    reasons = ["out, so not asked: a (circuit open since 12:03:05 UTC (HTTP 503: busy)), b, c (off)", "5 of 8"]
    assert out_of_reach(reasons) == {"a": "circuit open since 12:03:05 UTC (HTTP 503: busy)", "b, c": "off"}
    assert out_of_reach(["out, but there is nobody else to ask: a (x)"]) == {}


def test_names_are_listed_and_cut() -> None:
    assert [listed(()), listed(("a",)), listed(("a", "b", "c"))] == ["nobody", "a", "a, b and c"]
    assert listed(tuple("abcdefg"), most=3) == "a, b, c and 4 more"


def test_a_failed_call_says_why() -> None:
    assert why_failed("ok", None) == ""
    assert why_failed("timeout", None) == "it took too long"
    assert why_failed("error", "busy", 503) == "HTTP 503: busy"
    assert why_failed("error", "HTTP 503: busy", 503) == "HTTP 503: busy"


def test_parts_that_were_left_out_are_said() -> None:
    assert set(ABLATION_WORDS) == {*get_args(Ablation)}
    without = {"without": ["perplexity", "rps"]}
    said = (
        "Left out of the method, as was asked: the choice of LLMs by similar questions and how sure the merging LLM is."
    )
    assert left_out("smcs", without) == (said,)
    assert left_out("moa", without) == left_out("smcs", {"without": []}) == left_out("smcs", {"without": 3}) == ()


def test_notes_become_remarks_and_unknown_ones_are_left_out() -> None:
    notes = {
        "llm": {"name": "gpt", "why": "best on the task", "task": "sums", "accuracy": 0.9},
        "skills": [{"task": "sums", "subject": "", "relevance": 0.75}, {"task": "x"}, "odd"],
        "guard": {"merged": False, "why": "the references' answer is certain enough", "probability": 0.99},
        "jisi": {"merged": 1},
        "other": {"what": "ever"},
    }
    assert remarks_of(notes) == (
        "gpt is the best of the bank on questions of sums (90% right).",
        "The question seems to be about sums (75%).",
        "The answers were not merged: the leading answer is certain enough, with a probability of 99%.",
        "One LLM stood out, so its answer was taken as it is.",
    )
    assert remarks_of({"llm": "odd", "skills": 3, "guard": [], "jisi": None, "tools": {}}) == ()


ASKED = Progress(strategy="smcs", phase="done", answer=Answer("yes", "merger"))
ONE, TWO = (
    Candidate(at, "merger", ("a", "b"), text, perplexity=1.2, similarity=0.9, score=score)
    for at, text, score in ((0, "yes", 0.7), (1, "no", 0.4))
)


def test_the_winner_is_explained_from_the_record() -> None:
    smcs = replace(ASKED, candidates=(ONE, TWO), chosen=0)
    assert why_it_won(smcs) == (
        "Written by merger from the answers of a and b: of 2 candidates it scored best (0.700; the next one has "
        "0.400); its similarity to all of them is 0.90, and it was written with a perplexity of 1.20."
    )
    voted = tuple(replace(each, group=0, agreement=0.75, members=()) for each in (ONE, TWO))
    assert why_it_won(replace(smcs, candidates=voted)) == (
        "This is the answer of merger: 2 of 2 candidates say the same, which is 75% of the vote."
    )
    alone = replace(ONE, members=(), score=None, llm="a")
    routed = replace(ASKED, candidates=(alone,), chosen=0, pool=(PoolRow("a", 0.8),), answer=Answer("yes", "a"))
    assert why_it_won(routed) == "a answered: it is right in about 80% of questions like this one."
    assert why_it_won(replace(ASKED, candidates=None)) == (
        "This is the answer of merger as it came; nothing was merged."
    )
    assert why_it_won(Progress()) == ""


def test_a_formula_is_only_told_where_the_figures_bear_it_out() -> None:
    table = score_table((ONE, TWO), 0, {"balance": 1.0})
    assert table is not None
    assert table.formula == "the larger the total, the better"
    sum_up = [replace(each, score=0.9 + 0.5 * (1 - 1.2)) for each in (ONE, TWO)]
    half = score_table(sum_up, 1, {"balance": 0.5})
    assert half is not None
    assert half.formula == "total = similarity + 0.5 \N{MULTIPLICATION SIGN} (1 - perplexity)"
    assert [row.number for row in half.rows] == [2, 1]
    assert score_table((replace(ONE, score=None),), 0, {}) is None


@pytest.mark.parametrize("phase", ["choosing", "asking", "merging", "deciding", "done", "failed", "stopped"])
def test_every_phase_has_words(phase: Phase) -> None:
    assert phase_line(replace(ASKED, phase=phase))


def test_a_merge_waited_for_the_last_of_its_members() -> None:
    a = Call("a", "a", "reference", "ok", started=0.0, seconds=1.0)
    b = Call("b", "b", "reference", "ok", started=0.0, seconds=2.0)
    late = Call("c", "c", "reference", "ok", started=0.0, seconds=9.0)
    still = Call("c", "c", "reference", "running", started=0.0)
    merge = Call("m", "m", "aggregation", "ok", started=2.1, seconds=1.0, members=("a", "b", "c"))
    assert waited_for(merge, [a, b, late, merge]) is b
    assert waited_for(replace(merge, members=("a",)), [a, b, still, merge]) is a
    assert waited_for(replace(merge, members=()), [a, b]) is None


@pytest.mark.parametrize("status", ["ok", "timeout"])
def test_a_merge_after_everybody_waited_for_the_last_of_all(status: CallStatus) -> None:
    a = Call("a", "a", "reference", "ok", started=0.0, seconds=1.0)
    b = Call("b", "b", "reference", "ok", started=0.0, seconds=2.0)
    last = Call("c", "c", "reference", status, started=0.0, seconds=3.0)
    merge = Call("m", "m", "aggregation", "ok", started=3.1, seconds=1.0, members=("a", "b"))
    other = Call("m", "m", "aggregation", "ok", started=3.1, seconds=9.0, members=("a", "b"))
    assert waited_for(merge, [a, b, last, merge, other]) is last


@pytest.mark.parametrize(("seconds", "scale"), [(0.0, 0.1), (0.9, 1.0), (7.0, 8.0), (9.99, 12.0), (100.0, 120.0)])
def test_the_clock_has_round_numbers(seconds: float, scale: float) -> None:
    assert nice_scale(seconds) == pytest.approx(scale)


def test_what_the_bank_learned_is_told() -> None:
    learned = {"learned": True, "is_new": True, "outcomes": {"a": 1.0, "b": 0.0}}
    assert (
        learned_line({"bank": learned}) == "Thank you. The question bank learned a new question (right: a; wrong: b)."
    )
    assert learned_line({"bank": {"learned": False, "why": "it is off"}}) == (
        "Noted. The question bank did not learn from it: it is off."
    )


def test_failures_come_with_advice() -> None:
    limited = rate_limited("10 requests a minute are allowed.", 12.0)
    assert failure_words(limited) == "10 requests a minute are allowed. Try again in 12.0 s."
    assert "Choose another model" in failure_words(forbidden("No.", code="model_not_allowed"))


def test_an_estimate_is_one_line_with_unknown_prices_unknown() -> None:
    estimate = CallEstimate("smcs", 9, 15, 1200, 4000, 900, 8000, None, 0.01, None, ("a",), "m", ())
    assert estimate_line("smcs", estimate) == (
        "smcs: about 9 calls (at most 15), 1,200 tokens read, 900 written, cost unknown, at least $0.0100."
    )


def test_what_is_drawn_by_hand_has_its_figures_as_a_table() -> None:
    a = Call("a", "a", "reference", "ok", started=0.5, seconds=1.0)
    skipped = Call("s", "s", "reference", "skipped", started=0.5, seconds=0.0)
    running = Call("m", "m", "aggregation", "running", started=1.75, members=("a",))
    progress = Progress(answers=(a, skipped), merges=(running,), spans=(Span("Answering", 0.5, None),))
    assert timeline_table(progress).rows == (
        ("stage", "Answering", 0.5, None, "", ""),
        ("reference", "a", 0.5, 1.5, "ok", ""),
        ("aggregation", "m", 1.75, None, "running", "a"),
    )
    rows = (PoolRow("a", 0.8, 4.5, 0.25, recruited=True), PoolRow("b", out="switched off"))
    assert pool_table(rows).rows == (("a", 0.8, 4.5, 0.25, "yes", ""), ("b", None, None, None, "no", "switched off"))

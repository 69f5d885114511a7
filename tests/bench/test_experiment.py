"""Experiments over scripted LLMs: rows, shared answers, replays, resuming, and what is refused before any call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_strategies import make_bank, member, resources, scripted
from smcs.bench import RESULT_FORMAT, ArmSpec, Header, ResultWriter, Row, read_results
from smcs.bench.arms import ablations
from smcs.bench.experiment import Experiment, Progress, make_arm, run_experiment
from smcs.errors import ConfigError, InputError
from smcs.llms import AnswerStore, Member, ScriptedLLM, StoredLLM, StoreScope
from smcs.strategies import Resources, Settings
from smcs.tasks import ask
from smcs.types import Capabilities, Question, Request

QUESTIONS = tuple(
    Question(f"q{i}", f"add the numbers {i} and {i}", task="sums", gold=str(2 * i), grader="number")
    for i in range(1, 5)
)
BASE = Settings(k=3, n=4, support_base=10)
ACCURACY = {
    "good": {"sums": 0.9, "cities": 0.2},
    "fair": {"sums": 0.5, "cities": 0.5},
    "poor": {"sums": 0.1, "cities": 0.9},
}


def solver(share_right: float) -> Callable[[Request, int], str]:
    """Return a script that gets the first share of the questions right."""

    def reply(request: Request, number: int) -> str:
        first = int(request.messages[-1].content.split("numbers ")[1].split()[0])
        return f"The answer is {2 * first if first <= 4 * share_right else 2 * first + 1}"

    return reply


def members() -> list[Member]:
    shares = {"good": 1.0, "fair": 0.5, "poor": 0.0, "merger": 0.75}
    return [member(scripted(name, replies=solver(share))) for name, share in shares.items()]


def bank_path(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / "bank.db"


async def team(folder: Path, *pool: Member) -> Resources:
    bank = await make_bank(bank_path(folder), ACCURACY)
    return resources(*(pool or members()), aggregators=(pool[-1].name if pool else "merger",), bank=bank)


def calls(over: Resources) -> int:
    total = 0
    for one in over.pool.values():
        assert isinstance(one.llm, ScriptedLLM)
        total += one.llm.calls
    return total


def specs(*names: str) -> list[ArmSpec]:
    return [ArmSpec(name, name) for name in names]


def writer(path: Path, arms: Sequence[ArmSpec], seeds: tuple[int, ...] = (0,)) -> ResultWriter:
    circumstances: dict[str, Any] = {
        "command": "", "commit": None, "dirty": None, "versions": {}, "hardware": {}, "created": "", "bank": {},
    }  # fmt: skip
    header = Header(
        RESULT_FORMAT, "test", tasks=("sums",), arms=tuple(arms), seeds=seeds, llms=("good",), aggregators=("merger",),
        config={}, **circumstances,
    )  # fmt: skip
    return ResultWriter(path, header)


async def perform(
    folder: Path, over: Resources, arms: Sequence[ArmSpec], name: str = "r.jsonl", **changes: Any
) -> dict[tuple[str, str, int], Row]:
    made = [make_arm(spec, BASE, over) for spec in arms]
    with AnswerStore(folder / "answers.db") as store:
        experiment = replace(Experiment((), QUESTIONS, made, over, store), **changes)
        with writer(folder / name, arms, experiment.seeds) as out:
            await run_experiment(experiment, out)
            finished = out.finish()
    return {row.key: row for row in read_results(finished).rows}


async def test_rows_say_who_answered_what_it_took_and_whether_it_was_right(tmp_path: Path) -> None:
    over = await team(tmp_path)
    rows = await perform(tmp_path, over, specs("rps", "majority_vote", "smcs"))
    assert [rows[f"q{i}", "rps", 0].score for i in range(1, 5)] == [1, 1, 1, 1]
    first = rows["q3", "rps", 0]
    assert (first.answered_by, first.calls, first.task, first.status) == ("good", 1, "sums", "ok")
    assert first.extracted == "6"
    assert first.cost_usd is not None
    assert first.prompt_tokens is not None
    assert first.reference_scores == {"good": 1.0}
    assert set(first.priors) == set(over.pool)
    assert sum(first.support.values()) == pytest.approx(1)
    assert set(first.support) == {"sums"}
    vote = rows["q3", "majority_vote", 0]
    assert vote.reference_scores == {"good": 1.0, "fair": 0.0, "poor": 0.0, "merger": 1.0}
    assert vote.calls == 4
    merged = rows["q4", "smcs", 0]
    assert merged.answered_by == "merger"
    assert merged.candidate_scores == (0.0,) * 4
    assert merged.score == 0.0
    assert merged.latency is not None
    assert merged.call_seconds is not None
    assert merged.latency <= merged.call_seconds + 1e-9


async def test_arms_share_answers_and_a_replay_asks_nobody(tmp_path: Path) -> None:
    over = await team(tmp_path)
    await perform(tmp_path, over, specs("majority_vote"))
    asked = calls(over)
    assert asked == 4 * 4
    rows = await perform(tmp_path, over, specs("prior_vote", "rps", "single"), "second.jsonl")
    assert calls(over) == asked
    assert all(row.status == "ok" for row in rows.values())
    fresh = await team(tmp_path / "again")
    replayed = await perform(tmp_path, fresh, specs("prior_vote", "smcs"), "third.jsonl", mode="replay")
    assert calls(fresh) == 0
    assert replayed["q1", "prior_vote", 0].score == rows["q1", "prior_vote", 0].score
    missing = replayed["q1", "smcs", 0]
    assert (missing.status, missing.score) == ("missing", None)
    assert "not in the answer store" in (missing.error or "")


async def test_a_replay_takes_as_long_as_the_recording_did(tmp_path: Path) -> None:
    pool = [member(scripted(name, replies=solver(1.0), latency=0.2)) for name in ("good", "fair", "poor", "merger")]
    over = await team(tmp_path, *pool)
    await perform(tmp_path, over, specs("majority_vote"))
    rows = await perform(tmp_path, over, specs("majority_vote", "rps"), "again.jsonl", mode="replay")
    for i in range(1, 5):
        together, alone = rows[f"q{i}", "majority_vote", 0], rows[f"q{i}", "rps", 0]
        assert together.call_seconds is not None
        assert together.latency is not None
        assert together.call_seconds >= 4 * 0.19
        assert 0.19 <= together.latency < 0.6 * together.call_seconds
        assert alone.latency == alone.call_seconds


async def test_a_run_goes_on_where_it_stopped_and_tries_failures_again(tmp_path: Path) -> None:
    broken = member(ScriptedLLM("good", ["x"], failures="error"))
    over = await team(tmp_path / "a", broken)
    rows = await perform(tmp_path, over, specs("single"))
    assert {row.status for row in rows.values()} == {"failed"}
    assert all(row.score is None and "good" in (row.error or "") for row in rows.values())
    assert {row.calls for row in rows.values()} == {1}
    whole = member(scripted("good", replies=solver(1.0)))
    over = await team(tmp_path / "b", whole)
    rows = await perform(tmp_path, over, specs("single"))
    assert {row.status for row in rows.values()} == {"ok"}
    done = calls(over)
    await perform(tmp_path, over, specs("single"))
    assert calls(over) == done == 4


async def test_another_seed_has_answers_of_its_own(tmp_path: Path) -> None:
    over = await team(tmp_path)
    rows = await perform(tmp_path, over, specs("single"), seeds=(0, 1))
    assert len(rows) == 8
    assert calls(over) == 8
    await perform(tmp_path, over, specs("single"), "later.jsonl", seeds=(1,))
    assert calls(over) == 8
    await perform(tmp_path, over, specs("single"), "other.jsonl", seeds=(2,))
    assert calls(over) == 12


async def test_an_llm_that_answers_often_is_graded_by_its_first_answer(tmp_path: Path) -> None:
    wrong_later = scripted("good", replies=["The answer is 2", "The answer is 9"])
    over = await team(tmp_path, member(wrong_later), member(scripted("merger", replies=["The answer is 2"])))
    rows = await perform(
        tmp_path, over, [ArmSpec("moa", "moa", {"layers": 2, "llms": ["good"]})], questions=QUESTIONS[:1]
    )
    assert rows["q1", "moa", 0].reference_scores["good"] == 1.0


async def test_parts_of_the_pool(tmp_path: Path) -> None:
    over = await team(tmp_path)
    small = ArmSpec("small", "smcs", {"llms": ["fair", "poor"], "k": 2})
    two = ArmSpec("two", "majority_vote", {"llms": 2})
    rows = await perform(tmp_path, over, [small, two])
    assert set(rows["q1", "small", 0].reference_scores) == {"fair", "poor"}
    assert rows["q1", "small", 0].answered_by == "merger"
    assert set(rows["q1", "two", 0].reference_scores) == {"good", "fair"}


async def test_imported_answers_have_no_known_seconds(tmp_path: Path) -> None:
    over = await team(tmp_path)
    with AnswerStore(tmp_path / "published.db") as published:
        answers = [("good", ask(question)[0], "The answer is 2") for question in QUESTIONS]
        assert published.add_imported(answers) == 4
        replayed = member(scripted("good"), price=None)
        replayed = replace(replayed, llm=StoredLLM("good", StoreScope(published, "replay")))
        over = replace(over, pool={"good": replayed}, aggregators=("good",))
        for name in ("first.jsonl", "second.jsonl"):
            rows = await perform(tmp_path, over, specs("single"), name)
            assert {(row.latency, row.call_seconds, row.cost_usd) for row in rows.values()} == {(None, None, None)}
            assert [rows[f"q{i}", "single", 0].score for i in (1, 2)] == [1.0, 0.0]


async def test_progress_adds_up(tmp_path: Path) -> None:
    over = await team(tmp_path)
    heard: list[Progress] = []
    arms = [make_arm(spec, BASE, over) for spec in specs("rps", "single")]
    with AnswerStore(tmp_path / "answers.db") as store, writer(tmp_path / "r.jsonl", specs("rps", "single")) as out:
        await run_experiment(Experiment((), QUESTIONS, arms, over, store), out, on_progress=heard.append)
    assert [(one.arm, one.done) for one in heard[:2]] == [("rps", 0), ("single", 0)]
    last = {one.arm: one for one in heard}
    assert all((one.done, one.total, one.graded, one.score, one.calls) == (4, 4, 4, 4.0, 4) for one in last.values())


async def test_mistakes_are_named_before_a_call(tmp_path: Path) -> None:
    over = await team(tmp_path)
    for spec, error, message in (
        (ArmSpec("a", "smsc"), ConfigError, "Unknown strategy 'smsc'.*smcs"),
        (ArmSpec("a", "smcs", {"kk": 2}), InputError, "Arm 'a' has an unknown setting 'kk'.*k"),
        (ArmSpec("a", "smcs_guarded", {"guard.agregate": "never"}), InputError, "Arm 'a' has an unknown setting"),
        (ArmSpec("a", "smcs_guarded", {"guard.certain": 0.2}), InputError, "`guard.certain` must be above 0.5"),
        (ArmSpec("a", "smcs", {"k": 0}), InputError, "`k` must be at least 1, got 0"),
        (ArmSpec("a", "rps", {"llms": ["goood"]}), ConfigError, "The pool has no LLM 'goood'.*good"),
        (ArmSpec("a", "rps", {"llms": []}), ConfigError, "`llms` names no LLM"),
        (ArmSpec("a", "rps", {"llms": 9}), ConfigError, "`llms` must be from 1 to 4"),
    ):
        with pytest.raises(error, match=message):
            make_arm(spec, BASE, over)
    silent = [replace(one, capabilities=Capabilities(logprobs=False)) for one in members()]
    with pytest.raises(ConfigError, match="needs log-probabilities"):
        make_arm(ArmSpec("a", "best_of_n"), BASE, resources(*silent, bank=over.bank))
    assert calls(over) == 0


async def test_ablations_are_arms(tmp_path: Path) -> None:
    over = await team(tmp_path)
    arms = list(ablations(ArmSpec("smcs", "smcs")))
    rows = await perform(tmp_path, over, arms)
    assert {arm for _, arm, _ in rows} == {arm.name for arm in arms}
    assert rows["q1", "smcs without rps", 0].support == {}
    assert len(rows) == 6 * 4

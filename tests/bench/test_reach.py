"""When an experiment is stopped because an LLM is not there, and how what it spoilt is asked again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_strategies import make_bank, member, resources, scripted
from smcs.bench import RESULT_FORMAT, ArmSpec, Header, ResultWriter, Row, read_results
from smcs.bench.experiment import Experiment, make_arm, run_experiment
from smcs.bench.reach import Calls, LLMUnreachableError, Reach
from smcs.bench.report import build_report
from smcs.errors import RunError
from smcs.llms import AnswerStore, ScriptedLLM
from smcs.strategies import Resources, Settings
from smcs.types import Question

QUESTIONS = tuple(
    Question(f"q{i}", f"add the numbers {i} and {i}", task="sums", gold=str(2 * i), grader="number")
    for i in range(1, 13)
)
ACCURACY = {"good": {"sums": 0.9, "cities": 0.2}, "fair": {"sums": 0.5, "cities": 0.5}}


def folder_of(path: Path) -> Path:
    path.mkdir(exist_ok=True)
    return path


async def team(folder: Path, *aggregators: str, **failures: Any) -> Resources:
    """Return two LLMs that answer "4" and one that merges; some of them fail as told."""
    pool = [
        member(scripted(name, replies=["The answer is 4"], failures=failures.get(name, ())))
        for name in ("good", "fair", "merger")
    ]
    bank = await make_bank(folder_of(folder) / "bank.db", ACCURACY)
    return resources(*pool, aggregators=aggregators or ("merger",), bank=bank)


def asked(over: Resources, name: str) -> int:
    llm = over.pool[name].llm
    assert isinstance(llm, ScriptedLLM)
    return llm.calls


async def perform(folder: Path, over: Resources, *arms: ArmSpec, **changes: Any) -> dict[tuple[str, str], Row]:
    """Run arms one question at a time, and return the rows on disk by arm and question, whatever ended the run."""
    header = Header(
        RESULT_FORMAT, "test", created="", command="", tasks=("sums",), arms=arms, seeds=(0,), llms=("good",),
        aggregators=("merger",), bank={}, config={}, commit=None, dirty=None, versions={}, hardware={},
    )  # fmt: skip
    made = [make_arm(spec, Settings(k=2, n=2, support_base=10), over) for spec in arms]
    with AnswerStore(folder / "answers.db") as store:
        plan = replace(Experiment((), QUESTIONS, made, over, store, concurrency=1), **changes)
        with ResultWriter(folder / "r.jsonl", header) as out:
            await run_experiment(plan, out)
    return rows_of(folder)


def rows_of(folder: Path) -> dict[tuple[str, str], Row]:
    return {(row.arm, row.question): row for row in read_results(folder / "r.jsonl").rows}


SMCS = ArmSpec("smcs", "smcs", {"llms": ["good", "fair"]})
VOTE = ArmSpec("vote", "majority_vote", {"llms": ["good", "fair"]})


@pytest.mark.parametrize(("at_once", "rows"), [(1, 3), (4, 6)])
async def test_a_run_stops_when_its_only_aggregator_is_not_there(tmp_path: Path, at_once: int, rows: int) -> None:
    over = await team(tmp_path, merger="disconnect")
    with pytest.raises(LLMUnreachableError) as stopped:
        await perform(tmp_path, over, VOTE, SMCS, concurrency=at_once)
    assert isinstance(stopped.value, RunError)
    message = str(stopped.value)
    assert message.startswith(f"merger could not be reached on {rows} questions in a row (the scripted connection was ")
    assert "arm 'smcs' cannot do without it" in message
    assert "--redo-degraded" in message
    assert "\n" not in message
    written = rows_of(tmp_path)
    assert rows <= len([arm for arm, _ in written if arm == "smcs"]) < rows + at_once, "others may just have ended too"
    assert all(bool(row.degraded) is (arm == "smcs") for (arm, _), row in written.items())


async def test_what_was_spoilt_is_asked_again_on_demand_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(LLMUnreachableError):
        await perform(tmp_path, await team(tmp_path / "a", merger="disconnect"), VOTE, SMCS)
    over = await team(tmp_path / "b")
    plainly = await perform(tmp_path, over, VOTE, SMCS)
    assert len([row for row in plainly.values() if row.degraded]) == 3, "an answer stands unless somebody says so"
    references = asked(over, "good")
    whole = await perform(tmp_path, over, VOTE, SMCS, redo_degraded=True)
    assert not any(row.degraded for row in whole.values())
    assert asked(over, "good") == references, "the references are in the store"
    lines = (tmp_path / "r.jsonl").read_bytes().count(b"\n")
    assert lines == 1 + 24 + 3
    merged = asked(over, "merger")
    await perform(tmp_path, over, VOTE, SMCS, redo_degraded=True)
    assert asked(over, "merger") == merged
    read = read_results(tmp_path / "r.jsonl")
    (arm,) = (arm for arm in build_report([("r", read)], draws=10).summary.arms if arm.name == "smcs")
    assert (arm.mean.counts.ok, arm.mean.counts.degraded) == (12, 0)


async def test_only_the_last_row_counts_before_the_file_is_rewritten(tmp_path: Path) -> None:
    await perform(tmp_path, await team(tmp_path / "a", merger=["disconnect"] * 2), SMCS)
    before = rows_of(tmp_path)["smcs", "q1"]
    after = (await perform(tmp_path, await team(tmp_path / "b"), SMCS, redo_degraded=True))["smcs", "q1"]
    assert before.degraded
    assert not after.degraded
    assert (tmp_path / "r.jsonl").read_bytes().count(b'"question":"q1"') == 2
    (arm,) = build_report([("r", read_results(tmp_path / "r.jsonl"))], draws=10).summary.arms
    assert (arm.mean.counts.planned, arm.mean.counts.ok, arm.mean.counts.degraded) == (12, 12, 0)


async def test_a_run_goes_on_while_somebody_answers(tmp_path: Path) -> None:
    """A deputy merges; some calls get through; what answers with an error is there."""
    cases: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "a deputy": (("merger", "good"), {"merger": "disconnect"}),
        "now and then": (("merger",), {"merger": ["disconnect", None] * 50}),
        "an error": (("merger",), {"merger": "error"}),
        "too late": (("merger",), {"merger": "timeout"}),
        "a referencer": (("merger",), {"fair": "disconnect"}),
    }
    for name, (aggregators, failures) in cases.items():
        over = await team(tmp_path / name, *aggregators, **failures)
        rows = await perform(tmp_path / name, over, SMCS)
        assert len(rows) == 12, name
        assert any(row.degraded for row in rows.values()), name


async def test_the_llm_that_an_arm_names_and_a_whole_pool(tmp_path: Path) -> None:
    alone = ArmSpec("alone", "single", {"llm": "fair"})
    with pytest.raises(LLMUnreachableError, match=r"^fair could not .* 'alone' cannot do without it"):
        await perform(tmp_path, await team(tmp_path / "a", fair="disconnect"), alone)
    assert {row.status for row in rows_of(tmp_path).values()} == {"failed"}
    over = await team(tmp_path / "b", good="disconnect", fair="disconnect")
    with pytest.raises(LLMUnreachableError, match=r"^good, fair could not .* 'vote' cannot do without them"):
        await perform(folder_of(tmp_path / "all"), over, VOTE)


async def test_a_replay_asks_nobody_and_so_loses_nobody(tmp_path: Path) -> None:
    rows = await perform(tmp_path, await team(tmp_path, merger="disconnect"), SMCS, mode="replay")
    assert {row.status for row in rows.values()} == {"missing"}
    assert len(rows) == 12


def test_questions_without_a_call_neither_count_nor_end_the_count() -> None:
    reach = Reach(1)
    lost, there, none = Calls(lost={"m": "gone"}), Calls(reached={"m"}, lost={"m": "gone"}), Calls()
    for calls in (lost, lost, there, lost, none, lost, none):
        reach.judge("arm", (("m", "deputy"),), calls)
    reach.judge("other", (("m", "deputy"),), lost)
    with pytest.raises(LLMUnreachableError, match=r"m could not be reached on 3 questions in a row \(gone\)"):
        reach.judge("arm", (("m", "deputy"),), lost)

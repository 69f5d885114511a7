"""`smcs bench run` and `import-answers` as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from smcs.bench import read_results
from smcs.llms import find_model

POOL = [
    {"name": name, "kind": "scripted", "script": {"replies": {"question 1": right, "question [02]": "The answer is 0"}}}
    for name, right in (("a", "The answer is 1"), ("b", "The answer is 7"), ("c", "The answer is 1"))
]


@pytest.fixture
def bench(smcs: Callable[..., Any]) -> Callable[..., Any]:
    """Run `smcs bench run` over a task of three questions and a scripted pool, in the working folder."""
    rows = [{"id": str(i), "question": f"question {i}", "answer": str(i), "split": "test"} for i in range(3)]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("own.yaml").write_text("name: own\ngrader: number\ndata: own.jsonl\ncolumns: {split: split}\n")
    config = {"pool": POOL, "aggregators": ["c"], "embedder": {"kind": "hashing"}, "profile": "paper"}
    Path("smcs.yaml").write_text(yaml.safe_dump(config))

    def run(*more: object) -> Any:
        return smcs("bench", "run", "--tasks", "own.yaml", "--out", "r.jsonl", *more)

    return run


def test_a_run_and_its_replay(bench: Callable[..., Any]) -> None:
    done = bench("--record", "s.db", "--strategies", "majority_vote,smcs", "--arm", "two=majority_vote:llms=2")
    assert done.code == 0, done.err
    assert "3 questions, 3 arms, 1 seed(s): at most" in done.err
    assert "r.jsonl.gz" in done.out
    assert "66.67%" in done.out
    rows = {row.key: row for row in read_results("r.jsonl.gz").rows}
    assert len(rows) == 9
    again = bench("--replay", "s.db", "--strategies", "majority_vote", "--out", "again.jsonl", "--json")
    assert again.code == 0, again.err
    report = json.loads(again.out)
    assert report["arms"]["majority_vote"]["accuracy"] == pytest.approx(2 / 3)
    assert report["arms"]["majority_vote"]["missing"] == 0
    assert report["arms"]["majority_vote"]["cost_usd"] is None
    header = read_results("again.jsonl.gz").header
    assert header.llms == ("a", "b", "c")
    assert header.command.startswith("smcs bench run")


def test_a_replay_says_what_is_missing(bench: Callable[..., Any]) -> None:
    bench("--record", "s.db", "--arm", 'one=single:llm="a"')
    done = bench("--replay", "s.db", "--strategies", "majority_vote", "--out", "m.jsonl", "--json")
    assert json.loads(done.out)["arms"]["majority_vote"]["missing"] == 3
    assert json.loads(done.out)["arms"]["majority_vote"]["accuracy"] is None


def test_sweeps_and_ablations(bench: Callable[..., Any]) -> None:
    done = bench("--record", "s.db", "--strategies", "smcs", "--sweep", "k=1,2", "--ablate", "--json")
    assert done.code == 0, done.err
    arms = json.loads(done.out)["arms"]
    assert len(arms) == 12
    assert "smcs k=2 without prior_drop" in arms


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategies", "smcs"), "Give either --record STORE"),
        (("--record", "s.db"), "No strategy is named"),
        (("--record", "s.db", "--strategies", "smsc"), "Unknown strategy 'smsc'"),
        (("--record", "s.db", "--strategies", "smcs,smcs"), "Two arms are called 'smcs'"),
        (("--record", "s.db", "--strategies", "rps", "--ablate"), "no arm is one"),
        (("--record", "s.db", "--strategies", "smcs", "--seeds", "a"), "--seeds must be whole numbers"),
        (("--record", "s.db", "--arm", "majority_vote:without=rps"), "'majority_vote' cannot leave out 'rps'"),
        (("--record", "s.db", "--arm", "x=majority_vote:llms=z"), "The pool has no LLM 'z'"),
        (("--replay", "none.db", "--strategies", "smcs"), "There is no answer store"),
        (("--record", "s.db", "--strategies", "rps", "--split", "tset"), "no split 'tset'"),
        (("--record", "s.db", "--strategies", "simple_router"), "needs a question bank"),
        (("--record", "s.db", "--strategies", "smcs", "--out", "r.txt"), "must end in '.jsonl'"),
        (("--replay", "s.db", "--strategies", "smcs", "--redo-degraded"), "a replay asks nobody"),
        (("--example", "--redo-degraded"), "choose only arms and --out"),
    ],
)
def test_mistakes_are_one_line(bench: Callable[..., Any], arguments: tuple[str, ...], message: str) -> None:
    done = bench(*arguments)
    assert done.code != 0
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_an_aggregator_that_is_not_there_ends_the_run_and_its_rows_are_redone(bench: Callable[..., Any]) -> None:
    config = yaml.safe_load(Path("smcs.yaml").read_text())
    failing = {**POOL[2], "script": {"failures": "disconnect"}, "aggregates_only": True}
    Path("smcs.yaml").write_text(yaml.safe_dump({**config, "pool": [*POOL[:2], {**failing, "name": "c"}]}))
    arguments = ("--record", "s.db", "--strategies", "moa", "--concurrency", "1")
    stopped = bench(*arguments)
    assert stopped.code == 1
    assert stopped.err.splitlines()[-1].startswith("smcs: c could not be reached on 3 questions in a row")
    assert [bool(row.degraded) for row in read_results("r.jsonl").rows] == [True] * 3
    whole = {**failing, "script": {"replies": ["The answer is 1"]}}
    Path("smcs.yaml").write_text(yaml.safe_dump({**config, "pool": [*POOL[:2], whole]}))
    again = bench(*arguments, "--json")
    assert json.loads(again.out)["arms"]["moa"]["accuracy"] != pytest.approx(1 / 3)
    redone = bench(*arguments, "--redo-degraded", "--json")
    assert redone.code == 0, redone.err
    assert json.loads(redone.out)["arms"]["moa"]["accuracy"] == pytest.approx(1 / 3)
    rows = read_results("r.jsonl.gz").rows
    assert [(row.degraded, row.answered_by) for row in rows] == [((), "c")] * 3


def test_another_experiment_in_the_same_file_is_refused(bench: Callable[..., Any]) -> None:
    bench("--record", "s.db", "--strategies", "majority_vote")
    done = bench("--record", "s.db", "--strategies", "smcs")
    assert done.code != 0
    assert "holds another experiment" in done.err


def test_published_answers_are_imported(smcs: Callable[..., Any], bench: Callable[..., Any]) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"id": ["0", "1"], "llm": ["x", "x"], "response": ["The answer is 0", "The answer is 1"]})
    parquet.write_table(table, "answers.parquet")
    done = smcs("bench", "import-answers", "answers.parquet", "x.db", "--task", "own.yaml", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"store": "x.db", "new": 2, "answers": {"x": 2}}
    config = {"pool": [{"name": "x", "kind": "replay", "path": "x.db"}], "aggregators": ["x"],
              "embedder": {"kind": "hashing"}}  # fmt: skip
    Path("smcs.yaml").write_text(yaml.safe_dump(config))
    ran = bench("--record", "s.db", "--strategies", "majority_vote", "--json")
    assert ran.code == 0, ran.err
    arm = json.loads(ran.out)["arms"]["majority_vote"]
    assert (arm["graded"], arm["failed"], arm["accuracy"]) == (2, 1, 1.0)


def test_rows_that_were_answered_with_less_are_counted(bench: Callable[..., Any]) -> None:
    arguments = ("--record", "s.db", "--strategies", "majority_vote", "--arm", 'one=single:llm="a"')
    arms = json.loads(bench(*arguments, "--json").out)["arms"]
    counted = {name: arm["degraded"] for name, arm in arms.items()}
    assert counted == {"majority_vote": 3, "one": 0}, "without a bank a vote knows nothing about the LLMs"
    heading, *lines = (line.split() for line in bench(*arguments).out.splitlines()[:3])
    assert heading[-1] == "degraded"
    assert {line[0]: int(line[-1]) for line in lines} == counted


@pytest.mark.local
def test_the_example_that_ships_is_replayed_without_a_call(smcs: Callable[..., Any]) -> None:
    if not find_model("all-minilm-l6-v2").downloaded:
        pytest.skip("all-MiniLM-L6-v2 was not fetched")
    done = smcs("bench", "run", "--example", "--out", "example.jsonl", "--json")
    assert done.code == 0, done.err
    arms = json.loads(done.out)["arms"]
    assert all((arm["questions"], arm["missing"], arm["failed"]) == (24, 0, 0) for arm in arms.values())
    shipped = read_results(str(files("smcs") / "data" / "example" / "results.jsonl.gz"))
    scores = {row.key: row.score for row in read_results("example.jsonl.gz").rows}
    assert scores == {row.key: row.score for row in shipped.rows}
    refused = smcs("bench", "run", "--example", "--tasks", "seed", "--out", "example.jsonl")
    assert "--example brings its own questions" in refused.err

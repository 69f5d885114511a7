"""`smcs tune` on a small bank: what it prints, what it writes, what it refuses."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers_strategies import make_bank
from smcs.bench.tuning import Tuning
from smcs.bench.tuning_choice import Choice
from smcs.config import load_config

ACCURACY = {
    "adder": {"sums": 0.6, "cities": 0.0},
    "guide": {"sums": 0.4, "cities": 1.0},
    "half": {"sums": 0.5, "cities": 0.5},
}
NAMES = tuple(ACCURACY)


def write_config(**changes: Any) -> None:
    asyncio.run(make_bank(Path("bank.db"), ACCURACY, per_topic=60)).close()
    pool = [{"name": name, "kind": "scripted", "script": {"replies": ["x"]}} for name in NAMES]
    config = {
        "pool": pool,
        "aggregators": [NAMES[2]],
        "embedder": {"kind": "hashing", "dimensions": 8},
        "bank": "bank.db",
        "parameters": {"k": 3, "support_base": 120},
        **changes,
    }
    Path("smcs.yaml").write_text("# mine, to be kept\n" + yaml.safe_dump(config))


def test_parameters_are_measured_on_folds_of_the_bank(smcs: Callable[..., Any]) -> None:
    write_config()
    before = Path("smcs.yaml").read_text()
    report = json.loads(smcs("tune", "--folds", "3", "--json").out)
    assert (report["questions"], report["llms"], report["folds"]) == (120, list(NAMES), 3)
    assert (report["written"], report["changes"]) == (False, {})
    support = next(one for one in report["choices"] if "support_base" in one["parameters"])
    assert support["present"] == [120, 0.95]
    assert 0.9 < support["present_value"] <= support["best_value"] <= 1
    done = smcs("tune", "--folds", "3", "--write")
    assert done.code == 0, done.err
    assert "120 questions, 3 LLMs, 3 folds" in done.out
    assert "Nothing is better than the present parameters" in done.out
    assert Path("smcs.yaml").read_text() == before


def test_what_is_better_is_written_with_where_it_comes_from(
    smcs: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config()
    choice = Choice(
        ("k", "guard.certain"),
        "right by vote",
        present=(3, 0.98),
        best=(2, 0.9),
        present_value=0.6,
        best_value=0.65,
        gain=0.05,
        low=0.02,
        high=0.08,
    )
    found = Tuning("abcdef0123456789", 120, NAMES, 5, 0, (choice,))
    monkeypatch.setattr("smcs.bench.tuning.tune", lambda *_, **__: found)
    assert "--write would set: k=2, guard.certain=0.9" in smcs("tune").out
    done = smcs("tune", "--write")
    assert done.code == 0, done.err
    assert "Written to" in done.out
    text = Path("smcs.yaml").read_text()
    assert text.startswith("# mine, to be kept\n")
    assert "bank abcdef012345, 5 folds, seed 0: right by vote +5.00 points [+2.00, +8.00]" in text
    settings = load_config(Path("smcs.yaml")).settings()
    assert (settings.k, settings.guard.certain, settings.support_base) == (2, 0.9, 120)


def record_runs(smcs: Callable[..., Any], *more: str) -> None:
    """Let SMCS answer four questions with the pool of `write_config`, and keep the answers."""
    write_config(parameters={"k": 3, "n": 4, "support_base": 120})
    rows = [{"id": str(i), "question": f"question {i}", "answer": "x", "split": "validation"} for i in range(4)]
    Path("own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("own.yaml").write_text("name: own\ngrader: exact\ndata: own.jsonl\ncolumns: {split: split}\n")
    asked = ("--tasks", "own.yaml", "--split", "validation", "--strategies", "smcs")
    done = smcs("bench", "run", *asked, "--record", "s.db", "--out", "r.jsonl", *more)
    assert done.code == 0, done.err


def test_candidates_are_tried_on_recorded_answers(smcs: Callable[..., Any]) -> None:
    record_runs(smcs, "--max-tokens", "50")
    done = smcs("tune", "--folds", "2", "--results", "r.jsonl.gz", "--replay", "s.db", "--profile", "paper", "--json")
    assert done.code == 0, done.err
    choices = json.loads(done.out)["choices"]
    candidates = next(one for one in choices if one["parameters"] == ["n", "balance"])
    assert candidates["present"] == [4, 1.0]
    assert candidates["present_value"] == 1.0
    tried = {tuple(values) for values, _ in candidates["curve"]}
    assert tried == {(n, balance) for n in (2, 3, 4) for balance in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)}


def test_answers_that_are_not_recorded_are_no_evidence(smcs: Callable[..., Any]) -> None:
    record_runs(smcs, "--max-tokens", "50")
    Path("smcs.yaml").write_text(Path("smcs.yaml").read_text().replace("k: 3", "k: 2"))
    done = smcs("tune", "--folds", "2", "--results", "r.jsonl.gz", "--replay", "s.db", "--profile", "paper", "--json")
    assert done.code == 0, done.err
    candidates = next(one for one in json.loads(done.out)["choices"] if one["parameters"] == ["n", "balance"])
    assert candidates["why_not"] == "no question has a score under the present values"


def test_a_replay_needs_a_result_file_that_says_what_was_asked(smcs: Callable[..., Any]) -> None:
    record_runs(smcs)
    done = smcs("tune", "--replay", "s.db")
    assert done.code != 0
    assert "--replay needs --results" in done.err
    results = smcs("tune", "--results", "r.jsonl.gz", "--replay", "none.db")
    assert "There is no answer store" in results.err
    header, *rows = gzip.decompress(Path("r.jsonl.gz").read_bytes()).decode().splitlines()
    for config, message in (
        ({}, "does not say which questions"),
        ({"split": "validation", "limit": "x"}, "does not say"),
    ):
        changed = json.dumps({**json.loads(header), "config": config})
        Path("other.jsonl").write_text("\n".join([changed, *rows]) + "\n")
        refused = smcs("tune", "--results", "other.jsonl", "--replay", "s.db")
        assert refused.code != 0
        assert message in refused.err
        assert len(refused.err.strip().splitlines()) == 2  # the first says that it replays


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        ((), {"bank": None}, "names no bank to tune on"),
        (("--bank", "none.db"), {}, "none.db"),
        (("--results", "none.jsonl"), {}, "none.jsonl"),
        (("--profile", "papr"), {}, "Unknown profile 'papr'"),
    ],
)
def test_mistakes_are_one_line(
    smcs: Callable[..., Any], arguments: tuple[str, ...], changes: dict[str, Any], message: str
) -> None:
    write_config(**changes)
    done = smcs("tune", *arguments)
    assert done.code != 0
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_writing_needs_a_file(smcs: Callable[..., Any]) -> None:
    done = smcs("tune", "--write")
    assert done.code != 0
    assert "--write needs a config file" in done.err

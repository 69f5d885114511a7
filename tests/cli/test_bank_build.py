from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

from smcs.bank import QuestionBank
from smcs.errors import BankError

SMCS = [sys.executable, "-c", "from smcs.cli import main; main()"]


@pytest.fixture
def folder(smcs: object, tmp_path: Path) -> Path:
    """The working folder, with a task of letters and a pool of two scripted LLMs."""
    place = tmp_path / "work"
    rows = [
        {"id": f"q{i}", "question": f"Which letter has number {i}?", "choices": list("wxyz"), "answer": "ABCD"[i % 4]}
        for i in range(60)
    ]
    (place / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "letters.yaml").write_text("data: letters.jsonl\n")
    write_config(place)
    return place


def write_config(folder: Path, latency: float = 0.0, price: dict[str, float] | None = None, **script: Any) -> None:
    replies = {f"number {i}\\?": f"Answer: {'ABCD'[i % 4 if i % 3 else 0]}" for i in range(60)}
    whole = {"kind": "scripted", "price": price or {"input": 1, "output": 2}}
    pool = [
        {"name": "good", **whole, "script": {"replies": replies, "latency": latency, **script}},
        {"name": "bad", **whole, "script": {"replies": ["Answer: D"], "latency": latency}},
    ]
    config = {"pool": pool, "aggregators": ["good"], "embedder": {"kind": "hashing", "dimensions": 32}}
    (folder / "smcs.yaml").write_text(yaml.safe_dump(config))


class Result(Protocol):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(smcs: Callable[..., Result], folder: Path) -> Run:
    """Run `smcs bank build` in this process, in the folder."""

    def build(*arguments: str, bank: str = "bank.db") -> Result:
        return smcs("bank", "build", "--tasks", "letters.yaml", "--bank", bank, *arguments)

    return build


def start(folder: Path, *arguments: str, bank: str = "bank.db") -> subprocess.Popen[str]:
    command = [*SMCS, "bank", "build", "--tasks", "letters.yaml", "--bank", bank, *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcomes(path: Path) -> list[tuple[object, ...]]:
    with QuestionBank.open(path) as bank:
        rows = [outcome for llm in bank.llms for outcome in bank.recorded(llm)]
    return [(o.question_id, o.llm, o.score, o.response, o.extracted, o.reason, o.usage, o.samples) for o in rows]


def recorded(path: Path) -> int:
    """Return how many outcomes are on disk; none while the bank is being made."""
    try:
        with QuestionBank.open(path) as bank:
            return sum(bank.outcome_counts().values())
    except BankError:
        return 0


def wait_for(path: Path, count: int) -> int:
    """Wait until that many outcomes are on disk; return how many there are."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if (done := recorded(path)) >= count:
            return done
        time.sleep(0.05)
    raise AssertionError(f"{path} never got {count} outcomes")


def test_a_bank_is_built_embedded_and_used(folder: Path, run: Run, smcs: Callable[..., Result]) -> None:
    built = run("--limit", "20", "--json")
    assert built.code == 0, built.err
    report = json.loads(built.out)
    assert (report["complete"], report["questions"], report["embedded"]) == (True, 20, 20)
    assert [(row["llm"], row["status"], row["done"]) for row in report["llms"]] == [
        ("good", "complete", 20),
        ("bad", "complete", 20),
    ]
    assert report["llms"][0]["accuracy"] > report["llms"][1]["accuracy"]
    assert report["use"] == 'smcs ask --bank bank.db "YOUR QUESTION"'
    assert "good: 20/20, accuracy" in built.err
    asked = smcs("ask", "--bank", "bank.db", "Which letter has number 1?", "--json")
    assert asked.code == 0, asked.err
    support = json.loads(asked.out)
    assert "letters/" in json.dumps(support)
    again = run("--limit", "20")
    assert again.code == 0
    assert "complete" in again.out


def test_killed_five_times_ends_as_an_undisturbed_run(folder: Path, run: Run) -> None:
    write_config(folder, latency=1.0)
    killed, before = folder / "killed.db", 0
    for _ in range(5):
        child = start(folder, "--concurrency", "2", "--no-embed", bank="killed.db")
        before = wait_for(killed, before + 1)
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
    assert before < 120, "the last kill came too late to prove anything"
    write_config(folder)
    assert run("--no-embed", bank="killed.db").code == 0
    assert run("--no-embed", "--concurrency", "1", "--parallel", "1", bank="whole.db").code == 0
    assert len(outcomes(killed)) == 120
    assert outcomes(killed) == outcomes(folder / "whole.db")
    with QuestionBank.open(killed) as one, QuestionBank.open(folder / "whole.db") as other:
        assert [question.id for question in one.questions()] == [question.id for question in other.questions()]


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(folder: Path, run: Run) -> None:
    write_config(folder, latency=0.3)
    child = start(folder, "--concurrency", "2", "--json")
    wait_for(folder / "bank.db", 2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    report = json.loads(out)
    assert report["interrupted"] is True
    assert sum(report["outcomes"].values()) == len(outcomes(folder / "bank.db")) >= 2
    assert "Run the same command again to go on" in err
    assert "Traceback" not in err


def test_an_estimate_asks_nothing_and_writes_nothing(folder: Path, run: Run) -> None:
    shown = run("--estimate", "--max-tokens", "100", "--json")
    report = json.loads(shown.out)
    assert shown.code == 0
    assert not (folder / "bank.db").exists()
    assert [row["calls"] for row in report["llms"]] == [60, 60]
    assert 0 < report["cost_usd"] <= report["most_usd"]
    assert "Estimate" in run("--estimate").out


def test_failures_and_caps_end_with_a_reason(folder: Path, run: Run) -> None:
    write_config(folder, failures=["refused", "refused"])
    failed = run("--llms", "good", "--limit", "10", "--no-embed", "--json")
    assert failed.code == 1
    report = json.loads(failed.out)
    assert (report["llms"][0]["status"], report["llms"][0]["failed"], report["llms"][0]["done"]) == ("failures", 2, 8)
    assert "scripted refusal" in report["llms"][0]["failures"][0]["error"]
    write_config(folder)
    assert run("--llms", "good", "--limit", "10", "--no-embed").code == 0
    capped = run("--max-usd", "0.0001", "--no-embed", bank="capped.db")
    assert capped.code == 1
    assert "stopped: budget" in capped.out
    assert "the next call may cost" in capped.err
    refused = run("--llms", "good", "--limit", "11", "--no-embed")
    assert refused.code == 2
    assert "limit was 10, now 11" in refused.err
    assert run("--llms", "nobody").code == 2


def test_unknown_prices_are_named_under_a_cap(folder: Path, run: Run) -> None:
    config = yaml.safe_load((folder / "smcs.yaml").read_text())
    del config["pool"][1]["price"]
    (folder / "smcs.yaml").write_text(yaml.safe_dump(config))
    done = run("--limit", "4", "--max-usd", "5", "--no-embed")
    assert done.code == 1
    assert "skipped under --max-usd: bad" in done.err
    assert run("--limit", "4", "--max-usd", "5", "--allow-unknown-price", "--no-embed").code == 0


def test_programs_are_run_in_a_sandbox_that_is_named(folder: Path, run: Run) -> None:
    row = {"id": "p", "question": "Write f(x) that doubles x.", "tests": "assert f(2) == 4", "entry_point": "f"}
    (folder / "code.jsonl").write_text(json.dumps(row) + "\n")
    (folder / "letters.yaml").write_text("data: code.jsonl\ngrader: code\n")
    config = yaml.safe_load((folder / "smcs.yaml").read_text())
    config["pool"][0]["script"] = {"replies": ["```python\ndef f(x):\n    return 2 * x\n```"]}
    (folder / "smcs.yaml").write_text(yaml.safe_dump(config))
    done = run("--llms", "good", "--no-embed", "--json")
    assert "andbox" in done.err
    assert json.loads(done.out)["llms"][0]["accuracy"] in (1.0, None)  # None where no sandbox can be had


def test_an_empty_file_left_by_a_kill_becomes_a_bank(folder: Path, run: Run) -> None:
    (folder / "bank.db").touch()
    assert run("--limit", "3", "--no-embed").code == 0
    (folder / "notes.txt").write_text("no database, and long enough to be looked at" * 100)
    refused = run("--limit", "3", bank="notes.txt")
    assert refused.code == 2
    assert "Traceback" not in refused.err

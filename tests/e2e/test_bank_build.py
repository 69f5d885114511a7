"""A bank built by a real local LLM: killed in the middle and started again, it ends with the same outcomes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from smcs.bank import QuestionBank
from smcs.errors import BankError
from smcs.llms import allow_requests, find_model, pull

pytest.importorskip("xllamacpp")

pytestmark = [pytest.mark.local, pytest.mark.timeout(900)]

QUESTIONS = (
    ("What is 2 + 3?", "5"),
    ("What is 9 - 4?", "5"),
    ("How many days does a week have?", "7"),
    ("What is 6 times 7?", "42"),
    ("How many legs do three dogs have?", "12"),
    ("What is half of 50?", "25"),
    *((f"What is {a} + {a + 3}?", f"{2 * a + 3}") for a in range(11, 19)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a task of 14 questions and a pool of SmolLM2, fetched when absent (93 MB)."""
    entry = find_model("smollm2-135m")
    if not entry.downloaded:
        with allow_requests(True):
            pull(entry)
    rows = [{"id": f"q{i}", "question": text, "answer": answer} for i, (text, answer) in enumerate(QUESTIONS)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "sums.yaml").write_text("data: sums.jsonl\ngrader: number\n")
    pool = [{"name": "small", "kind": "local", "path": str(entry.path), "context": 1024}]
    config = {"pool": pool, "aggregators": ["small"], "embedder": {"kind": "hashing"}}
    (tmp_path / "smcs.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def build(folder: Path, bank: str) -> subprocess.Popen[str]:
    options = ["--tasks", "sums.yaml", "--bank", bank, "--max-tokens", "60", "--no-embed", "--json"]
    command = [sys.executable, "-c", "from smcs.cli import main; main()", "bank", "build", *options]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answers(path: Path) -> dict[str, tuple[str, float | None]]:
    try:
        with QuestionBank.open(path) as bank:
            return {o.question_id: (o.response, o.score) for llm in bank.llms for o in bank.recorded(llm)}
    except BankError:  # not made yet
        return {}


def test_killed_and_started_again_a_local_llm_answers_the_same(folder: Path) -> None:
    killed = folder / "killed.db"
    child = build(folder, "killed.db")
    until = time.monotonic() + 300
    while not answers(killed) and time.monotonic() < until:
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=30)
    early = answers(killed)
    assert 1 <= len(early) < len(QUESTIONS)
    for bank in ("killed.db", "whole.db"):
        child = build(folder, bank)
        out, err = child.communicate(timeout=600)
        assert child.returncode == 0, err
        report = json.loads(out)
        assert report["llms"][0]["cost_usd"] == 0
    whole = answers(folder / "whole.db")
    assert len(whole) == len(QUESTIONS)
    assert answers(killed) == whole
    assert early.items() <= whole.items()
    assert len({response for response, _ in whole.values()}) > 3

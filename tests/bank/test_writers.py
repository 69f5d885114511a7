"""Several writers at once, and writers that are killed: threads, processes, both databases."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from helpers_bank import EMBEDDER, Place, outcome, question
from smcs._paths import cache_dir
from smcs.bank import QuestionBank


def script(text: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_several_threads_share_one_bank(place: Place) -> None:
    bank = place.create()
    bank.add_questions(question(i) for i in range(100))
    bank.add_llm("a")
    failures: list[BaseException] = []

    def work(part: int) -> None:
        try:
            for i in range(part, 100, 20):
                if i % 3:
                    bank.record([outcome(i, "a", 1)])
                else:
                    with bank.logged("grow"):
                        bank.record([outcome(i, "a", 1)])
                assert f"q{i:04}" in bank.answered("a")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(part,)) for part in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert bank.outcome_counts() == {"a": 100}
    assert bank.verify().problems == ()
    assert [entry.id for entry in bank.history()] == list(range(1, 37))


APPENDING = """
import sys
from helpers_bank import outcome, question
from smcs.bank import QuestionBank
with QuestionBank.open(sys.argv[1]) as bank:
    for i in range(int(sys.argv[2]), int(sys.argv[2]) + 30):
        bank.add_questions([question(i)])
        bank.record([outcome(i, "a", 1.0)])
"""


def test_two_processes_append(place: Place) -> None:
    bank = place.create()
    bank.add_llm("a")
    with script(APPENDING, place.url(), "0") as one, script(APPENDING, place.url(), "30") as two:
        assert (one.wait(100), two.wait(100)) == (0, 0)
    assert len(bank.answered("a")) == len(bank) == 60
    again = place.create("again")
    again.add_llm("a")
    again.add_questions(question(i) for i in range(60))
    again.record(outcome(i, "a", 1.0) for i in range(60))
    assert again.content_hash == bank.content_hash
    assert bank.verify().problems == ()


CREATING = """
import sys
from smcs.bank import QuestionBank
from smcs.errors import BankError
try:
    QuestionBank.create(sys.argv[1]).close()
    print("made")
except BankError as error:
    print(error)
"""


def test_of_two_that_create_one_wins(place: Place) -> None:
    url = place.url()
    with script(CREATING, url) as one, script(CREATING, url) as two:
        said = sorted(str(process.communicate(timeout=100)[0]).strip() for process in (one, two))
    assert said[1] == "made"
    assert "created a question bank" in said[0] or "already a question bank" in said[0]
    with QuestionBank.open(url) as bank:
        assert bank.verify().problems == ()


# For each line on stdin, a process of its own grades what is not graded yet in small batches, every third as a logged
# change with a question of its own, and says what is recorded once the bank has said so.
GRADING = """
import os, sys
from helpers_bank import outcome, question
from smcs.bank import QuestionBank

def work(url, llm, extra):
    with QuestionBank.open(url) as bank:
        answered = bank.answered(llm)
        left = [i for i in range(400) if f"q{i:04}" not in answered]
        for start in range(0, len(left), 4):
            batch = left[start : start + 4]
            rows = [outcome(i, llm, (i % 5) / 4, f"text {i} " * 100) for i in batch]
            if start % 3:
                bank.record(rows)
            else:
                with bank.logged("grow"):
                    bank.add_questions([question(extra + batch[0])])
                    bank.record([*rows, outcome(extra + batch[0], llm, 1.0)])
            print("done", *batch, flush=True)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        work(sys.argv[1], sys.argv[2], int(sys.argv[3]))
        os._exit(0)
    print("child", child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Grader:
    """A process that starts writers, one after another; leaving the block ends it."""

    def __init__(self, url: str, llm: str, extra: int) -> None:
        self._process = script(GRADING, url, llm, str(extra))
        self.acknowledged: set[int] = set()

    def __enter__(self) -> Grader:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=100)

    def start(self) -> int:
        """Start a writer and return its process number."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._until("child")

    def end(self) -> int:
        """Read what the writer says until it has ended, and return its exit code."""
        return self._until("ended")

    def _until(self, word: str) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said, *numbers = line.split()
            if said == word:
                return int(numbers[0])
            if said == "done":
                self.acknowledged.update(map(int, numbers))
        raise AssertionError("the process has died")


def test_writers_that_are_killed_lose_nothing_they_acknowledged(place: Place) -> None:
    bank = place.create()
    bank.add_questions(question(i) for i in range(400))
    bank.add_llm("steady")
    bank.add_llm("killed")
    bank.store_embeddings(EMBEDDER, bank.question_ids(), np.random.default_rng(0).standard_normal((400, 8)))
    chance = random.Random(place.kind)
    kills = 0
    with Grader(place.url(), "steady", 1000) as steady, Grader(place.url(), "killed", 2000) as victim:
        steady.start()
        code = -9
        while code != 0:
            number = victim.start()
            if kills < 8:
                time.sleep(chance.uniform(0.0, 0.2))
                os.kill(number, signal.SIGKILL)
            code = victim.end()
            assert code in (0, -9)
            kills += code == -9
            assert victim.acknowledged <= {int(name[1:]) for name in bank.answered("killed")}
            assert bank.verify().problems == ()
        assert steady.end() == 0
        assert victim.acknowledged
    assert kills >= 3
    assert {f"q{i:04}" for i in range(400)} <= bank.answered("steady") & bank.answered("killed")

    undisturbed = place.create("undisturbed")
    undisturbed.add_questions(bank.questions())
    for name in bank.llms:
        undisturbed.add_llm(name)
        undisturbed.record(bank.recorded(name))
        expected = {i: outcome(i, name, (i % 5) / 4, f"text {i} " * 100) for i in range(400)}
        recorded = {int(found.question_id[1:]): found for found in bank.recorded(name)}
        assert {i: recorded[i] for i in expected} == expected
    assert undisturbed.content_hash == bank.content_hash, "none is missing and none is there twice"

    bank.refresh()
    found = bank.search(np.ones(8), base=50)
    shutil.rmtree(cache_dir() / "index")
    bank.refresh()
    again = bank.search(np.ones(8), base=50)
    assert (found.question_ids, found.prior.tolist()) == (again.question_ids, again.prior.tolist())
    for entry in reversed(bank.history()):
        assert entry.hash_after != entry.hash_before

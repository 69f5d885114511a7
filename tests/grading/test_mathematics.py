from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from helpers_time import cpu_time
from smcs.errors import InputError, MissingExtraError
from smcs.grading import _workers, find_expression, grade_math
from smcs.types import Grade, Question

pytest.importorskip("math_verify")


def graded(gold: str, answer: str, **check: Any) -> Grade:
    return grade_math(Question("q", "?", gold=gold, grader="math", check=check), answer)


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a worker was asked")

    monkeypatch.setattr("smcs.grading.mathematics.compare", refuse)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[_workers._Pool]:
    fresh = _workers._Pool()
    monkeypatch.setattr(_workers, "_pool", fresh)
    yield fresh
    fresh.close()


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("so $x = 3$ and \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}"),
        ("\\boxed{1} ... no: \\boxed{2}", "1, 2"),
        ("\\boxed{1}\n... no: \\boxed{2}", "2"),
        ("The answer is $x^2$.", "x^2"),
        ("The answer is\n\\[\n\\sqrt{2}\n\\]", "\\sqrt{2}"),
        ("The answer is $1$ and $2$.", "1, 2"),
        ("Answer: (x+1)^2", "(x+1)^2"),
        ("Answer: 3.5. That is all", "3.5"),
        ("First $a$, then \\(b\\).", "b"),
        ("We count 3 and 4, so 12 in all", "We count 3 and 4, so 12 in all"),
        ("Answer: \\boxed{5}\n\nQuestion: What is 1+1?\nAnswer: \\boxed{2}", "5"),
        ("Answer: $\\$32,\\!348$", "\\$32,\\!348"),
    ],
)
def test_finds_the_expression_an_answer_settles_on(text: str, expression: str) -> None:
    assert find_expression(text) == expression


@pytest.mark.usefixtures("no_worker")
@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("\\frac{1}{2}", "\\boxed{\\dfrac12}", 1),
        ("\\frac{1}{2}", "\\boxed{0.5}", 1),
        ("\\frac{1}{2}", "\\boxed{0.6}", 0),
        ("1\\frac{1}{2}", "Answer: 3/2", 1),
        ("1 1/2", "Answer: 1.5", 1),
        ("-\\frac{3}{4}", "\\boxed{\\frac{-3}{4}}", 1),
        ("90^\\circ", "The answer is 90 degrees.", 1),
        ("5\\text{ cm}", "\\boxed{5}", 1),
        ("5", "\\boxed{5\\,\\mathrm{m}^2}", 1),
        ("x=5", "\\boxed{5}", 1),
        ("5", "\\boxed{x = 5}", 1),
        ("x=5", "\\boxed{6}", 0),
        ("2516_8", "\\boxed{2516}", 1),
        ("1,234", "\\boxed{1234}", 1),
        ("10{,}000", "\\boxed{10\\,000}", 1),
        ("10\\%", "\\boxed{10}", 1),
        ("10\\%", "\\boxed{0.1}", 1),
        ("10\\%", "\\boxed{1}", 0),
        ("\\$5", "Answer: 5 dollars", 1),
        ("\\text{Evelyn}", "The answer is Evelyn.", 1),
        ("\\text{(C)}", "\\boxed{C}", 1),
        ("0.26667", "\\boxed{\\frac{4}{15}}", 1),
        ("12.5", "\\boxed{12.53}", 0),
        ("\\pi", "\\boxed{\u03c0}", 1),
        ("5", "", 0),
        ("5", "\\boxed{9^{9^{9}}}", 0),
        ("5", "\\boxed{10**10**10}", 0),
        ("5", "\\boxed{(10!)!}", 0),
        ("5", "\\boxed{" + "{" * 100 + "5" + "}" * 100 + "}", 0),
        ("5", "\\boxed{" + "5+" * 3000 + "5}", 0),
    ],
)
def test_what_needs_no_algebra(gold: str, answer: str, score: int) -> None:
    result = graded(gold, answer)
    assert result.score == score
    assert result.reason


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("x^2+2x+1", "\\boxed{(x+1)^2}", 1),
        ("x^2+2x+1", "\\boxed{(x+2)^2}", 0),
        ("3\\sqrt{13}", "\\boxed{\\sqrt{117}}", 1),
        ("2, 3", "\\boxed{3, 2}", 1),
        ("(2, 3)", "\\boxed{(3, 2)}", 0),
        ("(-\\infty, 2)", "\\boxed{x < 2}", 1),
        ("[2, 5]", "\\boxed{(2, 5)}", 0),
        ("6-5i", "\\boxed{-5i + 6}", 1),
        ("2516_8", "\\boxed{2516_7}", 0),
        ("3.142", "\\boxed{\\pi}", 1),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\boxed{\\begin{bmatrix} 1 \\\\ 2 \\end{bmatrix}}", 1),
        ("\\frac{1}{2}", "\\boxed{}}} \\frac{", 0),
    ],
)
def test_what_needs_algebra(gold: str, answer: str, score: int) -> None:
    assert graded(gold, answer).score == score


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("\\boxed{073}", 1),
        ("\\boxed{m+n = 73}", 1),
        ("She has 73 clips.", 1),
        ("#### 73", 1),
        ("The answer is 73 clips, 12 more than before.", 1),
        ("\\boxed{70 + 3}", 1),
        ("\\boxed{74}", 0),
        ("The answer is -73.", 0),
        ("no idea", 0),
    ],
)
def test_integers_first(answer: str, score: int) -> None:
    assert graded("73", answer, integer=True).score == score


def test_accepted_alternatives() -> None:
    assert [graded("80", f"\\boxed{{{n}}}", accepted=["81"], integer=True).score for n in (80, 81, 82)] == [1, 1, 0]
    assert graded("x", "\\boxed{(y+1)^2}", accepted=["y^2+2y+1"]).score == 1


def test_prose_is_compared_as_text_and_says_so() -> None:
    gold = "Minimum: $n-1$, Maximum: $2n-3$"
    right, wrong = graded(gold, f"Answer: {gold}"), graded(gold, "Answer: Minimum: $n$, Maximum: $2n$")
    assert (right.score, wrong.score) == (1, 0)
    assert all("only text comparison was possible" in result.reason for result in (right, wrong))


@pytest.mark.parametrize("check", [{"integer": 1}, {"accepted": "80"}, {"accepted": [80]}])
def test_a_malformed_check_is_refused(check: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'q'"):
        graded("80", "80", **check)


def test_a_question_without_gold_is_refused() -> None:
    with pytest.raises(InputError, match="gold"):
        grade_math(Question("q", "?", grader="math"), "1")


def test_a_slow_comparison_is_ungraded_and_its_worker_replaced(pool: _workers._Pool) -> None:
    assert _workers.compare(["x"], "x").equal
    (before,) = pool._all
    slow = _workers.compare(["5"], "\\int_0^1 \\sin(\\sin(\\sin(x^x))) \\cos(x^{x^x}) dx", seconds=0.05)
    assert slow.failure
    assert "longer than" in slow.failure
    assert before.process.returncode is not None
    assert _workers.compare(["x+1"], "1+x").equal


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of CPU time")
def test_a_worker_that_gets_no_cpu_is_waited_for(pool: _workers._Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workers, "PATIENCE", 60.0)
    assert _workers.compare(["x"], "x").equal
    (worker,) = pool._all
    worker.process.send_signal(signal.SIGSTOP)
    awake = threading.Timer(1.5, worker.process.send_signal, [signal.SIGCONT])
    awake.start()
    assert _workers.compare(["x+1"], "1+x", seconds=1.0).equal
    awake.join()
    assert worker.alive


def test_a_worker_that_dies_is_replaced(pool: _workers._Pool) -> None:
    assert _workers.compare(["x"], "x").equal
    (worker,) = pool._all
    worker.process.kill()
    assert _workers.compare(["x+1"], "1+x").equal


def test_a_failed_comparison_is_ungraded(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = _workers.Comparison(failure="the process broke off")
    monkeypatch.setattr("smcs.grading.mathematics.compare", lambda *_, **__: failed)
    assert graded("x+1", "\\boxed{y}") == Grade(None, "y", "the process broke off")


def test_threads_share_the_workers(pool: _workers._Pool) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: _workers.compare([f"x+{n}"], f"{n % 7}+x").equal, range(40)))
    assert answers == [n == n % 7 for n in range(40)]
    assert len(pool._all) <= 4


def _in_child(n: int) -> bool:
    return _workers.compare(["x+1"], f"{n}+x").equal


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_gets_workers_of_its_own() -> None:
    assert _in_child(1)
    with multiprocessing.get_context("fork").Pool(1) as children:
        assert children.map(_in_child, [1, 2]) == [True, False]
    assert _in_child(1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_when_the_process_ends() -> None:
    program = (
        "import os, signal, sys\nfrom smcs.grading import _workers\nassert _workers.compare(['x+1'], '1+x').equal\n"
        "print(*[worker.process.pid for worker in _workers._pool._all], flush=True)\n"
        "sys.argv[1] == 'kill' and os.kill(os.getpid(), signal.SIGKILL)"
    )
    for way in ("exit", "kill"):
        printed = subprocess.run(
            [sys.executable, "-c", program, way], capture_output=True, text=True, check=False
        ).stdout
        deadline = time.monotonic() + 20
        while _runs(int(printed)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _runs(int(printed))


def test_a_missing_math_verify_is_named(pool: _workers._Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workers, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"smcs\[grading\]"):
        _workers.compare(["x"], "y")
    assert pool._all == set()


PIECES = [
    "\\boxed{",
    "{",
    "$",
    "$x$",
    "\\frac{1}",
    "x=",
    "answer is ",
    "\\[",
    "1/",
    "9",
    "\n",
    "_",
    "\\text{ a",
    "**",
    "1 ",
]


@pytest.mark.usefixtures("no_worker")
@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_anything_takes_bounded_time(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.grading.mathematics.compare", lambda *_, **__: _workers.Comparison())
    text = piece * (1_000_000 // len(piece))
    with cpu_time() as took:
        graded("5", text)
        graded("x+5", f"\\boxed{{{text[:1900]}}}")
    assert took() < 1.5

"""Trivial programs per second: through the sandbox alone, and through `grade` in each style, three tests each.

Usage: python benchmarks/sandbox.py [--count N] [--threads N] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from smcs.grading import grade
from smcs.grading.sandbox import check_function, isolation_report, run_program
from smcs.types import Question

TESTS = "assert square(2) == 4\nassert square(3) == 9\nassert square(-1) == 1"
FUNCTION = "```python\ndef square(x):\n    return x * x\n```"
METHOD = "```python\nclass Solution:\n    def square(self, x: Optional[int]) -> int:\n        return x * x\n```"
SCRIPT = "```python\nx = int(input())\nprint(x * x)\n```"
NUMBERS = (2, 3, -1)
STYLES: dict[str, tuple[dict[str, Any], str]] = {
    "grade, asserts": ({"entry_point": "square", "tests": TESTS}, FUNCTION),
    "grade, class": (
        {
            "style": "class",
            "entry_point": "Solution",
            "setup": "from typing import *\nimport collections, heapq, math, random, re\n",
            "tests": f"square = Solution().square\n{TESTS}",
        },
        METHOD,
    ),
    "grade, call": (
        {"style": "call", "entry_point": "square", "cases": [{"input": [n], "output": n * n} for n in NUMBERS]},
        FUNCTION,
    ),
    "grade, stdin (3 runs)": (
        {"style": "stdin", "cases": [{"input": f"{n}\n", "output": f"{n * n}\n"} for n in NUMBERS]},
        SCRIPT,
    ),
}


def script() -> None:
    assert run_program("print(1)").stdout == "1\n"


def function() -> None:
    assert check_function("def square(x):\n    return x * x", entry_point="square", tests=TESTS).passed


def graded(name: str) -> None:
    check, answer = STYLES[name]
    given = grade(Question(name, "", grader="code", check=check), answer)
    assert given.score == 1.0, given.reason


def bare_interpreter() -> None:
    subprocess.run([sys.executable, "-s", "-S", "-P", "-c", "pass"], check=True)


def measure(work: Callable[[], None], *, count: int, threads: int) -> tuple[float, float]:
    """Return runs per second, and CPU milliseconds per run in the processes started."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return count / seconds, 1000 * cpu / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(isolation_report())
    print(f"{'what':<22} {'per second':>10} {'CPU ms each':>12}   ({options.threads} threads)")
    works: dict[str, Callable[[], None]] = {
        "bare interpreter": bare_interpreter,
        "script": script,
        "function, 3 tests": function,
        **{style: partial(graded, style) for style in STYLES},
    }
    for name, work in works.items():
        work()
        rate, cpu = measure(work, count=options.count, threads=options.threads)
        rows.append({"what": name, "per_second": rate, "cpu_ms": cpu})
        print(f"{name:<22} {rate:>10.1f} {cpu:>12.1f}")
    if options.json:
        options.json.write_text(
            json.dumps({"count": options.count, "threads": options.threads, "rows": rows}, indent=2)
        )


if __name__ == "__main__":
    main()

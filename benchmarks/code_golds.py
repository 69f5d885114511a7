"""Reference solutions through the code grader: all must pass, and spoilt ones must not.

Every reference of MBPP, HumanEval and the LeetCode stand-in's test split is graded as an answer (fenced; HumanEval also
as a bare continuation of its prompt), then again spoilt in five ways. A spoilt program that passes is run against the
same tests in a plain interpreter: where it passes there too, the tests cannot tell it from the reference, and it is
counted apart. The stand-in's other problems get a trivial wrong answer, which must be graded wrong, not ungraded.

Usage: python benchmarks/code_golds.py [mbpp] [humaneval] [livecodebench_standin] [--data DIR] [--limit N] [--threads N]
       [--json PATH]
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from smcs.grading import grade
from smcs.tasks import find_task
from smcs.types import Grade, Question

TASKS = {"mbpp": ("validation", "test"), "humaneval": ("test",), "livecodebench_standin": ("validation", "test")}
SPOILS = ("returns None", "empty body", "off by one", "swapped operator", "swapped comparison")
DATA = Path(os.environ.get("SMCS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SHIFT = """
def _shift(value):
    if isinstance(value, bool): return not value
    if isinstance(value, (int, float)): return value + 1
    if isinstance(value, str): return value + "x"
    if isinstance(value, (list, tuple)): return type(value)([*value, 0])
    return None
"""
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv}
COMPARISONS = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


class Case(NamedTuple):
    """One answer to grade."""

    question: Question
    kind: str
    program: str
    answer: str


def references(task: str, data: Path) -> dict[str, str]:
    """Return the reference solution of each question that has one, by id."""
    with gzip.open(data / "benchmarks" / f"{task}.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["id"]: row["meta"]["reference_solution"] for row in rows if row["meta"].get("reference_solution")}


class _Swap(ast.NodeTransformer):
    """Swaps the first operator that stands in the table for another."""

    def __init__(self, arithmetic: bool) -> None:
        self.arithmetic = arithmetic
        self.done = False

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if self.arithmetic and not self.done and type(node.op) in ARITHMETIC:
            self.done, node.op = True, ARITHMETIC[type(node.op)]()
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if not self.arithmetic and not self.done and type(node.ops[0]) in COMPARISONS:
            self.done, node.ops[0] = True, COMPARISONS[type(node.ops[0])]()
        return self.generic_visit(node)


def spoilt(program: str, entry: str, kind: str) -> str | None:
    """Return a program spoilt in one way, or `None` where it has nothing to spoil that way."""
    tree = ast.parse(program)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == entry]
    if kind.startswith("swapped"):
        swap = _Swap(arithmetic=kind == "swapped operator")
        swap.visit(tree)
        return ast.unparse(tree) if swap.done else None
    if not functions:
        return None
    function = functions[-1]
    if kind == "off by one":
        returns = [node for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
        for node in returns:
            node.value = ast.Call(ast.Name("_shift", ast.Load()), [node.value or ast.Constant(None)], [])
        return SHIFT + ast.unparse(ast.fix_missing_locations(tree)) if returns else None
    function.body = [ast.Return(ast.Constant(None)) if kind == "returns None" else ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))


def entry_of(question: Question) -> str:
    """Return the name of the function or method whose body is spoilt."""
    return str(question.check["entry_point"]).rpartition(".")[2]


def cases(task: str, data: Path, limit: int | None) -> Iterator[Case]:
    known = references(task, data)
    for split in TASKS[task]:
        for question in find_task(task).load(split, data=data, limit=limit):
            if question.id not in known:
                yield from trivially_wrong(question)
                continue
            body, prefix = known[question.id], str(question.check.get("prefix", ""))
            program = body if "class Solution" in body else (prefix if task == "humaneval" else "") + body
            yield Case(question, "reference", program, f"Here it is.\n\n```python\n{program}\n```\n")
            if task == "humaneval":
                yield Case(question, "reference, body only", program, body)
            for kind in SPOILS:
                worse = spoilt(program, entry_of(question), kind)
                if worse is not None:
                    yield Case(question, kind, worse, f"```python\n{worse}\n```")


def trivially_wrong(question: Question) -> Iterator[Case]:
    """Yield an answer that is wrong for sure: every method takes anything and returns an unlikely text."""
    program = "class Solution:\n    def __getattr__(self, name):\n        return lambda *a, **k: 'surely not'\n"
    yield Case(question, "trivially wrong", program, f"```python\n{program}```")


def passes_plainly(case: Case) -> bool:
    """Say whether a program passes its question's tests in an interpreter without any sandbox."""
    check = case.question.check
    source = "\n".join([str(check.get("setup", "")), case.program, str(check["tests"])])
    try:
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def measure(task: str, data: Path, limit: int | None, threads: int) -> dict[str, Any]:
    todo = list(cases(task, data, limit))
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        grades: list[Grade] = list(pool.map(lambda case: grade(case.question, case.answer), todo))
    seconds = time.perf_counter() - started
    rows: dict[str, dict[str, int]] = {}
    listed: list[dict[str, str]] = []
    for case, given in zip(todo, grades, strict=True):
        row = rows.setdefault(case.kind, {"graded": 0, "right": 0, "as it should be": 0, "beyond the tests": 0})
        row["graded"] += 1
        row["right"] += given.score == 1.0
        good = given.score == (1.0 if case.kind.startswith("reference") else 0.0)
        beyond = not good and given.score == 1.0 and passes_plainly(case)
        row["as it should be"] += good
        row["beyond the tests"] += beyond
        if not good:
            note = "passes plainly too" if beyond else "EXCEPTION"
            listed.append({"id": case.question.id, "kind": case.kind, "note": note, "reason": given.reason})
    return {"task": task, "seconds": seconds, "per_second": len(todo) / seconds, "rows": rows, "listed": listed}


def show(result: dict[str, Any]) -> None:
    print(f"\n{result['task']}: {result['seconds']:.0f} s, {result['per_second']:.1f} programs/s")
    print(f"  {'answers':<24} {'graded':>7} {'right':>7} {'as it should be':>16} {'beyond the tests':>17} {'share':>8}")
    for kind, row in result["rows"].items():
        counted = row["graded"] - row["beyond the tests"]
        share = row["as it should be"] / counted if counted else 1.0
        numbers = f"{row['graded']:>7} {row['right']:>7} {row['as it should be']:>16} {row['beyond the tests']:>17}"
        print(f"  {kind:<24} {numbers} {share:>8.2%}")
    for item in result["listed"]:
        print(f"    {item['note']}: {item['id']}, {item['kind']}: {item['reason']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", choices=[*TASKS, []], help="all when none is named")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--limit", type=int, help="questions per split")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for task in options.tasks or TASKS:
        results.append(measure(task, options.data, options.limit, options.threads))
        show(results[-1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()

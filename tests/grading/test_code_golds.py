"""References of the recorded benchmarks through the grader: a sample here, all of them in benchmarks/code_golds.py."""

from __future__ import annotations

import gzip
import json
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

from smcs.grading import grade
from smcs.tasks import find_task
from smcs.types import Question

DATA = Path(os.environ.get("SMCS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not (DATA / "benchmarks").is_dir(), reason="needs the recorded benchmarks (SMCS_DATA)")

# Our own solutions of problems that come without one: id without its task -> method, parameters, body.
OWN = {
    "weekly-contest-380-count-elements-with-maximum-frequency": (
        "maxFrequencyElements(self, nums: List[int]) -> int",
        "c = Counter(nums).values()\nreturn sum(v for v in c if v == max(c))",
    ),
    "weekly-contest-378-check-if-bitwise-or-has-trailing-zeros": (
        "hasTrailingZeros(self, nums: List[int]) -> bool",
        "return len([n for n in nums if n % 2 == 0]) >= 2",
    ),
    "weekly-contest-376-find-missing-and-repeated-values": (
        "findMissingAndRepeatedValues(self, grid: List[List[int]]) -> List[int]",
        "c = Counter(chain(*grid))\nreturn [max(c, key=c.get), next(k for k in range(1, 9999) if k not in c)]",
    ),
    "weekly-contest-374-find-the-peaks": (
        "findPeaks(self, mountain: List[int]) -> List[int]",
        "return [i for i in range(1, len(mountain) - 1) if mountain[i - 1] < mountain[i] > mountain[i + 1]]",
    ),
    "weekly-contest-372-make-three-strings-equal": (
        "findMinimumOperations(self, s1: str, s2: str, s3: str) -> int",
        "k = len(list(takewhile(lambda t: len({*t}) == 1, zip(s1, s2, s3))))\n\
return len(s1 + s2 + s3) - 3 * k if k else -1",
    ),
    "weekly-contest-370-find-champion-i": (
        "findChampion(self, grid: List[List[int]]) -> int",
        "return max(range(len(grid)), key=lambda i: sum(grid[i]))",
    ),
    "weekly-contest-368-minimum-sum-of-mountain-triplets-i": (
        "minimumSum(self, nums: List[int]) -> int",
        "return min((a + b + c for a, b, c in combinations(nums, 3) if a < b > c), default=-1)",
    ),
    "weekly-contest-366-divisible-and-non-divisible-sums-difference": (
        "differenceOfSums(self, n: int, m: int) -> int",
        "return sum(i if i % m else -i for i in range(1, n + 1))",
    ),
    "weekly-contest-364-maximum-odd-binary-number": (
        "maximumOddBinaryNumber(self, s: str) -> str",
        "ones = s.count('1')\nreturn '1' * (ones - 1) + '0' * (len(s) - ones) + '1'",
    ),
    "weekly-contest-362-points-that-intersect-with-cars": (
        "numberOfPoints(self, nums: List[List[int]]) -> int",
        "return len({p for a, b in nums for p in range(a, b + 1)})",
    ),
    "weekly-contest-360-furthest-point-from-origin": (
        "furthestDistanceFromOrigin(self, moves: str) -> int",
        "return abs(moves.count('L') - moves.count('R')) + moves.count('_')",
    ),
    "weekly-contest-356-number-of-employees-who-met-the-target": (
        "numberOfEmployeesWhoMetTarget(self, hours: List[int], target: int) -> int",
        "return sum(h >= target for h in hours)",
    ),
    "weekly-contest-354-sum-of-squares-of-special-elements": (
        "sumOfSquares(self, nums: List[int]) -> int",
        "return sum(x * x for i, x in enumerate(nums, 1) if len(nums) % i == 0)",
    ),
}
DOUBLE_A_LIST = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next

class Solution:
    def doubleIt(self, head: Optional[ListNode]) -> Optional[ListNode]:
        digits, node = [], head
        while node:
            digits.append(str(node.val))
            node = node.next
        result = None
        for digit in reversed(str(2 * int("".join(digits)))):
            result = ListNode(int(digit), result)
        return result
"""


def questions(task: str, split: str) -> dict[str, Question]:
    return {question.id: question for question in find_task(task).load(split, data=DATA)}


def references(task: str, split: str) -> list[tuple[Question, str]]:
    with gzip.open(DATA / "benchmarks" / f"{task}.jsonl.gz", "rt") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    known = {row["id"]: row["meta"].get("reference_solution") for row in rows}
    return [(question, known[key]) for key, question in questions(task, split).items() if known.get(key)]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_references_of_mbpp_pass_and_empty_ones_do_not(split: str) -> None:
    sample = references("mbpp", split)[::40]
    assert sample
    for question, program in sample:
        assert grade(question, f"```python\n{program}\n```").score == 1.0, question.id
        name = question.check["entry_point"]
        assert grade(question, f"```python\n{program}\ndef {name}(*args): pass\n```").score == 0.0, question.id


@pytest.mark.parametrize("number", [533, 596, 601, 927])
def test_references_whose_tests_use_types_modules_or_classes_of_the_program_pass(number: int) -> None:
    found = [item for item in references("mbpp", "validation") if item[0].id == f"mbpp/{number}"]
    if not found:
        pytest.skip("not in this part of the data")
    ((question, program),) = found
    assert grade(question, f"```python\n{program}\n```").score == 1.0
    name = question.check["entry_point"]
    assert grade(question, f"```python\n{program}\ndef {name}(*args): pass\n```").score == 0.0


def test_bodies_of_humaneval_continue_their_prompts() -> None:
    for question, body in references("humaneval", "test")[::4]:
        assert grade(question, body).score == 1.0, question.id
        assert grade(question, "    return None\n").score == 0.0, question.id


def test_references_of_the_stand_in_pass() -> None:
    for question, program in references("livecodebench_standin", "test")[::30]:
        assert grade(question, f"```python\n{program}\n```").score == 1.0, question.id


def test_our_own_solutions_of_the_stand_in_pass_and_trivial_ones_do_not() -> None:
    known = questions("livecodebench_standin", "validation")
    for name, (signature, body) in OWN.items():
        question = known[f"leetcode_lcbwindow/{name}"]
        method = f"class Solution:\n    def {signature}:\n"
        assert grade(question, f"```python\n{method}{textwrap.indent(body, ' ' * 8)}\n```").score == 1.0, name
        assert grade(question, f"```python\n{method}        return 7\n```").score == 0.0, name


def test_linked_lists_cross_to_the_program_and_back() -> None:
    found = [q for key, q in questions("livecodebench_standin", "validation").items() if "double-a-number" in key]
    if not found:
        pytest.skip("not in this part of the data")
    assert grade(found[0], f"```python\n{DOUBLE_A_LIST}\n```").score == 1.0
    assert grade(found[0], f"```python\n{DOUBLE_A_LIST.replace('2 * int', '3 * int')}\n```").score == 0.0

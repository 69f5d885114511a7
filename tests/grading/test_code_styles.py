from __future__ import annotations

from typing import Any

import pytest

from smcs.errors import InputError
from smcs.grading import grade
from smcs.grading.code import grade_code
from smcs.grading.code_styles import same_output
from smcs.grading.limits import Limits
from smcs.types import Grade, Question

PRELUDE = """
from typing import *

class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next

def build(values):
    head = None
    for value in reversed(values):
        head = ListNode(value, head)
    return head

def same(a, b):
    while a and b:
        if a.val != b.val: return False
        a, b = a.next, b.next
    return a is None and b is None
"""
ADDER = {
    "style": "call",
    "entry_point": "add",
    "cases": [{"input": [1, 2], "output": 3}, {"input": [5, -5], "output": 0}],
}
ECHO = {"style": "stdin", "cases": [{"input": "2\n3 4\n", "output": "7\n"}, {"input": "1\n5\n", "output": "5"}]}
SUM = "n = int(input())\nprint(sum(map(int, input().split())))"


def graded(check: dict[str, Any], program: str, **limits: Any) -> Grade:
    question = Question("q", "", grader="code", check=check)
    return grade_code(question, f"```python\n{program}\n```", limits=Limits(**limits) if limits else None)


# check(candidate)


@pytest.mark.parametrize("call", ["", "\ncheck(twice)"])
def test_check_is_called_with_the_entry_point(call: str) -> None:
    check = {"entry_point": "twice", "tests": f"def check(candidate):\n    assert candidate(4) == 8{call}"}
    assert graded(check, "def twice(x):\n    return 2 * x").score == 1.0
    wrong = graded(check, "def twice(x):\n    return x")
    assert (wrong.score, wrong.reason) == (0.0, "failed: assert candidate(4) == 8")


def test_helpers_of_the_prefix_serve_tests_and_program() -> None:
    prefix = "import math\n\ndef encode(s):\n    return s[::-1]\n\ndef decode(s):\n    '''Undo encode.'''\n"
    tests = "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'"
    check = {"entry_point": "decode", "tests": tests, "prefix": prefix}
    assert graded(check, "def decode(s):\n    return encode(s) if math.pi > 3 else ''").score == 1.0
    assert graded(check, "    return encode(s)").score == 1.0
    # A program cannot put another helper in place of the one that the tests use.
    assert graded(check, "def encode(s):\n    return s\n\ndef decode(s):\n    return encode(s)").score == 0.0


def test_tests_that_never_call_the_program_grade_nothing() -> None:
    assert graded({"entry_point": "f", "tests": "def other(x):\n    assert x"}, "def f(x):\n    return x").score is None


# classes


@pytest.mark.parametrize("entry", ["Solution", "Solution().join"])
def test_a_class_is_used_from_the_tests(entry: str) -> None:
    asserts = "s = Solution()\nassert s.join(a=[1], b=[2]) == [1, 2]"
    tests = asserts if entry == "Solution" else "def check(candidate):\n    assert candidate([1], [2]) == [1, 2]"
    check = {"style": "class", "entry_point": entry, "setup": PRELUDE, "tests": tests}
    right = "class Solution:\n    def join(self, a: List[int], b: List[int]):\n        return a + b"
    assert graded(check, right).score == 1.0
    assert graded(check, right.replace("a + b", "b + a")).score == 0.0
    assert "no class 'Solution'" in graded(check, "def join(a, b):\n    return a + b").reason


def test_state_stays_in_each_object() -> None:
    tests = """
a, b = Counter(), Counter()
a.add(2)
a.add(3)
b.add(1)
assert (a.total, b.total) == (5, 1)
b.total = 9
assert b.add(1) == 10
"""
    program = """class Counter:
    total = 0
    def __init__(self):
        self.total = 0
    def add(self, n):
        self.total += n
        return self.total"""
    check = {"style": "class", "entry_point": "Counter", "tests": tests}
    assert graded(check, program).score == 1.0
    assert graded(check, program.replace("self.total", "Counter.total")).score == 0.0


@pytest.mark.parametrize(
    "definition",
    ["", "class ListNode:\n    def __init__(self, val=0, next=None):\n        self.val, self.next = val, next\n"],
)
def test_nodes_of_the_prelude_cross_both_ways(definition: str) -> None:
    tests = (
        "assert same(Solution().reverse(build([1, 2, 3])), build([3, 2, 1]))\nassert Solution().reverse(None) is None"
    )
    check = {"style": "class", "entry_point": "Solution", "setup": PRELUDE, "tests": tests}
    program = f"""{definition}class Solution:
    def reverse(self, head: Optional[ListNode]):
        back = None
        while head:
            head.next, back, head = back, head, head.next
        return back"""
    assert graded(check, program).score == 1.0
    assert graded(check, program.replace("return back", "return head")).score == 0.0


def test_nodes_changed_in_place_and_cycles_and_long_lists() -> None:
    tests = """
head = build(range(20_000))
assert Solution().close(head) is None
last = head
for _ in range(19_999): last = last.next
assert last.next is head and last.val == -1
assert Solution().first(head) is head
"""
    program = """class Solution:
    def close(self, head):
        node = head
        while node.next: node = node.next
        node.next, node.val = head, -1
    def first(self, head):
        return head"""
    check = {"style": "class", "entry_point": "Solution", "setup": PRELUDE, "tests": tests}
    assert graded(check, program).score == 1.0


def test_objects_of_the_program_equal_themselves_only() -> None:
    program = """class Liar:
    def __eq__(self, other): return True
    def __hash__(self): return 4
    def __bool__(self): return True
    def __contains__(self, item): return True
    def __len__(self): return 3
class Solution:
    def f(self): return Liar()"""
    tests = (
        "f() == 4",
        "4 == f()",
        "4 in f()",
        "f() in [4]",
        "{4: 1}.get(f()) == 1",
        "len(f()) == 3",
        "min(f(), 4) == 4",
    )
    for test in tests:
        check = {"style": "class", "entry_point": "Solution", "tests": f"f = Solution().f\nassert {test}"}
        assert graded(check, program).score == 0.0


# calls


def test_cases_are_called_one_by_one() -> None:
    assert graded(ADDER, "def add(a, b):\n    return a + b").reason == "all cases passed"
    assert graded(ADDER, "class Solution:\n    def add(self, a, b):\n        return a + b").score == 1.0
    wrong = graded(ADDER, "def add(a, b):\n    return abs(a) + abs(b)")
    assert (wrong.score, wrong.reason) == (0.0, "failed: case 2 of 2, input (5, -5): expected 0, got 10")
    assert "ZeroDivisionError in case 1" in graded(ADDER, "def add(a, b):\n    return 1 / 0").reason
    method = {**ADDER, "entry_point": "Solution().add"}
    assert graded(method, "class Solution:\n    def add(self, a, b):\n        return a + b").score == 1.0


@pytest.mark.parametrize(
    ("returned", "expected", "same"),
    [
        ("(1, [2])", [1, [2]], True),
        ("0.1 + 0.2", 0.3, True),
        ("1.0", 1, True),
        ("1.001", 1, False),
        ("True", 1, True),
        ("'1'", 1, False),
        ("{'a': (1.0000000001,)}", {"a": [1.0]}, True),
        ("None", None, True),
        ("[1, 2]", [1], False),
        ("10**400", 1.5, False),
        ("float('nan')", 1.5, False),
        ("{1}", [1], False),
    ],
)
def test_returned_values_are_compared_as_json(returned: str, expected: object, same: bool) -> None:
    check = {"style": "call", "entry_point": "f", "cases": [{"input": [], "output": expected}]}
    assert graded(check, f"def f():\n    return {returned}").score == float(same)


def test_a_call_that_hangs_is_named() -> None:
    grade = graded(ADDER, "def add(a, b):\n    while a == 5: pass\n    return a + b", case_seconds=2.0)
    assert (grade.score, grade.reason) == (0.0, "no answer after 2 s in case 2 of 2, input (5, -5)")


# whole programs


def test_programs_read_and_print() -> None:
    assert graded(ECHO, SUM).reason == "all cases passed"
    assert (
        graded(
            ECHO, f"def main():\n    {SUM.replace(chr(10), chr(10) + '    ')}\n\nif __name__ == '__main__':\n    main()"
        ).score
        == 1.0
    )
    wrong = graded(ECHO, SUM.replace("sum", "max"))
    assert (wrong.score, wrong.reason) == (0.0, "failed: case 1 of 2, input '2\\n3 4': expected '7', got '4'")
    assert "ZeroDivisionError" in graded(ECHO, "print(1 / 0)").reason
    assert graded(ECHO, f"{SUM}\nraise SystemExit(3)").score == 0.0
    assert "timeout in case 1 of 2" in graded(ECHO, "while True: pass", case_seconds=2.0).reason


def test_setup_comes_before_programs() -> None:
    check = {"style": "stdin", "setup": "from math import *", "cases": [{"input": "", "output": "3.14159265"}]}
    assert graded(check, "from __future__ import annotations\nprint(pi)").score == 1.0


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("1 2\n3\n", "1 2\n3", True),
        ("  1   2  \n3", "1 2 \n3 \n\n", True),
        ("1 2 3", "1 2\n3", False),
        ("0.333333333", "0.3333333", True),
        ("0.34", "0.33", False),
        ("2.0", "2", True),
        ("2.0000001", "2", False),
        ("1e3", "1000.0", True),
        ("100000000000000001", "100000000000000002", False),
        ("YES", "yes", False),
        ("nan", "NaN", False),
        ("inf", "1e999", False),
        ("1e999999999", "1.5", False),
        ("", "", True),
        ("1", "", False),
        ("\u0661", "1", True),
    ],
)
def test_output_is_compared_by_line(printed: str, expected: str, same: bool) -> None:
    assert same_output(printed, expected) is same


# mistakes


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ({"style": "essay"}, "asserts, class, call, stdin"),
        ({"style": "call", "entry_point": "f"}, "`cases`"),
        ({"style": "call", "entry_point": "f", "cases": []}, "`cases`"),
        ({"style": "call", "entry_point": "f", "cases": [{"input": 1, "output": 2}]}, "list of arguments"),
        ({"style": "stdin", "cases": [{"input": "1"}]}, "texts"),
        ({"style": "class", "entry_point": "Solution"}, "`tests`"),
        ({"style": "class", "entry_point": "Solution(1).f", "tests": "assert 1"}, "entry_point"),
    ],
)
def test_a_check_that_lacks_something_is_a_mistake(check: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        grade(Question("q", "", grader="code", check=check), "x")

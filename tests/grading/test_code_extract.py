from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.grading.code_extract import extract_function, extract_script, preamble, without_examples

SQUARE = "def square(x):\n    return x * x"
PREFIX = (
    "import math\n\ndef helper(x):\n    return x\n\n"
    'def square(x):\n    """ Return x squared.\n    >>> square(2)\n    4\n    """\n'
)


def value(program: str, argument: int = 3) -> object:
    namespace: dict[str, object] = {"__name__": "solution"}
    exec(program, namespace)  # noqa: S102  (programs of this file)
    return namespace["square"](argument)  # type: ignore[operator]


@pytest.mark.parametrize(
    "answer",
    [
        f"~~~python\n{SQUARE}\n~~~",
        f"````python\n{SQUARE}\n````",
        "1. Do it:\n   ```python\n   def square(x):\n       return x * x\n   ```\n2. Done.",
        "> ```python\n> def square(x):\n>     return x * x\n> ```",
        "`square` is: ```python def square(x): return x * x```",
        f"[PYTHON]\n{SQUARE}\n[/PYTHON]",
        f"{SQUARE}\n[DONE]\nThat was it.",
        f"[BEGIN]\n{SQUARE}\n[DONE]",
        f"<code>\n{SQUARE}\n</code>",
        f"<think>def square(x): return 0</think>\n{SQUARE}",
        f"Sure, from what you say, define it so:\n\n{SQUARE}\n\nimport is not needed, as you see.",
        "Like this:\n\n    def square(x):\n        return x * x\n\nIt works.",
        "```python\ndef square(x):\n\treturn x * x\n```",
        "```python\r\ndef square(x):\r\n    return x * x\r\n```",
        "```python\ndef square(x):\n\u00a0\u00a0\u00a0\u00a0return x * x\n```",
        "```python\ndef by(a, b):\n    return a * b\n```\nand\n```python\ndef square(x):\n    return by(x, x)\n```",
        "```python\nimport operator\n```\n```python\ndef square(x):\n    return operator.mul(x, x)\n```",
        f"```python\n{SQUARE}\n```\nThe signature was:\n```python\ndef square(x):\n    ...\n```",
        f"```python\n{SQUARE}\n\nprint square(3)\n```",
        f"```python\n{SQUARE}\n\ndef test_square():\n    assert square(",
        f"```json\n{{}}\n```\n```python\n{SQUARE}\n```",
        f"```\nInput: 3\nOutput: 9\n```\n```python\n{SQUARE}\n```",
        "def square(x):\n    a, end = [x], 0\n    a[end] = a[end] * a[end]\n    return a[end]\n[DONE]",
        "```python\ndef square(x):\n    END, done = 0, [x * x]\n    return done[END]\n```",
        "```python\ndef square(x):\n    s = '\u2028\x0c'\n    return x * x\n\nprint(square(4))\n```",
        "A helper:\n\ndef twice(x):\n    return 2 * x\n\nThen it.\n\ndef square(x):\n    return twice(x) * x // 2\n",
    ],
)
def test_the_program_is_found(answer: str) -> None:
    assert value(extract_function(answer, "square")) == 9


@pytest.mark.parametrize(
    "answer",
    [
        "    return x * x",
        "    return x * x\n\nprint(square(3))\nThis multiplies x by itself.",
        "return x * x",
        "y = x\n    return y * x",
        "    if x == 0:\n        return 0\n\n    y = x\n    return y * x",
        "```python\n    return x * x\n```",
        "The body:\n```python\nreturn x * x\n```\nis all.",
        "```python\ny = x\nreturn y * x\n```",
    ],
)
def test_a_body_continues_the_given_beginning(answer: str) -> None:
    assert value(extract_function(answer, "square", PREFIX)) == 9


def test_a_whole_function_is_taken_before_a_continuation() -> None:
    assert extract_function(f"```python\n{SQUARE}\n```", "square", PREFIX).strip() == SQUARE


def test_prose_is_no_continuation() -> None:
    assert extract_function("I cannot do that.", "square", PREFIX) == ""


def test_what_stands_before_the_entry_point_is_given_to_every_answer() -> None:
    assert "def helper" in preamble(PREFIX, "square")
    assert "square" not in preamble(PREFIX, "square")
    assert preamble("class Solution:\n    def f(self):\n        ", "Solution") == ""
    assert preamble("def broken(:\n\ndef square(x):\n", "square") == ""


@pytest.mark.parametrize(
    "example",
    [
        "print(square(3))",
        "assert square(3) == 10",
        "n = int(input())\nprint(n)",
        "while True:\n    square(2)",
        "if __name__ == '__main__':\n    raise SystemExit(1)",
        "for i in range(10**12):\n    print(square(i))",
        "import unittest\nunittest.main()",
        "square(\n    3\n)",
    ],
)
def test_examples_of_use_are_left_out(example: str) -> None:
    program = without_examples(f"{SQUARE}\n\n{example}\n", "square")
    assert value(program) == 9
    assert program.count("\n") == f"{SQUARE}\n\n{example}\n".count("\n")


@pytest.mark.parametrize(
    "needed",
    ["import sys\nsys.setrecursionlimit(5000)", "table = [i * i for i in range(9)]", "square = staticmethod(square)"],
)
def test_what_the_function_may_need_is_kept(needed: str) -> None:
    assert needed in without_examples(f"{SQUARE}\n{needed}\n", "square")


def test_scripts_prefer_the_block_that_reads_input() -> None:
    reads = "n = int(input())\nprint(n * n)"
    assert extract_script(f"```python\n{reads}\n```\nFor example:\n```python\nprint(9)\n```").strip() == reads
    assert extract_script(f"```python\n{reads}\n```\n```\n3\n```").strip() == reads
    assert extract_script(f"The program is\n\n{reads}\n\nand that is all.").strip() == reads
    assert extract_script("```python\nprint(1)\n```\n```python\nprint(2)\n```").strip() == "print(2)"
    assert extract_script("I do not know.") == ""


@given(st.text(alphabet="`~ \n\tdefsquare(x):=[]<>/PYTHON0"))
def test_any_text_is_bearable(text: str) -> None:
    assert isinstance(extract_function(text, "square", PREFIX), str)
    assert isinstance(extract_script(text), str)


def test_long_texts_take_bounded_time() -> None:
    for text in ("def f(:\n" * 50_000, "```" * 60_000, "x = [\n" * 50_000, "(" * 200_000, "    return x\n" * 20_000):
        assert isinstance(extract_function(text, "square", PREFIX), str)

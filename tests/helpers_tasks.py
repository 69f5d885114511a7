"""Hand-written rows in the shapes in which benchmarks are published; every text is ours."""

from __future__ import annotations

import base64
import gzip
import json
import os
import pickle
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

RECORDED = Path(os.environ.get("SMCS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""Folder of the recorded data."""


def hidden(cases: object) -> str:
    """Pack hidden tests as LiveCodeBench publishes them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


STDIN = [{"input": "3\n", "output": "6\n", "testtype": "stdin"}]
CALLED = [{"input": "[1, 2]\n3", "output": "[4, 5]", "testtype": "functional"}]

ROWS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "math500": (
        {
            "problem": "What is $2+2$?",
            "solution": "It is $\\boxed{4}$.",
            "answer": "4",
            "subject": "Prealgebra",
            "level": 1,
            "unique_id": "test/prealgebra/7.json",
        },
    ),
    "aime": ({"ID": "2024-I-3", "Problem": "Find $n$ if $n-4=0$.", "Solution": "Add 4.", "Answer": 4},),
    "mbpp": (
        {
            "task_id": 11,
            "text": "Write a function that doubles a number.",
            "code": "def twice(x):\n    return 2 * x",
            "test_list": ["assert twice(2) == 4", "assert set([twice(0)]) == {0}"],
            "test_setup_code": "",
            "challenge_test_list": [],
        },
    ),
    "livecodebench": (
        {
            "question_title": "Double",
            "question_content": "Print twice the number you read.",
            "platform": "atcoder",
            "question_id": "abc1_a",
            "contest_id": "abc1",
            "contest_date": "2024-11-02T00:00:00",
            "starter_code": "",
            "difficulty": "easy",
            "public_test_cases": json.dumps(STDIN),
            "private_test_cases": hidden([{"input": "5\n", "output": "10\n", "testtype": "stdin"}]),
            "metadata": "{}",
        },
        {
            "question_title": "Shift",
            "question_content": "Add k to every element.",
            "platform": "leetcode",
            "question_id": "9001",
            "contest_id": "weekly-1",
            "contest_date": "2024-11-03T00:00:00",
            "starter_code": "class Solution:\n    def shift(self, xs: List[int], k: int) -> List[int]:\n        ",
            "difficulty": "medium",
            "public_test_cases": json.dumps(CALLED),
            "private_test_cases": json.dumps(CALLED),
            "metadata": json.dumps({"func_name": "shift"}),
        },
    ),
    "gpqa": (
        {
            "Record ID": "recOURS1",
            "Question": " Which of these numbers is even? ",
            "Correct Answer": "four ",
            "Incorrect Answer 1": "three",
            "Incorrect Answer 2": "five",
            "Incorrect Answer 3": "seven",
            "High-level domain": "Physics",
            "Subdomain": "Counting",
        },
    ),
    "mmlu_pro": (
        {
            "question_id": 70,
            "question": "Which is a colour?",
            "options": ["stone", "red", "N/A"],
            "answer": "B",
            "answer_index": 1,
            "cot_content": "",
            "category": "other",
            "src": "ours",
        },
    ),
    "ifeval": (
        {
            "key": 5,
            "prompt": "Write two lines without commas.",
            "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
            "kwargs": [{"num_words": None, "relation": None}, {"num_words": 4, "relation": "at least"}],
        },
    ),
    "medmcqa": (
        {
            "id": "ours-1",
            "question": "Which organ pumps blood?",
            "opa": "liver",
            "opb": "lung",
            "opc": "heart",
            "opd": "skin",
            "cop": 2,
            "choice_type": "single",
            "exp": "It beats.",
            "subject_name": "Physiology",
            "topic_name": None,
        },
    ),
    "humaneval": (
        {
            "task_id": "HumanEval/900",
            "prompt": 'def half(x: float) -> float:\n    """ Half of x. """\n',
            "canonical_solution": "    return x / 2\n",
            "test": "def check(candidate):\n    assert candidate(4) == 2\n",
            "entry_point": "half",
        },
    ),
    "finqa": (
        {
            "id": "OURS/2020/page_1.pdf-1",
            "pre_text": ["our revenue rose ."],
            "post_text": ["figures are in millions ."],
            "table": [["year", "revenue"], ["2019", "$ 100"], ["2020", "$ 112"]],
            "question": "by what percentage did revenue rise?",
            "answer": "12%",
            "exe_ans": "0.12",
            "program": "subtract(112, 100), divide(#0, 100)",
        },
    ),
    "livemathbench": (
        {"question": "Is 7 a prime?", "answer": "Yes", "question_type": "Number Theory"},
        {"question": "Find $x$ if $2x=3$.", "answer": "$\\frac{3}{2}$", "question_type": "Algebra"},
    ),
    "gsm8k": (
        {"question": "Ann has 999 pens and buys 1. How many?", "answer": "999+1=<<999+1=1000>>1000\n#### 1,000"},
    ),
}
"""Task -> rows of its test split on the hub (LiveMathBench: its only split)."""


def record(task: str, number: int, **changes: Any) -> dict[str, Any]:
    """Return a ten-key row of multiple choice."""
    return {
        "id": f"{task}/{number}",
        "benchmark": task,
        "split": "validation",
        "subject": f"subject {number % 3}",
        "question": f"Which is {number}?",
        "choices": [str(number), str(number + 1)],
        "answer": "A",
        "tests": None,
        "instructions": None,
        "meta": {},
        **changes,
    }


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines, gzipped if the name says so."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path

"""How well and how fast instruction following is graded.

    python benchmarks/ifeval.py [--data FOLDER] [--repeat 20] [--json PATH]

FOLDER holds `benchmarks/ifeval.jsonl.gz` (default: SMCS_DATA, or `../shared/data`). Per type: answers made to follow
that are taken for followed, answers made to break it that are taken for broken, and checks per second on one thread
(answers of one to some hundred words). Then the seconds that both verdicts on a one-megabyte answer take.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers_ifeval import breaking, following, ifeval_questions, instructions_of  # noqa: E402
from smcs.grading import instruction_verdicts  # noqa: E402
from smcs.types import Question  # noqa: E402

LONG = {"prose": "The cat sat on the mat. ", "brackets": "[", "periods": ". ", "stars": "*", "lines": "- a\n"}


def alone(question: Question, number: int) -> Question:
    """Return a question with one of its instructions only."""
    names, kwargs = question.check["instruction_id_list"], question.check["kwargs"]
    check = {"instruction_id_list": [names[number]], "kwargs": [kwargs[number]]}
    return Question(f"{question.id}#{number}", question.text, grader="ifeval", check=check)


def measure(questions: list[Question], repeat: int) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"instructions": 0, "followed": 0, "broken": 0, "checks": 0, "seconds": 0.0}
    )
    for question in questions:
        instructions = instructions_of(question)
        answer = following(instructions)
        for i, instruction in enumerate(instructions):
            row, single = rows[instruction[0]], alone(question, i)
            broken = breaking(instruction, answer)
            row["instructions"] += 1
            row["followed"] += instruction_verdicts(single, answer)[0].strict
            row["broken"] += not instruction_verdicts(single, broken)[0].strict
            begun = time.perf_counter()
            for _ in range(repeat):
                instruction_verdicts(single, answer)
            row["seconds"] += time.perf_counter() - begun
            row["checks"] += repeat
    return dict(sorted(rows.items()))


def long_answers(questions: list[Question]) -> dict[str, float]:
    """Return the seconds that all 25 types together take on one megabyte of a pattern, strict and loose."""
    by_type = {name: alone(q, i) for q in questions for i, (name, _) in enumerate(instructions_of(q))}
    seconds = {}
    for name, part in LONG.items():
        answer = part * (1_000_000 // len(part))
        begun = time.perf_counter()
        for question in by_type.values():
            instruction_verdicts(question, answer)
        seconds[name] = time.perf_counter() - begun
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SMCS_DATA", ROOT.parent / "shared" / "data")))
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    questions = ifeval_questions(arguments.data)
    rows, seconds = measure(questions, arguments.repeat), long_answers(questions)
    print(f"{'instruction':<46}{'n':>4}{'followed':>10}{'broken':>8}{'checks/s':>10}")
    for name, row in rows.items():
        print(
            f"{name:<46}{row['instructions']:>4}{row['followed']:>10}{row['broken']:>8}"
            f"{row['checks'] / row['seconds']:>10,.0f}"
        )
    count = sum(row["instructions"] for row in rows.values())
    for kind in ("followed", "broken"):
        right = sum(row[kind] for row in rows.values())
        print(f"made to be {kind}, taken for {kind}: {right}/{count} ({right / count:.2%})")
    for name, taken in seconds.items():
        print(f"1 MB of {name}, all 25 types, strict and loose: {taken:.1f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps({"types": rows, "one_megabyte_seconds": seconds}, indent=2))


if __name__ == "__main__":
    main()

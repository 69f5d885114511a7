"""Do the text graders say what they should: against recorded predictions, and on golds that are told and golds spoilt.

agreement: letters found in recorded MMLU-Pro responses against the predictions published with them, per LLM.
golds: golds of every text benchmark, phrased as answers, must be right, and spoilt golds wrong.
speed: grades per second.

Usage: python benchmarks/grading.py [agreement] [golds] [speed] [--data DIR] [--limit N] [--list PATH] [--json PATH]
`--list` writes each disagreement and exception with its class (ids and letters, no texts).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from smcs.grading import find_choice, grade
from smcs.types import GraderName, Question

DATA = Path(os.environ.get("SMCS_DATA", Path(__file__).parents[2] / "shared" / "data"))
GRADERS: dict[str, tuple[GraderName, dict[str, Any]]] = {
    "aime": ("math", {"integer": True}),
    "gsm8k": ("math", {"integer": True}),
    "math500": ("math", {}),
    "livemathbench": ("math", {}),
    "finqa": ("number", {"percent": True, "rounded": True}),
    "gpqa": ("choice", {}),
    "mmlu_pro": ("choice", {}),
    "medmcqa": ("choice", {}),
}
PHRASES: dict[str, tuple[str, ...]] = {
    "choice": ("{}", "Answer: {}", "The answer is ({}).", "So it must be this one.\n\n**Answer: {}**", "\\boxed{{{}}}"),
    "number": ("{}", "Answer: {}", "The answer is {}.", "We divide 12 by 7.\n\n**Final answer:** {}", "\\boxed{{{}}}"),
    "exact": ("{}", "Answer: {}", "The answer is {}.", "**{}**", "\\boxed{{{}}}"),
    "math": (
        "Answer: ${}$",
        "The answer is ${}$.",
        "We solve it step by step, with $k = 17$.\n\nTherefore, the final answer is $\\boxed{{{}}}$.",
        "Adding 3 and 4 we get\n\\[\\boxed{{{}}}\\]",
        "**Final Answer**\n\\boxed{{{}}}\n\nI hope this helps.",
    ),
}
GUESS = [
    random.Random(12345).randint(0, n - 1) for n in range(1, 27)
]  # what the publishers recorded for "nothing found"


def load(name: str, data: Path) -> Iterator[Question]:
    """Yield the questions of one benchmark with the grader its task uses."""
    grader, check = GRADERS[name]
    with gzip.open(data / "benchmarks" / f"{name}.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            kind = "exact" if row["answer"].lower() in ("yes", "no") and grader == "number" else grader
            accepted = row["meta"].get("accepted_answers")
            yield Question(
                row["id"],
                row["question"],
                choices=tuple(row["choices"] or ()),
                gold=row["answer"],
                grader=kind,
                check={**check, **({"accepted": [str(gold) for gold in accepted]} if accepted else {})},
            )


def spoilt(question: Question, rng: random.Random) -> list[str]:
    """Return golds that are near the right one and wrong."""
    gold = question.gold or ""
    if question.grader == "choice":
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(question.choices)]
        return [rng.choice([letter for letter in letters if letter != gold])]
    if question.grader == "exact":
        return ["no" if gold.lower() == "yes" else "yes"]
    if re.fullmatch(r"-?[\d,]*\.?\d+", gold.replace("$", "")):
        return _spoilt_number(gold.replace("$", "").replace(",", ""))
    if gold.count("$") > 2 or re.search(r"[a-zA-Z]{4,}", re.sub(r"\\[a-zA-Z]+", "", gold)):
        return ["\\text{none of these}"]
    told, shift = gold.partition("=")[2] or gold, len(gold) - len(gold.partition("=")[2] or gold)
    numbers = list(re.finditer(r"(?<![\d_^])(?<![_^]\{)\d+", told))
    if not numbers:
        return [f"{gold.strip('$')} + 1"] if not gold.endswith((")", "]", "}")) else ["\\text{none of these}"]
    end = shift + numbers[-1].end()
    return [(gold[: end - 1] + ("3" if gold[end - 1] != "3" else "8") + gold[end:]).strip("$")]


def _spoilt_number(gold: str) -> list[str]:
    """Return the number plus one in its last place, and negated."""
    decimals = len(gold.partition(".")[2])
    wrong = [f"{float(gold) + 1:.{decimals}f}" if decimals else str(int(gold) + 1)]
    if decimals:
        last = "3" if gold[-1] != "3" else "8"
        wrong.append(gold[:-1] + last)
    if float(gold):
        wrong.append(gold[1:] if gold.startswith("-") else f"-{gold}")
    return wrong


def right_forms(question: Question) -> list[str]:
    """Return the gold as it may be written."""
    gold = question.gold or ""
    if question.grader != "number":
        return [gold.strip("$") if gold.count("$") == 2 and gold.startswith("$") and gold.endswith("$") else gold]
    value, percent = float(gold), f"{float(gold) * 100:.4f}".rstrip("0").rstrip(".") + "%"
    forms = [gold, percent, f"${value:,}", f"a decrease of {gold[1:]}" if value < 0 else f"approximately {gold}"]
    if abs(value) >= 1e6:
        return [*forms, f"${value / 1e6:,.2f} million"]
    return (
        [*forms, f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}", f"{value:.1%}"] if abs(value) >= 0.1 else forms
    )


def check_golds(data: Path, limit: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one row per benchmark, and every exception."""
    rows, exceptions = [], []
    for name in GRADERS:
        rng = random.Random(0)
        questions = list(load(name, data))
        questions = rng.sample(questions, min(limit, len(questions))) if limit else questions
        counts: Counter[str] = Counter()
        started = time.perf_counter()
        for question in questions:
            prose = str(question.gold).count("$") > 2
            phrases = PHRASES["exact"][:4] if prose else PHRASES[str(question.grader)]
            wrong = [form for form in spoilt(question, rng) if form not in question.check.get("accepted", ())]
            for kind, wanted, forms in (("right", 1.0, right_forms(question)), ("wrong", 0.0, wrong)):
                for form in forms:
                    phrase = rng.choice(phrases).format(form)
                    result = grade(question, phrase)
                    counts[kind] += 1
                    counts[f"{kind} ok"] += result.score == wanted
                    if result.score != wanted:
                        where = {"benchmark": name, "id": question.id, "told": kind, "score": result.score}
                        exceptions.append(where | {"reason": result.reason.partition(" expected")[0][:60]})
        rows.append(
            {"benchmark": name, "questions": len(questions), **counts, "seconds": time.perf_counter() - started}
        )
    return rows, exceptions


def check_agreement(data: Path, limit: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one row per LLM and split, and every disagreement with its class."""
    from pyarrow import parquet

    folder = data / "mmlu_pro_recorded"
    questions = {row["id"]: row for row in parquet.read_table(folder / "questions.parquet").to_pylist()}
    outcomes = parquet.read_table(folder / "outcomes.parquet", columns=["id", "llm", "predicted", "correct"])
    recorded = {(row["id"], row["llm"]): row for row in outcomes.to_pylist()}
    rows, disagreements = [], []
    for split, name in (("test", "responses.parquet"), ("validation", "responses_validation.parquet")):
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        responses = parquet.read_table(folder / name)
        responses = responses.slice(0, limit) if limit else responses
        for batch in responses.to_batches(max_chunksize=2_000):
            for row in batch.to_pylist():
                outcome, question = recorded.get((row["id"], row["llm"])), questions[row["id"]]
                if outcome is None:
                    continue
                choices, count = tuple(question["choices"]), counts[row["llm"]]
                found = find_choice(row["response"] or "", choices, question=question["question"])
                if outcome["predicted"] is None:
                    count.update(no_record=1, no_record_found=found is not None)
                    continue
                same = found == outcome["predicted"]
                verdict = (found == question["answer"]) == bool(outcome["correct"])
                count.update(recorded=1, same_letter=same, same_verdict=verdict)
                if not same:
                    kind = disagreement(row["response"] or "", outcome["predicted"], found, len(choices))
                    count[kind] += 1
                    who = {"split": split, "id": row["id"], "llm": row["llm"], "class": kind, "same_verdict": verdict}
                    disagreements.append(who | {"recorded": outcome["predicted"], "found": found})
        rows += [{"split": split, "llm": llm, **count} for llm, count in sorted(counts.items())]
    return rows, disagreements


def disagreement(response: str, recorded: str, found: str | None, choices: int) -> str:
    """Name the kind of a disagreement, from what the response states."""
    stated = re.findall(r"answer is:? \(?([A-J])\)?|answer:\s*\(?([A-J])\b", response, re.IGNORECASE)
    letters = ["".join(pair).upper() for pair in stated]
    if not letters:
        if recorded == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[GUESS[choices - 1]]:
            return "nothing stated: the record may be its fixed guess"
        return "nothing stated: the record is a capital in the text" if found is None else "no plain statement"
    if letters[0] == recorded and letters[-1] == found:
        return "several statements: the record takes the first"
    return "stated, but nothing found" if found is None else "other"


def speed() -> list[dict[str, Any]]:
    """Return grades per CPU second of each grader on short answers; per second of wall time where a worker answers."""
    options = tuple(f"the option number {i}" for i in range(10))
    cases: dict[str, tuple[Question, str]] = {
        "choice": (Question("q", "?", choices=options, gold="B", grader="choice"), "It follows. The answer is (B)."),
        "number": (Question("q", "?", gold="12.5", grader="number"), "It follows. The answer is 12.5."),
        "exact": (Question("q", "?", gold="yes", grader="exact"), "It follows. The answer is yes."),
        "math, spelling alone": (Question("q", "?", gold="\\frac{1}{2}", grader="math"), "So $\\boxed{\\frac12}$."),
        "math, by algebra": (Question("q", "?", gold="x^2+2x+1", grader="math"), "So $\\boxed{(x+1)^2}$."),
    }
    rows = []
    for name, (question, answer) in cases.items():
        grade(question, answer)
        algebra = "algebra" in name
        count, clock = (100, time.perf_counter) if algebra else (10_000, time.process_time)
        started = clock()
        for _ in range(count):
            grade(question, answer)
        rows.append({"grader": name, "per_second": count / (clock() - started)})
    return rows


def show_agreement(rows: list[dict[str, Any]]) -> None:
    print(f"{'split':<11} {'LLM':<30} {'recorded':>8} {'letter %':>8} {'verdict %':>9} {'no record':>9} {'found':>9}")
    for split in ("test", "validation"):
        part = [Counter({k: v for k, v in row.items() if isinstance(v, int)}) for row in rows if row["split"] == split]
        names = [row["llm"] for row in rows if row["split"] == split]
        for name, row in [*zip(names, part, strict=True), ("all", sum(part, Counter[str]()))]:
            n = max(row["recorded"], 1)
            print(
                f"{split:<11} {name:<30} {row['recorded']:>8} {100 * row['same_letter'] / n:>8.2f} "
                f"{100 * row['same_verdict'] / n:>9.2f} {row['no_record']:>9} {row['no_record_found']:>9}"
            )


def show_golds(rows: list[dict[str, Any]]) -> None:
    print(f"{'benchmark':<14} {'questions':>9} {'right':>7} {'ok %':>8} {'wrong':>7} {'ok %':>8} {'s':>7}")
    for row in rows:
        right, wrong = 100 * row["right ok"] / row["right"], 100 * row["wrong ok"] / row["wrong"]
        print(
            f"{row['benchmark']:<14} {row['questions']:>9} {row['right']:>7} {right:>8.2f} "
            f"{row['wrong']:>7} {wrong:>8.2f} {row['seconds']:>7.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["agreement", "golds", "speed"])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--limit", type=int, help="responses or questions of each file")
    parser.add_argument("--list", type=Path, help="file for disagreements and exceptions, JSON lines")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    listed: list[dict[str, Any]] = []
    checks: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
        "agreement": (check_agreement, show_agreement),
        "golds": (check_golds, show_golds),
    }
    for part, (check, show) in checks.items():
        if part in options.parts:
            figures[part], found = check(options.data, options.limit)
            show(figures[part])
            print(
                "\n".join(
                    f"  {n:>6} {kind}"
                    for kind, n in Counter(row.get("class") for row in found if "class" in row).items()
                )
            )
            listed += found
    if "speed" in options.parts:
        figures["speed"] = speed()
        for row in figures["speed"]:
            print(f"{row['grader']:<22} {row['per_second']:>10,.0f} a second")
    if options.list:
        options.list.write_text("".join(json.dumps(row) + "\n" for row in listed))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

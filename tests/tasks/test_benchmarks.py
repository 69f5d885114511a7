"""Each benchmark's own reading of its rows, as published on the hub; texts are ours."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any

import pytest

from helpers_tasks import CALLED, ROWS, STDIN, hidden
from smcs.errors import InputError
from smcs.tasks import Part, Record, find_task
from smcs.tasks._records import check_gradeable
from smcs.tasks.benchmarks import aime, finqa, gsm8k, math500
from smcs.tasks.benchmarks._mathematics import integer_text, is_prose, last_boxed
from smcs.tasks.benchmarks.livecodebench import hidden_tests
from smcs.tasks.benchmarks.mbpp import entry_point_of
from smcs.types import Question


def question_of(task: str, row: Any, index: int = 0, split: str = "") -> Question:
    found = find_task(task)
    part: Part = found.hub[split or ("test" if "test" in found.hub else "validation")][0]
    record = part.read(row, index)
    assert record is not None
    question = found.build(record)
    check_gradeable(question)
    return question


@pytest.mark.parametrize("task", ROWS)
def test_published_rows_become_questions(task: str) -> None:
    for index, row in enumerate(ROWS[task]):
        question = question_of(task, row, index)
        assert question.task == task
        assert question.id.startswith(f"{task}/")


def test_mathematics() -> None:
    question = question_of("math500", ROWS["math500"][0])
    assert (question.id, question.gold, question.subject) == ("math500/test/prealgebra/7", "4", "Prealgebra")
    row = {
        "problem": "Add.",
        "solution": r"so \boxed{\frac{1}{2}} it is",
        "type": "Counting & Probability",
        "level": "1",
    }
    question = question_of("math500", row, 9, "validation")
    assert (question.id, question.gold) == ("math_train/counting_and_probability/9", r"\frac{1}{2}")
    assert math500.read_train({**row, "solution": "no box"}, 0) is None
    assert question_of("aime", ROWS["aime"][0]).gold == "4"
    question = question_of("gsm8k", ROWS["gsm8k"][0], 12)
    assert (question.id, question.gold, question.check) == ("gsm8k/test/12", "1000", {"integer": True})
    with pytest.raises(InputError, match="no line '####'"):
        gsm8k.reader("train")({"question": "?", "answer": "7"}, 0)
    yes, fraction = (question_of("livemathbench", row) for row in ROWS["livemathbench"])
    assert (yes.grader, fraction.grader) == ("exact", "math")


def test_aime_leaves_2024_to_the_test() -> None:
    row = {"ID": "2023-I-1", "Year": 2023, "Question": "Find 1.", "Answer": "001", "Part": "I"}
    assert question_of("aime", row, split="validation").gold == "1"
    assert aime.read_earlier({**row, "Year": 2024}, 0) is None
    record = Record(id="aime/x", question="?", answer="80", meta={"accepted_answers": ["080", "81"]})
    assert aime.build(record).check == {"integer": True, "accepted": ["81"]}


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"\boxed{1} then \boxed{\frac{a}{b}}.", r"\frac{a}{b}"),
        (r"is $\boxed 5$.", "5"),
        (r"\fbox{x}", "x"),
        (r"\boxed{\text{ } 2 }", r"\text{ } 2"),
    ],
)
def test_the_last_box_is_the_answer(solution: str, answer: str) -> None:
    assert last_boxed(solution) == answer


@pytest.mark.parametrize("solution", ["none", r"\boxed{1", r"\boxed"])
def test_no_closed_box_is_no_answer(solution: str) -> None:
    with pytest.raises(InputError):
        last_boxed(solution)


def test_integers_and_prose() -> None:
    assert [integer_text(text) for text in ("007", "1,234", " -3 ")] == ["7", "1234", "-3"]
    for text in ("1.5", "", None, "x"):
        with pytest.raises(InputError, match="must be an integer"):
            integer_text(text)
    assert all(map(is_prose, ("Yes", "The first player", "Huey and Dewey")))
    assert not any(map(is_prose, ("n", "$x$", "98!", "2, 3", "a = b", r"\text{Yes}")))


def test_choices() -> None:
    question = question_of("mmlu_pro", ROWS["mmlu_pro"][0])
    assert (question.choices, question.gold, question.id) == (("stone", "red"), "B", "mmlu_pro/70")
    question = question_of("medmcqa", ROWS["medmcqa"][0])
    assert (question.choices[2], question.gold, question.subject) == ("heart", "C", "Physiology")
    assert find_task("medmcqa").hub["test"][0].read({**ROWS["medmcqa"][0], "cop": -1}, 0) is None
    question = question_of("gpqa", ROWS["gpqa"][0])
    assert question.choices["ABCD".index(question.gold or "")] == "four"
    assert question == question_of("gpqa", ROWS["gpqa"][0], 99)
    golds = {question_of("gpqa", {**ROWS["gpqa"][0], "Record ID": f"rec{i}"}).gold for i in range(40)}
    assert golds == set("ABCD")


def test_instructions_lose_what_the_hub_fills_in() -> None:
    question = question_of("ifeval", ROWS["ifeval"][0])
    assert question.check["kwargs"] == [{}, {"num_words": 4, "relation": "at least"}]
    assert question.check["mode"] == "strict"
    assert find_task("ifeval").messages(question)[0].content == question.text


def test_programs() -> None:
    question = question_of("mbpp", ROWS["mbpp"][0])
    assert question.check["entry_point"] == "twice"
    assert question.text.endswith("assert twice(2) == 4")
    question = question_of("humaneval", ROWS["humaneval"][0])
    assert question.id == "humaneval/900"
    assert question.check["tests"].rstrip().endswith("check(half)")
    assert question.check["prefix"] == ROWS["humaneval"][0]["prompt"]
    stdin, called = (question_of("livecodebench", row) for row in ROWS["livecodebench"])
    assert stdin.check == {
        "style": "stdin",
        "cases": [{"input": "3\n", "output": "6\n"}, {"input": "5\n", "output": "10\n"}],
    }
    assert called.check["entry_point"] == "Solution().shift"
    assert called.check["cases"][0] == {"input": [[1, 2], 3], "output": [4, 5]}
    assert "class Solution" in called.text


@pytest.mark.parametrize(
    ("asserts", "name"),
    [
        (["assert f(1) == 2"], "f"),
        (["assert set(g([1])) == set([1])", "assert set(g([2])) == set([2])"], "g"),
        (["assert math.isclose(h(1), 2, rel_tol=0.1)"], "h"),
        (["assert sum([1, 2]) == 3"], "sum"),
    ],
)
def test_the_tested_function_is_found(asserts: list[str], name: str) -> None:
    assert entry_point_of(asserts) == name


@pytest.mark.parametrize("asserts", [["assert 1 == 1"], ["assert f("]])
def test_asserts_without_a_function_are_refused(asserts: list[str]) -> None:
    with pytest.raises(InputError, match="test_list"):
        entry_point_of(asserts)


def pack(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


@pytest.mark.parametrize("protocol", range(1, pickle.HIGHEST_PROTOCOL + 1))
def test_hidden_tests_of_every_binary_pickle_protocol(protocol: int) -> None:
    cases = [{"input": "x" * 300, "output": "\u00e9", "testtype": "stdin"}]
    assert hidden_tests(pack(pickle.dumps(json.dumps(cases), protocol=protocol))) == cases
    assert hidden_tests(json.dumps(cases)) == cases


@pytest.mark.parametrize(
    "text",
    [
        pack(pickle.dumps(Evil())),
        pack(pickle.dumps([json.dumps(STDIN), Evil()])),
        pack(pickle.dumps({"a": 1})),
        pack(pickle.dumps("no json")),
        pack(pickle.dumps('{"a": 1}')),
        pack(b""),
        pack(b"\x80\x04\x95"),
        hidden(CALLED)[:-8],
        base64.b64encode(b"no zlib").decode(),
        "%%%",
        "[1]",
    ],
)
def test_hidden_tests_are_never_unpickled(text: str) -> None:
    with pytest.raises(InputError):
        hidden_tests(text)


def test_a_bomb_of_hidden_tests_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smcs.tasks.benchmarks.livecodebench._MAX_TESTS", 10_000)
    with pytest.raises(InputError, match="larger than 10,000 bytes"):
        hidden_tests(pack(pickle.dumps(json.dumps(STDIN * 1000))))


def test_mixed_tests_are_refused() -> None:
    row = {**ROWS["livecodebench"][0], "private_test_cases": json.dumps(CALLED)}
    with pytest.raises(InputError, match="all be stdin or all functional"):
        question_of("livecodebench", row)


def test_finqa_from_the_hub_shows_its_table_and_takes_percent() -> None:
    question = question_of("finqa", ROWS["finqa"][0])
    assert question.text.startswith("by what percentage did revenue rise?\n\nFrom the financial report:\n\nour revenue")
    assert "| year | revenue |\n| --- | --- |\n| 2019 | $ 100 |" in question.text
    assert question.gold == "0.12"
    assert question.check == {"rounded": True, "percent": True}
    part = find_task("finqa").hub["test"][0]
    assert part.read({**ROWS["finqa"][0], "exe_ans": ""}, 0) is None


@pytest.mark.parametrize(
    ("answer", "meta", "grader", "check"),
    [
        ("yes", {}, "exact", {}),
        ("1300", {}, "number", {"rounded": True}),
        ("0.0", {}, "number", {"rounded": True}),
        ("-3.5", {}, "number", {"rounded": True}),
        ("0.00455", {"official_answer": "0.5%"}, "number", {"rounded": True, "accepted": ["0.5%"]}),
        ("0.5", {"official_answer": "44%"}, "number", {"rounded": True}),
        ("1.16", {"official_answer": "1.2\\n"}, "number", {"rounded": True, "accepted": ["1.2"]}),
    ],
)
def test_what_counts_as_right_in_finqa(answer: str, meta: dict[str, Any], grader: str, check: dict[str, Any]) -> None:
    question = finqa.build(Record(id="finqa/x", question="page", answer=answer, meta=meta))
    assert (question.grader, question.check) == (grader, check)
    assert question.text == "page"


def test_a_gold_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="must be a number, yes or no"):
        finqa.build(Record(id="finqa/x", question="page", answer="n/a"))

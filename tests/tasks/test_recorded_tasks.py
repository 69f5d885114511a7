"""Every task on the recorded data, where it is present."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from helpers_tasks import RECORDED
from smcs.errors import InputError
from smcs.tasks import ask, find_task, task_names
from smcs.types import Question

pytestmark = pytest.mark.skipif(not (RECORDED / "benchmarks").is_dir(), reason="recorded data is not here")

COUNTS = {
    ("math500", "validation"): 1000,
    ("math500", "test"): 500,
    ("aime", "validation"): 919,
    ("aime", "test"): 30,
    ("mbpp", "validation"): 474,
    ("mbpp", "test"): 250,
    ("gpqa", "validation"): 249,
    ("gpqa", "test"): 198,
    ("mmlu_pro", "validation"): 5512,
    ("mmlu_pro", "test"): 1196,
    ("medmcqa", "validation"): 1000,
    ("medmcqa", "test"): 600,
    ("medmcqa", "train"): 504,
    ("ifeval", "validation"): 241,
    ("ifeval", "test"): 150,
    ("livecodebench_standin", "validation"): 180,
    ("livecodebench_standin", "test"): 114,
    ("humaneval", "test"): 40,
    ("finqa", "validation"): 883,
    ("livemathbench", "validation"): 100,
    ("gsm8k", "validation"): 1000,
}
"""(task, split) -> rows, as the README of the recorded data lists them."""


@cache
def load(task: str, split: str) -> tuple[Question, ...]:
    return find_task(task).load(split, data=RECORDED)


@pytest.mark.parametrize(("task", "split"), COUNTS)
def test_a_task_loads_all_rows_each_asked_in_full(task: str, split: str) -> None:
    questions = load(task, split)
    assert len(questions) == COUNTS[task, split]
    found = find_task(task)
    size = found.split(split).size
    assert size is None or len(questions) <= size
    for question in questions:
        assert question.task == task
        assert question.grader is not None
        assert question.gold or question.check
        (message,), sampling = ask(question)
        assert question.prompt() in message.content
        assert (message,) == found.messages(question)
        assert sampling == found.sampling(question)


def test_every_task_with_local_data_is_counted_above() -> None:
    loaded = {task for task, _ in COUNTS}
    here = {name for name in task_names() if (RECORDED / "benchmarks" / f"{name}.jsonl.gz").is_file()}
    assert loaded == here


def test_ids_are_unique_over_all_tasks() -> None:
    ids = Counter(question.id for key in COUNTS for question in load(*key))
    assert len(ids) == sum(COUNTS.values())


@pytest.mark.parametrize(("task", "split"), [("finqa", "test"), ("gsm8k", "test")])
def test_a_split_that_the_file_lacks_is_named(task: str, split: str) -> None:
    with pytest.raises(InputError, match=rf"no rows of the split '{split}', it has: \w+ \(\d+\)"):
        find_task(task).load(split, data=RECORDED)


def test_aime_accepts_what_the_organisers_accepted() -> None:
    accepted = {q.id: q.check["accepted"] for q in load("aime", "validation") if "accepted" in q.check}
    assert accepted == {"aime/2022-II-8": ["81"]}
    assert all(q.check["integer"] is True for q in load("aime", "test"))


def test_programs_are_told_what_they_must_define() -> None:
    for key in COUNTS:
        for question in load(*key):
            if question.grader == "code":
                name = question.check["entry_point"].partition("()")[0]
                assert name in question.text, question.id
                assert name in question.check["tests"], question.id


def test_finqa_shows_tables_and_says_what_counts() -> None:
    questions = load("finqa", "validation")
    assert sum("| --- |" in question.text for question in questions) > 0.98 * len(questions)
    graders = Counter(question.grader for question in questions)
    assert set(graders) == {"number", "exact"}
    for question in questions:
        if question.grader == "number":
            assert question.check["rounded"] is True
            assert "relative_tolerance" not in question.check
        else:
            assert question.gold in ("yes", "no")


def test_a_sample_has_every_subject_in_proportion() -> None:
    whole, part = load("mmlu_pro", "validation"), find_task("mmlu_pro").load("validation", data=RECORDED, limit=140)
    subjects, drawn = Counter(q.subject for q in whole), Counter(q.subject for q in part)
    for subject, count in subjects.items():
        assert abs(drawn[subject] - 140 * count / len(whole)) <= 1.5

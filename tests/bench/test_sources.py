"""Questions of several tasks in turn, our own test questions, and answers of others as references."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smcs.bench.sources import import_answers, load_questions, seed_test_questions
from smcs.errors import ConfigError, InputError
from smcs.llms import AnswerStore, StoredLLM, StoreScope
from smcs.tasks import ask
from smcs.tasks.seed import generate
from smcs.types import Request

pa = pytest.importorskip("pyarrow")


def task_file(folder: Path, name: str, count: int) -> str:
    rows = [
        {"id": f"{name}-{i}", "question": f"{name} question {i}", "answer": str(i), "split": "test"}
        for i in range(count)
    ]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = folder / f"{name}.yaml"
    spec.write_text(f"name: {name}\ngrader: number\ndata: {name}.jsonl\ncolumns: {{split: split}}\n")
    return str(spec)


def test_tasks_take_turns(tmp_path: Path) -> None:
    questions, tasks = load_questions([task_file(tmp_path, "one", 3), task_file(tmp_path, "two", 1)])
    assert [question.task for question in questions] == ["one", "two", "one", "one"]
    assert [task.name for task in tasks] == ["one", "two"]


def test_our_own_test_questions_are_not_in_the_bank() -> None:
    bank = {question.text for question in generate()}
    questions, tasks = load_questions(["seed"], limit=80)
    assert tasks == ()
    assert len(questions) == 80
    assert not {question.text for question in questions} & bank
    assert len({question.id for question in questions} | {question.id for question in generate()}) == 80 + len(
        generate()
    )
    assert {question.task for question in questions} == {question.task for question in generate()}
    assert seed_test_questions(80) == questions


def test_mistakes(tmp_path: Path) -> None:
    one = task_file(tmp_path, "one", 2)
    with pytest.raises(InputError, match="Two tasks are called 'one'"):
        load_questions([one, one])
    with pytest.raises(InputError, match="Name at least one task"):
        load_questions([])
    with pytest.raises(ConfigError, match="mmlu_proo"):
        load_questions(["mmlu_proo"])


async def test_published_answers_become_references(tmp_path: Path) -> None:
    from pyarrow import parquet

    questions, tasks = load_questions([task_file(tmp_path, "one", 3)])
    ids = [questions[0].id, questions[1].id.rpartition("/")[2], "unknown/9", questions[2].id]
    table = pa.table({"id": ids, "llm": ["a", "a", "a", "b"], "response": ["first", "second", "third", "  "]})
    parquet.write_table(table, tmp_path / "answers.parquet")
    with AnswerStore(tmp_path / "store.db") as store:
        assert import_answers(tmp_path / "answers.parquet", questions, tasks, store) == 2
        assert import_answers(tmp_path / "answers.parquet", questions, tasks, store) == 0
        messages, sampling = ask(questions[1], *tasks)
        done = await StoredLLM("a", StoreScope(store, "replay")).complete(Request(messages, sampling=sampling))
        assert done.choices[0].text == "second"
        with pytest.raises(ConfigError, match="holds no answer to any of the 1 questions"):
            import_answers(tmp_path / "answers.parquet", questions[2:], tasks, store)

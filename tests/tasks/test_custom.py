from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from helpers_tasks import write_lines
from smcs.errors import ConfigError, InputError
from smcs.tasks import PAPER_SAMPLING, Task, ask, find_task
from smcs.types import Question

CSV = "q,a,topic,key\nCapital of France?,Paris,europe,1\nCapital of Japan?,Tokyo,asia,2\n"


def write(folder: Path, settings: dict[str, Any], data: str = CSV) -> Path:
    (folder / "rows.csv").write_text(data)
    path = folder / "capitals.yaml"
    path.write_text(yaml.safe_dump({"data": "rows.csv", **settings}))
    return path


COLUMNS = {"question": "q", "answer": "a", "subject": "topic", "id": "key"}


def test_a_task_needs_no_code(tmp_path: Path) -> None:
    settings = {
        "grader": "exact",
        "columns": COLUMNS,
        "prompt": "Name the city. {question}",
        "sampling": {"max_tokens": 50, "temperature": 0},
        "title": "Capitals",
        "check": {"accepted": ["the same"]},
    }
    task = find_task(write(tmp_path, settings))
    france, japan = task.load()
    assert france == Question(
        "capitals/1",
        "Capital of France?",
        task="capitals",
        subject="europe",
        gold="Paris",
        grader="exact",
        check={"accepted": ["the same"]},
    )
    messages, sampling = ask(japan, task)
    assert messages[0].content == "Name the city. Capital of Japan?"
    assert (sampling.max_tokens, sampling.temperature) == (50, 0)
    assert sampling.presence_penalty == PAPER_SAMPLING.presence_penalty
    assert len(task.load(limit=1)) == 1


def test_ids_come_from_what_is_asked_where_there_are_none(tmp_path: Path) -> None:
    columns = {"question": "q", "answer": "a"}
    first = find_task(write(tmp_path, {"grader": "exact", "columns": columns})).load()
    head, *rows = CSV.splitlines()
    again = find_task(
        write(tmp_path, {"grader": "exact", "columns": columns}, "\n".join([head, *reversed(rows)]))
    ).load()
    assert {q.id for q in first} == {q.id for q in again}
    assert all(q.id.startswith("capitals/") for q in first)
    path = write(tmp_path, {"grader": "exact", "columns": columns}, CSV + "Capital of Japan?,Kyoto,asia,3\n")
    with pytest.raises(InputError, match=r"rows\.csv, row 3: the id .* occurs twice; without an id column"):
        find_task(path).load()


def test_splits_by_file_and_by_label(tmp_path: Path) -> None:
    rows = [{"question": f"{n} + 1?", "answer": n + 1, "part": "dev" if n < 3 else "held"} for n in range(5)]
    write_lines(tmp_path / "all.jsonl", rows)
    write_lines(tmp_path / "few.jsonl", rows[:2])
    by_label = tmp_path / "sums.yaml"
    by_label.write_text(
        "grader: number\ndata: all.jsonl\ncolumns: {split: part}\nsplits: {validation: dev, test: held}\n"
    )
    task = find_task(by_label)
    assert [len(task.load(split)) for split in ("validation", "test")] == [3, 2]
    by_file = tmp_path / "sums2.yaml"
    by_file.write_text("grader: number\nsplits: {validation: all.jsonl, test: few.jsonl}\n")
    task = find_task(by_file)
    assert [len(task.load(split)) for split in ("validation", "test")] == [5, 2]
    by_label.write_text("grader: number\ndata: all.jsonl\ncolumns: {split: part}\n")
    with pytest.raises(InputError, match="no rows of 'validation' in the column 'part', it has: dev, held"):
        find_task(by_label).load()


@pytest.mark.parametrize(
    ("answer_is", "answer"), [("letter", "B"), ("letter", "b"), ("index", "1"), ("index", 1), ("text", "red")]
)
@pytest.mark.parametrize("spread", [False, True])
def test_options_in_one_column_or_several(tmp_path: Path, answer_is: str, answer: object, spread: bool) -> None:
    options = ["stone", "red", "loud"]
    cells = dict(zip(("w", "x", "y", "z"), [*options, None], strict=True)) if spread else {"choices": options}
    write_lines(tmp_path / "colours.jsonl", [{"question": "A colour?", "answer": answer, **cells}])
    path = tmp_path / "colours.yaml"
    columns = {"choices": ["w", "x", "y", "z"]} if spread else {}
    path.write_text(yaml.safe_dump({"data": "colours.jsonl", "answer_is": answer_is, "columns": columns}))
    (question,) = find_task(path).load()
    assert (question.grader, question.choices, question.gold) == ("choice", tuple(options), "B")


def test_a_data_file_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "capitals.csv").write_text(CSV)
    task = find_task(str(tmp_path / "capitals.csv"), grader="exact", columns=COLUMNS)
    assert [question.id for question in task.load()] == ["capitals/1", "capitals/2"]
    rows: list[dict[str, Any]] = [
        {"question": "2 + 2?", "answer": "4", "grader": "number", "check": {"absolute_tolerance": 0.5}},
        {"question": "Odd?", "choices": ["1", "2"], "answer": "A"},
        {"question": "Twice?", "grader": "code", "tests": ["assert f(1) == 2"], "entry_point": "f"},
        {"question": "City?", "grader": "exact", "answer": "Rome", "accepted": ["Roma"]},
    ]
    questions = find_task(write_lines(tmp_path / "mixed.jsonl.gz", rows)).load()
    assert [question.grader for question in questions] == ["number", "choice", "code", "exact"]
    assert questions[0].check == {"absolute_tolerance": 0.5}
    assert questions[2].check == {"tests": "assert f(1) == 2", "entry_point": "f"}
    assert questions[3].check == {"accepted": ["Roma"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "?"}, "no grader: add `grader:`"),
        ({"question": "?", "grader": "guess"}, "column 'grader': unknown grader 'guess'"),
        ({"question": " ", "grader": "exact"}, "column 'question' is empty"),
        ({"prompt": "?", "grader": "exact"}, r"there is no column 'question'\. Choose one of: 'grader', 'prompt'"),
        ({"question": ["?"], "grader": "exact"}, "column 'question' must hold text"),
        ({"question": "?", "grader": "exact"}, "there is no column 'answer'"),
        ({"question": "?", "grader": "number", "answer": "many"}, "column 'answer' must hold a number"),
        ({"question": "?", "answer": "E", "choices": ["1", "2"]}, "must hold a letter from A to B, got 'E'"),
        ({"question": "?", "answer": "1", "choices": ["1", "2"]}, "set `answer_is: index`"),
        ({"question": "?", "answer": "A", "choices": ["1"]}, "2 to 26 options, got 1"),
        ({"question": "?", "answer": "A", "choices": {"a": 1}}, "column 'choices' must hold a list"),
        ({"question": "?", "answer": "A", "choices": "[1,"}, "`choices` must be JSON"),
        ({"question": "?", "grader": "code", "entry_point": "f"}, "`tests` must hold what a program must pass"),
        ({"question": "?", "grader": "code", "tests": "assert 1"}, "must name the `entry_point`"),
        ({"question": "?", "grader": "ifeval"}, "`instruction_id_list`"),
        ({"question": "?", "grader": "exact", "answer": "x", "check": "[1]"}, "column 'check' must hold a JSON object"),
    ],
)
def test_a_bad_row_is_one_line_with_file_row_and_column(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = {"question": "1?", "answer": "1", "grader": "number"}
    path = write_lines(tmp_path / "own.jsonl", [good, row])
    with pytest.raises(InputError, match=message) as caught:
        find_task(path).load()
    assert str(caught.value).startswith(f"{path}, row 2: ")
    assert "\n" not in str(caught.value)


def test_a_private_task_of_ones_own_quotes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, {"grader": "number", "columns": COLUMNS, "private": True})
    with pytest.raises(InputError) as caught:
        find_task(path).load()
    assert "Paris" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "must hold a mapping of keys"),
        ("a: [", "is not valid YAML"),
        ("grader: exact\n", "give `data`"),
        ("data: rows.csv\ngrade: exact\n", r"unknown key `grade`\. Did you mean 'grader'"),
        ("data: rows.csv\ngrader: exakt\n", "`grader`: Input should be 'choice', 'number'.*got 'exakt'"),
        ("data: rows.csv\ncolumns: {anwser: a}\n", r"unknown key `columns\.anwser`\. Did you mean 'answer'"),
        ("data: rows.csv\nsplits: {test: x}\n", "name it with `columns"),
        ("data: gone.csv\n", "there is no data file at"),
        ("data: rows.csv\nname: a/b\n", "`name` must be letters"),
        ("data: rows.csv\nname: seed\n", "'seed' cannot be the name"),
        ("data: rows.csv\nprompt: gone.txt\n", "cannot be read"),
        ("data: rows.csv\nsampling: {temperature: 9}\n", "sampling.temperature"),
    ],
)
def test_a_faulty_task_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rows.csv").write_text(CSV)
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        find_task(path)
    assert "\n" not in str(caught.value)


def test_a_name_that_ships_cannot_be_taken(tmp_path: Path) -> None:
    path = write(tmp_path, {"grader": "exact", "columns": COLUMNS, "name": "gpqa"})
    with pytest.raises(ConfigError, match="'gpqa' cannot be the name of a task"):
        find_task(path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no task file at"):
        find_task(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="no data file at"):
        find_task(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="are set in the file itself"):
        find_task(write(tmp_path, {"columns": COLUMNS}), grader="exact")


def test_unicode_and_json_lists_in_csv(tmp_path: Path) -> None:
    data = "question,choices,answer\n\u00bfRojo?," + '"' + json.dumps(["s\u00ed", "no"]).replace('"', '""') + '",A\n'
    (tmp_path / "es.csv").write_text(data, encoding="utf-8")
    task: Task = find_task(tmp_path / "es.csv")
    (question,) = task.load()
    assert question.choices == ("s\u00ed", "no")

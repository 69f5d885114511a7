from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers_tasks import record, write_lines
from smcs.errors import ConfigError, InputError
from smcs.tasks import DATA_ENV, PAPER_SAMPLING, Task, find_task, task_names
from smcs.types import Question

MEDMCQA = find_task("medmcqa")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [record("medmcqa", number) for number in range(120)]
    rows += [record("medmcqa", number, split="test") for number in range(120, 125)]
    write_lines(tmp_path / "medmcqa.jsonl.gz", rows)
    return tmp_path


def ids(questions: tuple[Question, ...]) -> list[str]:
    return [question.id for question in questions]


def test_questions_come_in_the_order_of_the_file(folder: Path) -> None:
    assert ids(MEDMCQA.load(data=folder)) == [f"medmcqa/{number}" for number in range(120)]
    (first, *_) = MEDMCQA.load("test", data=folder)
    assert first == Question(
        "medmcqa/120",
        "Which is 120?",
        task="medmcqa",
        subject="subject 0",
        choices=("120", "121"),
        gold="A",
        grader="choice",
    )


def test_samples_are_nested_and_do_not_depend_on_the_order_of_the_file(folder: Path, tmp_path: Path) -> None:
    fifty, hundred = (ids(MEDMCQA.load(data=folder, limit=limit, seed=3)) for limit in (50, 100))
    assert hundred[:50] == fifty
    backwards = tmp_path / "other.jsonl"
    write_lines(backwards, [record("medmcqa", number) for number in reversed(range(120))])
    assert ids(MEDMCQA.load(data=backwards, limit=50, seed=3)) == fifty
    assert set(ids(MEDMCQA.load(data=folder, limit=50, seed=4))) != set(fifty)
    assert len(MEDMCQA.load(data=folder, limit=1000)) == 120


def test_the_folder_may_come_from_the_environment_and_hold_benchmarks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    (root / "benchmarks").mkdir(parents=True)
    (folder / "medmcqa.jsonl.gz").rename(root / "benchmarks" / "medmcqa.jsonl.gz")
    monkeypatch.setenv(DATA_ENV, str(root))
    assert len(MEDMCQA.load()) == 120
    assert MEDMCQA.local_file() == root / "benchmarks" / "medmcqa.jsonl.gz"
    assert find_task("gpqa").local_file() is None


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_other_kinds_of_file_with_other_columns(tmp_path: Path, suffix: str) -> None:
    rows = [{"stem": f"Which is {i}?", "options": [str(i), "none"], "key": "A", "topic": "numbers"} for i in range(3)]
    path = tmp_path / f"mine{suffix}"
    write_any(path, rows)
    columns = {"question": "stem", "choices": "options", "answer": "key", "subject": "topic"}
    questions = MEDMCQA.load(data=path, columns=columns)
    assert [question.text for question in questions] == ["Which is 0?", "Which is 1?", "Which is 2?"]
    assert questions[1].choices == ("1", "none")
    assert questions[2].id == "medmcqa/3"
    with pytest.raises(
        InputError, match=r"row 1: there is no column 'gone' \(for `answer`\); there are: stem, options"
    ):
        MEDMCQA.load(data=path, columns={**columns, "answer": "gone"})


def write_any(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as the name says; lists become JSON in a CSV."""
    if path.suffix == ".jsonl":
        write_lines(path, rows)
    elif path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        import csv

        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            for row in rows:
                writer.writerow({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "C"}, r"row 2: `answer` must be one of the letters A to B, got 'C'\.$"),
        ({"answer": None}, r"row 2: `answer` must be one of the letters A to B, got None\.$"),
        ({"choices": ["one"]}, r"row 2: `choices` must hold 2 to 26 options, got 1\.$"),
        ({"question": "  "}, r"row 2: `id` and `question` must not be empty\.$"),
        ({"question": None}, r"row 2: .*`question`"),
        ({"choices": 7}, r"row 2: .*`\$\.choices`"),
        ({"colour": "red"}, r"row 2: .*`colour`"),
        ({"benchmark": "gpqa"}, r"row 2: `benchmark` is 'gpqa', expected 'medmcqa'\.$"),
        ({"id": "medmcqa/1"}, r"row 2: the id 'medmcqa/1' occurs twice\.$"),
    ],
)
def test_a_bad_row_is_one_line_with_file_and_row(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write_lines(tmp_path / "medmcqa.jsonl", [record("medmcqa", 1), record("medmcqa", 2, **change)])
    with pytest.raises(InputError, match=message) as caught:
        MEDMCQA.load(data=path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_private_task_quotes_nothing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "gpqa.jsonl", [record("gpqa", 1, answer="the secret item")])
    with pytest.raises(InputError) as caught:
        find_task("gpqa").load(data=path)
    assert "secret" not in str(caught.value)


def test_what_cannot_be_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_ENV, raising=False)
    with pytest.raises(InputError, match=r"no split 'tset'\. Did you mean 'test'"):
        MEDMCQA.load("tset", data=folder)
    with pytest.raises(InputError, match="`limit` must be at least 1, got 0"):
        MEDMCQA.load(data=folder, limit=0)
    with pytest.raises(ConfigError, match=r"has none of: gpqa\.jsonl\.gz"):
        find_task("gpqa").load(data=folder)
    with pytest.raises(ConfigError, match="does not exist"):
        MEDMCQA.load(data=folder / "nowhere")
    with pytest.raises(ConfigError, match="no data file at"):
        MEDMCQA.load(data=folder / "nowhere.csv")
    with pytest.raises(ConfigError, match=r"not on the hub in a form we read\. Give a data folder"):
        find_task("livecodebench_standin").load()


def test_a_split_is_also_found_by_its_label_in_files() -> None:
    assert find_task("gsm8k").split("train").name == "validation"
    assert MEDMCQA.split("train").name == "train"


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    question = Question("q", "Why {x}?", choices=("a", "b"), task="medmcqa", grader="choice")
    file = tmp_path / "prompt.txt"
    file.write_text("Think.\n{question}\nSay A or B.\n")
    for prompt in (file, str(file), file.read_text().strip()):
        (message,) = MEDMCQA.with_prompt(prompt).messages(question)
        assert message.content == "Think.\nWhy {x}?\nA. a\nB. b\nSay A or B."
    file.write_text("no place")
    with pytest.raises(ConfigError, match=r"must hold \{question\} exactly once, got it 0 times"):
        MEDMCQA.with_prompt(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        MEDMCQA.with_prompt(tmp_path / "absent.txt")


@pytest.mark.parametrize("name", ["math500", "aime", "gsm8k", "livemathbench"])
def test_prompts_ask_for_what_their_grader_reads(name: str) -> None:
    assert "\\boxed{}" in find_task(name).prompt
    assert find_task(name).defaults == PAPER_SAMPLING


def test_shipped_tasks_have_what_show_needs() -> None:
    for name in task_names():
        task = find_task(name)
        assert isinstance(task, Task)
        assert task.prompt.count("{question}") == 1
        assert task.title
        assert task.source
        assert task.licence
        assert {split.name for split in task.splits} <= {"validation", "test", "train"}
        assert set(task.hub) <= {split.name for split in task.splits}

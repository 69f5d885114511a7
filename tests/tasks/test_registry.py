from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smcs.errors import ConfigError
from smcs.tasks import PAPER_SAMPLING, PROMPTS, ask, find_task, registry, task_names
from smcs.tasks.seed import generate, messages, sampling
from smcs.types import Question

PAPER = ("math500", "aime", "mbpp", "livecodebench", "gpqa", "mmlu_pro", "ifeval", "medmcqa")
OTHERS = ("humaneval", "finqa", "livemathbench", "gsm8k", "livecodebench_standin")

MODULE = """
from smcs.tasks import Split, Task
from smcs.types import Question

def _load(split):
    return (Question("parity/1", "Is 4 even?", task="parity", gold="yes", grader="exact"),)

PARITY = Task("parity", "Even or odd", "exact", "{question} Say yes or no.", (Split("validation", 1),), None, own=_load)
WRONG = 7

def make():
    return PARITY
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package that brings tasks, as far as `importlib.metadata` can tell."""
    (tmp_path / "smcs_toy_tasks.py").write_text(MODULE)
    about = tmp_path / "smcs_toy_tasks-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: smcs-toy-tasks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[smcs.tasks]\nparity = smcs_toy_tasks:make\nwrong = smcs_toy_tasks:WRONG\n"
        "other = smcs_toy_tasks:PARITY\ngone = smcs_toy_tasks:GONE\ngsm8k = smcs_toy_tasks:PARITY\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for cached in (registry._installed, registry._from_package):
        cached.cache_clear()
    yield
    for cached in (registry._installed, registry._from_package):
        cached.cache_clear()


def test_every_shipped_task_is_found_by_name() -> None:
    assert task_names() == (*PAPER, *OTHERS)
    assert [find_task(name).name for name in task_names()] == list(task_names())


def test_an_unknown_name_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"Unknown task 'mmlupro'\. Did you mean 'mmlu_pro'"):
        find_task("mmlupro")
    with pytest.raises(ConfigError, match="knows its grader"):
        find_task("aime", grader="exact")


@pytest.mark.usefixtures("package")
def test_an_installed_package_brings_tasks() -> None:
    assert task_names() == (*PAPER, *OTHERS, "gone", "other", "parity", "wrong")
    task = find_task("parity")
    (question,) = task.load()
    assert ask(question)[0][0].content == "Is 4 even? Say yes or no."
    assert find_task("gsm8k").source


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "must give a smcs.tasks.Task named 'wrong', got a int"),
        ("other", "must give a smcs.tasks.Task named 'other', got the task 'parity'"),
        ("gone", "'smcs_toy_tasks:GONE' cannot be loaded"),
    ],
)
def test_a_faulty_package_is_named(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_task(name)


def test_seed_questions_are_asked_as_ever() -> None:
    for question in generate(count=40):
        assert ask(question) == (messages(question), sampling(question))


def test_a_question_of_no_task_is_asked_by_its_grader() -> None:
    question = Question("q", "1 + 1?", grader="number", gold="2", task="somebody's")
    (message,), how = ask(question)
    assert message.content == PROMPTS["number"].replace("{question}", "1 + 1?")
    assert how == PAPER_SAMPLING
    assert ask(Question("q", "Why?"))[0][0].content == "Why?"


def test_tasks_given_come_first() -> None:
    own = find_task("gsm8k").with_prompt("Calculate: {question}")
    question = Question("q", "1 + 1?", grader="math", gold="2", task="gsm8k")
    assert ask(question, own)[0][0].content == "Calculate: 1 + 1?"
    assert "boxed" in ask(question)[0][0].content

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict

import pytest

from smcs.errors import InputError
from smcs.tasks.seed import CATEGORIES, DEFAULT_COUNT, generate, level
from smcs.types import Question

SHIPPED = "203de2f53f3eba81f37481d65fc97002486c5990eccbb6e52de44a1f09aef5b7"
"""Hash of everything in the default questions. Outcomes are shipped for exactly these: never change it lightly."""


@pytest.fixture(scope="module")
def questions() -> tuple[Question, ...]:
    return generate()


def test_default_questions_are_the_shipped_ones(questions: tuple[Question, ...]) -> None:
    content = json.dumps([asdict(question) for question in questions], sort_keys=True)
    assert hashlib.sha256(content.encode()).hexdigest() == SHIPPED


def test_ids_and_contents_are_unique(questions: tuple[Question, ...]) -> None:
    assert len(questions) == DEFAULT_COUNT == 640
    assert len({question.id for question in questions}) == 640
    assert len({question.content_hash() for question in questions}) == 640


def test_every_family_has_its_share_and_its_labels(questions: tuple[Question, ...]) -> None:
    counts = Counter((question.task, question.subject) for question in questions)
    assert set(counts.values()) == {16}
    assert Counter(task for task, _ in counts) == {
        "seed/mathematics": 12, "seed/reasoning": 10, "seed/instructions": 8, "seed/code": 10,
    }  # fmt: skip
    for question in questions:
        assert question.id.rpartition("/")[0] == f"{question.task}/{question.subject}"
        assert question.grader == CATEGORIES[question.task.removeprefix("seed/")][0]


def test_levels_are_balanced(questions: tuple[Question, ...]) -> None:
    assert Counter(map(level, questions)) == {1: 240, 2: 200, 3: 200}


def test_right_options_take_every_place_about_equally_often() -> None:
    four = [question for question in generate(count=1600) if len(question.choices) == 4]
    counts = Counter(question.gold for question in four)
    assert set(counts) == set("ABCD")
    assert max(counts.values()) - min(counts.values()) < len(four) * 0.05


def test_options_differ(questions: tuple[Question, ...]) -> None:
    for question in questions:
        assert len({choice.lower() for choice in question.choices}) == len(question.choices)
        assert not any(len(choice) == 1 and choice.isalpha() for choice in question.choices), (
            "looks like an option's letter"
        )


def test_wordings_vary(questions: tuple[Question, ...]) -> None:
    openings = Counter((question.subject, " ".join(question.text.split()[:2])) for question in questions)
    families = Counter(subject for subject, _ in openings)
    assert all(count >= 2 for count in families.values()), families


def test_a_smaller_count_is_a_prefix_and_a_larger_one_goes_on(questions: tuple[Question, ...]) -> None:
    assert generate(count=77) == questions[:77]
    assert generate(count=700)[:640] == questions


def test_another_seed_gives_other_questions(questions: tuple[Question, ...]) -> None:
    other = generate(seed=1)
    assert [question.id for question in other] == [question.id for question in questions]
    shared = {question.content_hash() for question in other} & {question.content_hash() for question in questions}
    assert len(shared) < 64


def test_a_new_family_leaves_the_others_alone(questions: tuple[Question, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    grader, families = CATEGORIES["mathematics"]
    monkeypatch.setitem(CATEGORIES, "mathematics", (grader, {"new": families["percent"], **families}))
    grown = {question.id: question for question in generate(count=656)}
    assert len(grown) == 656
    assert all(grown[question.id] == question for question in questions)


def test_checks_are_json(questions: tuple[Question, ...]) -> None:
    for question in questions:
        assert json.loads(json.dumps(question.check)) == question.check


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_below_one_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        generate(count=count)


def test_a_count_beyond_what_the_families_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"no more than [0-9]+ different questions"):
        generate(count=100_000)

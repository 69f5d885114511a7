from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_bank import EMBEDDER, Place, outcome, question
from smcs.bank import Accuracy, EmbedderInfo, QuestionBank
from smcs.bank.info import bank_info
from smcs.bank.schema import SCHEMA_VERSION


def test_counts_and_accuracy_leave_out_what_is_missing(place: Place) -> None:
    with place.create() as bank:
        bank.add_questions(question(i) for i in range(6))  # mathematics/sums: 0; /sets: 2; /logic: 4, and so on
        for name in ("a", "b", "idle"):
            bank.add_llm(name)
        bank.record([outcome(0, "a", 1.0), outcome(2, "a", 0.0), outcome(4, "a", None), outcome(1, "b", 0.5)])
        bank.store_embeddings(EMBEDDER, ["q0000", "q0001"], np.eye(2))
        bank.add_questions([question(1, choices=("x", "y"))], replace=True)
        bank.record([outcome(1, "b", 0.5)])
        info = bank.info()
    assert (info.questions, info.outcomes, info.missing, info.schema_version) == (6, 4, 14, SCHEMA_VERSION)
    assert info.content_hash == bank.content_hash
    assert info.url == bank.url
    assert info.embedders == (EmbedderInfo(EMBEDDER, 2, embedded=1, stale=1, default=True),)
    assert info.llms == (
        Accuracy("a", None, None, 6, 2, 1, 0.5),
        Accuracy("b", None, None, 6, 1, 0, 0.5),
        Accuracy("idle", None, None, 6, 0, 0, None),
    )
    assert [row.missing for row in info.llms] == [3, 5, 6]
    assert Accuracy("a", "mathematics", "sums", 1, 1, 0, 1.0) in info.subjects
    assert Accuracy("a", "mathematics", "logic", 1, 0, 1, None) in info.subjects
    assert Accuracy("b", "reasoning", "logic", 1, 1, 0, 0.5) in info.subjects
    assert len(info.subjects) == 6 * 3


LLMS = ("a", "b", "idle", "z")
SUBJECTS = ("", "sums", "Sets", '\u00e4 "quoted"', "\uffff", "\U0001f600")
SCORES = (None, 0.0, 1.0, 0.5, 1 / 3, 0.1, 0.9, 1e-7)


def counted(bank: QuestionBank) -> list[Accuracy]:
    """Count again, outcome by outcome: by task and subject first, then over everything."""
    labels = {one.id: (one.task, one.subject) for one in bank.questions()}
    recorded = {llm: bank.recorded(llm) for llm in bank.llms}
    rows: list[Accuracy] = []
    for label in (*sorted(set(labels.values())), None):
        for llm in bank.llms:
            asked = {question_id for question_id, found in labels.items() if label in (None, found)}
            scores = [one.score for one in recorded[llm] if one.question_id in asked]
            graded = [Fraction(score) for score in scores if score is not None]
            mean = float(sum(graded) / len(graded)) if graded else None
            task, subject = label or (None, None)
            rows.append(Accuracy(llm, task, subject, len(asked), len(graded), len(scores) - len(graded), mean))
    return rows


def check(bank: QuestionBank) -> None:
    info = bank.info()
    for found, wanted in zip((*info.subjects, *info.llms), counted(bank), strict=True):
        assert found.accuracy == (wanted.accuracy and pytest.approx(wanted.accuracy, rel=4e-16, abs=0))
        assert replace(found, accuracy=wanted.accuracy) == wanted
    assert info.outcomes == sum(len(bank.recorded(llm)) for llm in bank.llms)
    assert (info.questions, info.content_hash) == (len(bank.question_ids()), bank.content_hash)


def change(bank: QuestionBank, chance: random.Random, count: int) -> None:
    """Do what happens to a bank over its life: growth, another grade, another label, removals, a merge."""

    def some() -> list[int]:
        return chance.sample(range(count), chance.randint(0, count))

    def there() -> list[int]:
        return [int(question_id[1:]) for question_id in bank.question_ids()]

    def ask(number: int) -> None:
        labels = {"task": chance.choice(SUBJECTS[:2]), "subject": chance.choice(SUBJECTS)}
        bank.add_questions([question(number, **labels)], replace=True)

    for number in some():
        ask(number)
    for llm in LLMS:
        bank.add_llm(llm)
    for _ in range(2):
        for llm in chance.sample(("a", "b", "z"), 2):
            bank.record(outcome(number, llm, chance.choice(SCORES)) for number in set(some()) & set(there()))
    for number in some()[:2]:
        ask(number)
    bank.remove_questions(f"q{number:04}" for number in some()[:2])
    if len(there()) > 1:
        keep, other = chance.sample(bank.question_ids(), 2)
        bank.merge_questions(keep, [other])
    if chance.random() < 0.2:
        bank.remove_llm(chance.choice(LLMS))


@given(st.integers(0, 2**32), st.integers(0, 12))
@settings(max_examples=15, deadline=None)
def test_figures_are_what_counting_outcome_by_outcome_gives(seed: int, count: int) -> None:
    folder = tempfile.mkdtemp()
    try:
        with QuestionBank.create(Path(folder) / "bank.db") as bank:
            change(bank, random.Random(seed), count)
            check(bank)
    finally:
        shutil.rmtree(folder)


def test_figures_on_either_database_follow_every_change(place: Place) -> None:
    chance = random.Random(5)
    with place.create() as bank:
        check(bank)
        for _ in range(4):
            change(bank, chance, 20)
            check(bank)


def test_what_another_process_wrote_is_counted_and_never_half_of_it(place: Place) -> None:
    with place.create() as bank, QuestionBank.open(place.url()) as other:
        bank.add_questions(map(question, range(4)))
        for llm in ("a", "b"):
            bank.add_llm(llm)
        bank.record(outcome(i, llm, 1.0) for i in range(4) for llm in ("a", "b"))
        before = bank.info()
        with bank._read() as connection:
            assert bank_info(connection, url=bank.url) == before
            other.record(outcome(i, llm, 0.0) for i in range(4) for llm in ("a", "b"))
            other.remove_questions(["q0003"])
            assert bank_info(connection, url=bank.url) == before
        after = bank.info()
        check(bank)
    assert after.content_hash != before.content_hash
    assert [(row.questions, row.accuracy) for row in after.llms] == [(3, 0.0)] * 2


def test_the_mean_of_fractions_does_not_hang_on_their_order(place: Place) -> None:
    scores = [random.Random(1).random() for _ in range(300)]
    means: list[float | None] = []
    for name, ordered in (("up", sorted(scores)), ("down", sorted(scores, reverse=True))):
        with place.create(name) as bank:
            bank.add_questions(question(i, task="t", subject="s") for i in range(300))
            bank.add_llm("a")
            bank.record(outcome(i, "a", score) for i, score in enumerate(ordered))
            means.append(bank.info().subjects[0].accuracy)
    assert means[0] == means[1] == float(sum(map(Fraction, scores)) / 300)

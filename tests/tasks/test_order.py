from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.tasks import stratified
from smcs.types import Question

questions_of = st.lists(st.sampled_from("abcd"), min_size=1, max_size=60).map(
    lambda subjects: [Question(f"q/{i}", f"text {i}", subject=subject) for i, subject in enumerate(subjects)]
)


@given(questions_of, st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_file(questions: list[Question], seed: int, random: Random) -> None:
    shuffled = list(questions)
    random.shuffle(shuffled)
    assert stratified(shuffled, seed) == stratified(questions, seed)
    assert sorted(q.id for q in stratified(questions, seed)) == sorted(q.id for q in questions)


@given(questions_of, st.integers(0, 5))
def test_every_prefix_has_subjects_in_proportion(questions: list[Question], seed: int) -> None:
    ordered = stratified(questions, seed)
    sizes = Counter(question.subject for question in questions)
    for length in range(1, len(ordered) + 1):
        drawn = Counter(question.subject for question in ordered[:length])
        for subject, size in sizes.items():
            assert abs(drawn[subject] - length * size / len(ordered)) <= 1 + len(sizes) / 2


def test_another_seed_gives_another_sample() -> None:
    questions = [Question(f"q/{i}", "?", subject=str(i % 2)) for i in range(100)]
    first, second = ({q.id for q in stratified(questions, seed)[:30]} for seed in (0, 1))
    assert first != second
    assert len(first & second) == pytest.approx(9, abs=8)

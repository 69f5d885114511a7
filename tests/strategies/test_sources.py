"""Where a support set comes from: labels learned once per row, shares added up by array."""

from __future__ import annotations

import numpy as np
import pytest

from smcs.prior import SupportSet
from smcs.strategies.sources import Sources, source_of
from smcs.types import Question

QUESTIONS = (
    Question("1", "a", task="t", subject="x"),
    Question("2", "b", task="t"),
    Question("3", "c", task="t", subject="x"),
    Question("4", "d"),
)


def rows(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.array(numbers, dtype=np.intp)


def test_sources_are_named_by_task_and_subject_and_weighed_by_similarity() -> None:
    sources = Sources()
    sources.learn(rows(7, 2, 9, 0), QUESTIONS)
    shares = sources.shares(SupportSet(rows(7, 2, 9, 0), np.array([0.5, 0.3, 0.2, -0.1])))
    assert shares == pytest.approx({"t/x": 0.7, "t": 0.3, "": 0.0})
    assert list(shares) == ["t/x", "t", ""]
    assert sources.shares(SupportSet(rows(7, 2, 9, 0), np.zeros(4))) == {}


def test_equal_shares_stand_in_the_order_of_their_names() -> None:
    sources = Sources()
    sources.learn(rows(0, 1), (Question("1", "a", task="z"), Question("2", "b", task="a")))
    assert list(sources.shares(SupportSet(rows(0, 1), np.ones(2)))) == ["a", "z"]


def test_only_rows_that_were_learned_are_known_and_later_ones_keep_the_earlier() -> None:
    sources = Sources()
    assert not sources.knows(rows(0))
    sources.learn(rows(3, 1), QUESTIONS[:2])
    assert sources.knows(rows(1, 3))
    assert not sources.knows(rows(1, 2))
    assert not sources.knows(rows(1, 4))
    sources.learn(rows(8, 3), (QUESTIONS[3], QUESTIONS[0]))
    assert sources.knows(rows(1, 3, 8))
    shares = sources.shares(SupportSet(rows(1, 3, 8), np.array([0.25, 0.5, 0.25])))
    assert shares == pytest.approx({"t/x": 0.5, "": 0.25, "t": 0.25})


def test_a_source_is_what_there_is_of_task_and_subject() -> None:
    assert [source_of("t", "s"), source_of("t", ""), source_of("", "s"), source_of("", "")] == ["t/s", "t", "s", ""]

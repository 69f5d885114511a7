from __future__ import annotations

import pytest

from helpers_bank import Place
from smcs.bank import QuestionBank, TaskUsage
from smcs.errors import InputError
from smcs.types import Outcome, Question, Usage


def test_notes_are_kept_replaced_and_taken_away(place: Place) -> None:
    bank = place.create()
    before = bank.content_hash
    assert bank.get_note("build/task/x") is None
    bank.set_note("build/task/x", {"limit": 5, "sampling": {"temperature": 0.5}})
    bank.set_note("other", [1, 2])
    bank.set_note("build/task/x", {"limit": None})
    with QuestionBank.open(place.url()) as again:
        assert again.get_note("build/task/x") == {"limit": None}
        assert again.get_note("other") == [1, 2]
        assert again.content_hash == before
    bank.set_note("other", None)
    assert bank.get_note("other") is None
    assert bank.history() == ()


@pytest.mark.parametrize(("key", "value"), [("", 1), ("x", float("nan")), ("x", object())])
def test_what_is_no_note(place: Place, key: str, value: object) -> None:
    with pytest.raises(InputError):
        place.create().set_note(key, value)


def test_usage_adds_up_what_is_known(place: Place) -> None:
    bank = place.create()
    assert bank.usage() == ()
    bank.add_questions([Question(f"q{i}", f"{i}?", task="even" if i % 2 == 0 else "odd") for i in range(4)])
    bank.add_llm("a")
    bank.add_llm("b")
    bank.record(
        [
            Outcome("q0", "a", 1.0, usage=Usage(5, 30), cost_usd=0.5, samples=3),
            Outcome("q2", "a", None, usage=Usage(5, 10), cost_usd=0.25),
            Outcome("q1", "a", 0.0, usage=Usage(None, None)),
            Outcome("q1", "b", 0.0, usage=Usage(7, 7)),
        ]
    )
    assert bank.usage() == (
        TaskUsage("a", "even", answers=4, completion_tokens=40, cost_usd=0.75),
        TaskUsage("a", "odd", answers=0, completion_tokens=0, cost_usd=0.0),
        TaskUsage("b", "odd", answers=1, completion_tokens=7, cost_usd=0.0),
    )

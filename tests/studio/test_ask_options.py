"""What the Ask page offers and sends, on a running gateway of scripted LLMs."""

from __future__ import annotations

import pytest

from smcs.errors import InputError
from smcs.gateway.models import PassThrough, VirtualModel
from smcs.llms import Member, ScriptedLLM
from smcs.strategies import find_strategy, profile
from smcs.studio.ask.asking import options_of, steers

SMCS = VirtualModel("smcs", find_strategy("smcs_guarded"), profile("balanced"), "several LLMs")
ROUTER = VirtualModel("smcs/rps", find_strategy("rps"), profile("balanced"), "one LLM")
LLM = PassThrough("one", Member("one", ScriptedLLM("one")))
VALUES = {"k": 3.0, "n": 4.0, "max_usd": 0.5, "max_seconds": None}


def test_only_a_collaboration_takes_the_number_of_llms() -> None:
    assert [steers(model) for model in (SMCS, ROUTER, LLM, None)] == [True, False, False, False]
    full = options_of(SMCS, VALUES)
    assert full is not None
    assert full.model_dump(exclude_none=True) == {"k": 3, "n": 4, "max_usd": 0.5}
    alone = options_of(LLM, VALUES)
    assert alone is not None
    assert alone.steering() == ()
    assert alone.max_usd == 0.5


def test_nothing_set_is_no_option() -> None:
    assert options_of(SMCS, dict.fromkeys(VALUES)) is None
    assert options_of(LLM, {"k": 3.0, "n": None}) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"k": 0.0}, "LLMs asked"),
        ({"n": 2.5}, "Merged answers"),
        ({"n": 2.5}, "should be a whole number, got 2.5"),
        ({"max_usd": -1.0}, "US dollars"),
    ],
)
def test_what_is_out_of_bounds_is_named_in_the_words_of_the_page(values: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        options_of(SMCS, values)

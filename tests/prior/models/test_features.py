"""What is counted in a question before it is answered."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smcs.prior import question_features
from smcs.prior.models import FEATURES


def named(text: str, choices: tuple[str, ...] = ()) -> dict[str, float]:
    return dict(zip(FEATURES, question_features(text, choices).tolist(), strict=True))


@given(st.text(max_size=200), st.lists(st.text(max_size=30), max_size=12))
@settings(max_examples=60, deadline=None)
def test_every_text_has_finite_features(text: str, choices: list[str]) -> None:
    found = question_features(text, choices)
    assert found.shape == (len(FEATURES),)
    assert np.isfinite(found).all()


def test_a_question_is_described_by_its_form() -> None:
    found = named("Which is NOT $x^2$, I or II?", ("12 m", "none of these"))
    assert found["number of options"] == 2
    assert found["has LaTeX"] == found["asks for what is not"] == found["ends with a question mark"] == 1
    assert found["has Roman numerals"] == found["an option means all or none"] == 1
    assert found["has a blank to fill"] == found["has numbered statements"] == found["refers to what follows"] == 0
    assert found["share of digits in the text"] == 1 / 28
    assert found["share of digits in the options"] == 2 / 18
    assert found["share of options of different length"] == 1


def test_other_forms() -> None:
    found = named("Statement 1 | So.\nComplete the following: water is ____")
    assert found["has numbered statements"] == found["has a blank to fill"] == found["refers to what follows"] == 1
    assert (found["lines"], found["sentences"], found["number of options"]) == (1, 1, 0)
    assert named("")["share of digits in the text"] == 0

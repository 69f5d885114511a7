"""The short answer in a text of which nobody says what kind of answer it holds."""

from __future__ import annotations

import pytest

from smcs.grading import settled


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 42.", "42"),
        ("First 7, then 8.\nThe answer is 42 pens, since 6 x 7 = 42.", "42"),
        ("So we get \\boxed{\\frac{3}{4}} as needed.", "\\frac{3}{4}"),
        ("Answer: Paris, because it is the capital", "Paris"),
        ("The final answer is: **yes**.", "yes"),
        ("Paris", "Paris"),
        ("x = 3", "x = 3"),
        ("", None),
        ("I like trains and so on. " * 10, None),
        ("One line.\nAnd another one of prose.", None),
    ],
)
def test_settled(text: str, answer: str | None) -> None:
    assert settled(text) == answer

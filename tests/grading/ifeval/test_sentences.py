from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.grading.ifeval.sentences import count_sentences


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n", 0),
        ("no mark at all", 1),
        ("One. Two! Three?", 3),
        ("One.\nTwo.\n\nThree.", 3),
        ("What?! No way...", 2),
        ("Well... maybe so.", 1),
        ("Well... The rain came.", 2),
        ("Dr. Smith met Mrs. Jones at 5 p.m. on Main St. near the U.S. embassy.", 1),
        ("He lives in the U.S. The rest do not.", 2),
        ("It is 3.5 metres or 1,000.25 feet long.", 1),
        ("It was in 1999. Then it ended.", 2),
        ("1. Wash it.\n2. Cut it.", 4),
        ("on the 3. of May", 1),
        ("J. K. Rowling wrote it.", 1),
        ("You and I. The two of us.", 2),
        ('She said "Go." Then she left.', 2),
        ('"Go!" she said. (He went.) They came.', 4),
        ("\u201cGo.\u201d They went.", 2),
        ("It is so.)", 1),
        ("It is **so.**", 2),
        ("end. small letters follow", 2),
        ("See smcs.example.org for more.", 1),
        ("Rain, etc. Then sun.", 2),
        ("P.S. I love you.", 2),
    ],
)
def test_sentences_are_counted_as_punkt_counts_them(text: str, count: int) -> None:
    assert count_sentences(text) == count


@given(st.lists(st.integers(1, 6), min_size=1, max_size=30), st.sampled_from([" ", "\n", "\n\n", "  "]))
def test_plain_sentences_are_all_counted(lengths: list[int], gap: str) -> None:
    text = gap.join("The " + "rain " * length + "came" + ".!?"[length % 3] for length in lengths)
    assert count_sentences(text) == len(lengths)


@given(st.text(alphabet="aA.!?) \"'*\n1"))
def test_the_count_is_that_of_the_stripped_text_and_zero_only_for_blanks(text: str) -> None:
    assert count_sentences(text) == count_sentences(text.strip())
    assert (count_sentences(text) == 0) <= (not text.strip(" \n)\"'"))

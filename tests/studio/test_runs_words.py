from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_time import cpu_time
from smcs.studio.runs.words import Piece, difference_of_texts


def test_words_that_changed_are_found() -> None:
    found = difference_of_texts("The answer is 7, I think.", "The answer is 8, I know.")
    assert [(piece.kind, piece.text) for piece in found.pieces] == [
        ("same", "The answer is "),
        ("removed", "7"),
        ("added", "8"),
        ("same", ", I "),
        ("removed", "think"),
        ("added", "know"),
        ("same", "."),
    ]
    assert (found.removed_words, found.added_words, found.is_coarse) == (2, 2, False)


def test_equal_texts_have_one_piece() -> None:
    assert difference_of_texts("same", "same").pieces == (Piece("same", "same"),)
    assert difference_of_texts("", "").pieces == ()


def test_text_against_nothing() -> None:
    found = difference_of_texts("", "new words")
    assert found.pieces == (Piece("added", "new words"),)
    assert (found.removed_words, found.added_words) == (0, 2)


def test_rewritten_sentence_is_one_stretch() -> None:
    found = difference_of_texts("start one two three end", "start eins zwei drei end")
    assert [piece.kind for piece in found.pieces] == ["same", "removed", "added", "same"]


def test_chinese_is_compared_by_characters_and_arabic_by_words() -> None:
    chinese = difference_of_texts("答案是七。", "答案是八。")
    assert [piece.text for piece in chinese.pieces] == ["答案是", "七", "八", "。"]
    arabic = difference_of_texts("الجواب سبعة", "الجواب ثمانية")
    assert [piece.text for piece in arabic.pieces] == ["الجواب ", "سبعة", "ثمانية"]


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=" \n.aäb七ب\U0001f600", max_size=60), st.text(alphabet=" \n.aäb七ب\U0001f600", max_size=60))
def test_pieces_give_both_texts_back(before: str, after: str) -> None:
    found = difference_of_texts(before, after)
    assert (found.before, found.after) == (before, after)
    assert all(piece.text for piece in found.pieces)
    kinds = [piece.kind for piece in found.pieces]
    assert all(one != other for one, other in pairwise(kinds))


def prose(words: int, seed: int) -> str:
    rng = random.Random(seed)
    vocabulary = [f"word{i}" for i in range(2_000)]
    text = [rng.choice(vocabulary[: rng.choice((20, 2_000))]) + ("." if i % 12 == 11 else "") for i in range(words)]
    return " ".join(text)


def few_changes(text: str) -> str:
    words = text.split(" ")
    words[1_000:1_003] = ["changed"]
    words[-1_000] = "replaced"
    return " ".join(words)


LONG = prose(16_000, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (LONG, few_changes(LONG)),
        (LONG, prose(16_000, 2)),
        ("a " * 50_000, "a b " * 25_000),
        ("a" * 100_000, "b" * 100_000),
        ("。" * 33_000, "七" * 33_000),
        ("\n" * 100_000, "\n \n" * 33_000),
        (" ".join(f"x{i} y{i}" for i in range(2_400)), " ".join(f"x{i} z{i}" for i in range(2_400))),
    ],
    ids=["few changes", "other prose", "one word", "no word ends", "no spaces", "blank lines", "every other word"],
)
def test_long_texts_take_bounded_work(before: str, after: str) -> None:
    with cpu_time() as took:
        found = difference_of_texts(before, after)
    assert took() < 10
    assert (found.before, found.after) == (before, after)
    assert len(found.pieces) <= 1_500


def test_few_changes_in_a_long_text_are_still_found_by_word() -> None:
    found = difference_of_texts(LONG, few_changes(LONG))
    assert not found.is_coarse
    assert {piece.text for piece in found.pieces if piece.kind == "added"} == {"changed", "replaced"}


def test_what_is_too_much_is_said_to_be_coarse() -> None:
    assert difference_of_texts("a " * 50_000, "a b " * 25_000).is_coarse

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smcs.llms import ReasoningSplitter, split_reasoning

PIECES = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<thinking>", "</thinking>", "<", ">", "<th", "ink>", "a", " ", "\n", "<b>"]
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning"),
    [
        ("plain", "plain", ""),
        ("  plain ", "  plain ", ""),
        ("<think>a</think>b", "b", "a"),
        ("<think>\na\n</think>\n\nb", "b", "\na\n"),
        ("<thinking>a</thinking>b", "b", "a"),
        ("x <think>a</think> y", "x  y", "a"),
        ("<think>a</think>x<think>b</think>y", "xy", "ab"),
        ("<think>never closed", "", "never closed"),
        ("x<think>never closed", "x", "never closed"),
        ("from the template</think>\n42", "42", "from the template"),
        ("<think>a </think> b</think> c", "c", "a b"),
        ("<think>the tag <think> again</think>b", "b", "the tag <think> again"),
        ("<think></think>b", "b", ""),
        ("1 < 2 and <thin ice", "1 < 2 and <thin ice", ""),
        ("ends in <thin", "ends in <thin", ""),
        ("<think>ends in </thin", "", "ends in </thin"),
        ("", "", ""),
    ],
)
def test_split(text: str, answer: str, reasoning: str) -> None:
    assert tuple(split_reasoning(text)) == (answer, reasoning)


@given(pieces=PIECES, cuts=st.lists(st.integers(0, 80), max_size=6))
def test_pieces_split_like_the_whole(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    splitter = ReasoningSplitter()
    shown = [splitter.feed(text[a:b]) for a, b in pairwise(edges)]
    shown.append(splitter.close())
    assert splitter.split == split_reasoning(text)
    if "</think" not in text:  # only a lone closing tag can turn shown answer into reasoning
        assert "".join(piece.answer for piece in shown) == splitter.split.answer
        assert "".join(piece.reasoning for piece in shown) == splitter.split.reasoning


@given(before=st.text("ab <>/think\n"), inside=st.text("ab <>/\n"), after=st.text("ab <>/\n"))
def test_nothing_inside_a_block_reaches_the_answer(before: str, inside: str, after: str) -> None:
    marked = f"{before}<think>SECRET{inside}</think>{after}"
    assert "SECRET" not in split_reasoning(marked).answer
    assert "SECRET" in split_reasoning(marked).reasoning

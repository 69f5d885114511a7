"""What differs between two texts, word by word, in bounded time whatever the texts are.

difflib's time grows with the square of the length and of how often words repeat, so a pair of texts that is too much
for it is compared by sentences first, and only what differs there by words. What is too much even then is given as
replaced, and `TextDifference.is_coarse` says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

__all__ = ("Piece", "PieceKind", "TextDifference", "difference_of_texts")

PieceKind = Literal["same", "removed", "added"]
"""In both texts, in the first only, in the second only."""

_UNSPACED: Final = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Chinese and Japanese are written without spaces: each character counts as a word."""

_WORDS: Final = re.compile(rf"\s+|[{_UNSPACED}]|[^\W_{_UNSPACED}]+|.", re.DOTALL)
_SENTENCES: Final = re.compile(r".+?(?:[.!?\u061f]+(?=\s|$)|[\u3002\uff01\uff1f]|\n|$)\s*", re.DOTALL)
_MOST_TOKENS: Final = 5_000
_MOST_PAIRS: Final = 400_000
"""Pairs of equal words that difflib may look at in one pass."""

_MOST_PIECES: Final = 1_500
"""More would be slow to draw, and nobody reads them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text."""

    kind: PieceKind
    text: str


@dataclass(frozen=True, slots=True)
class TextDifference:
    """Two texts as stretches that both have and that one has."""

    pieces: tuple[Piece, ...]
    """In reading order; where one stretch replaces another, the removed one comes first."""
    removed_words: int
    """Words of the first text that the second lacks."""
    added_words: int
    """Words of the second text that the first lacks."""
    is_coarse: bool = False
    """Whether some of it was too much to compare word by word, so that words may count as replaced that both have."""

    @property
    def before(self) -> str:
        """The first text."""
        return "".join(piece.text for piece in self.pieces if piece.kind != "added")

    @property
    def after(self) -> str:
        """The second text."""
        return "".join(piece.text for piece in self.pieces if piece.kind != "removed")


def difference_of_texts(before: str, after: str) -> TextDifference:
    """Compare two texts.

    Args:
        before: The first text.
        after: The second text.

    Returns:
        Pieces that joined give back both texts exactly. Two texts of 100 KB take less than a second or so; call it in
        a thread.
    """
    pieces, is_coarse = _refined(before, after)
    pieces = _merged(pieces)
    if len(pieces) > _MOST_PIECES:
        pieces, is_coarse = _merged(_by_sentences(before, after, refine=False)[0]), True
    if len(pieces) > _MOST_PIECES:
        pieces = _merged(_replaced(before, after))
    counts = Counter[PieceKind]()
    for piece in pieces:
        counts[piece.kind] += sum(1 for word in _WORDS.findall(piece.text) if not word.isspace())
    return TextDifference(tuple(pieces), counts["removed"], counts["added"], is_coarse)


def _refined(before: str, after: str) -> tuple[list[Piece], bool]:
    """Compare by words where that is affordable, else by sentences and then by words."""
    words = _WORDS.findall(before), _WORDS.findall(after)
    return (_compared(*words), False) if _affordable(*words) else _by_sentences(before, after, refine=True)


def _by_sentences(before: str, after: str, *, refine: bool) -> tuple[list[Piece], bool]:
    sentences = _SENTENCES.findall(before), _SENTENCES.findall(after)
    if not _affordable(*sentences):
        return _replaced(before, after), True
    pieces: list[Piece] = []
    is_coarse = False
    for removed, added, same in _blocks(_compared(*sentences)):
        if refine and removed and added:
            words = _WORDS.findall(removed), _WORDS.findall(added)
            affordable = _affordable(*words)
            pieces += _compared(*words) if affordable else _replaced(removed, added)
            is_coarse = is_coarse or not affordable
        else:
            pieces += _replaced(removed, added)
        pieces.append(Piece("same", same))
    return pieces, is_coarse


def _blocks(pieces: Sequence[Piece]) -> Iterator[tuple[str, str, str]]:
    """Yield what was removed, what stands in its place, and what both have after it."""
    removed = added = ""
    for piece in pieces:
        match piece.kind:
            case "removed":
                removed += piece.text
            case "added":
                added += piece.text
            case "same":
                yield removed, added, piece.text
                removed = added = ""
    if removed or added:
        yield removed, added, ""


def _affordable(before: Sequence[str], after: Sequence[str]) -> bool:
    if len(before) + len(after) > _MOST_TOKENS:
        return False
    counts = Counter(after)
    return sum(counts[token] for token in before) <= _MOST_PAIRS


def _compared(before: Sequence[str], after: Sequence[str]) -> list[Piece]:
    pieces: list[Piece] = []
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(before[i:j])))
        else:
            pieces += _replaced("".join(before[i:j]), "".join(after[k:m]))
    return pieces


def _replaced(before: str, after: str) -> list[Piece]:
    return [Piece("removed", before), Piece("added", after)]


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Join neighbours of one kind; white space alone between two differences is part of them.

    Without that a rewritten sentence would be a row of single words with equal blanks between them.
    """
    kept: list[Piece] = []
    removed = added = ""
    given = [piece for piece in pieces if piece.text]
    for i, piece in enumerate(given):
        inside = (removed or added) and i + 1 < len(given) and given[i + 1].kind != "same"
        if piece.kind == "removed" or (piece.kind == "same" and piece.text.isspace() and inside):
            removed += piece.text
        if piece.kind == "added" or (piece.kind == "same" and piece.text.isspace() and inside):
            added += piece.text
        if piece.kind == "same" and not (piece.text.isspace() and inside):
            kept += [each for each in _replaced(removed, added) if each.text]
            removed = added = ""
            kept.append(piece)
    kept += [each for each in _replaced(removed, added) if each.text]
    return _joined(kept)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].kind == piece.kind:
            joined[-1] = Piece(piece.kind, joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined

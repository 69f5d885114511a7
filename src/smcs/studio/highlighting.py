"""Code of untrusted texts with its words marked, for languages whose lexers stay fast on hostile input."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from html import escape
from itertools import groupby
from typing import Final

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Literal, Name, Number, Operator, String, _TokenType

__all__ = ("CLASSES", "MAX_CODE", "highlight")

MAX_CODE: Final = 10_000
"""Characters of a block of code above which it is shown plain."""
_MAX_LINE: Final = 500
_MAX_ESCAPED_QUOTES: Final = 300

_KINDS: Final[Mapping[_TokenType, str]] = {
    Comment: "smcs-code-comment",
    Keyword: "smcs-code-keyword",
    Operator.Word: "smcs-code-keyword",
    Name.Tag: "smcs-code-keyword",
    String: "smcs-code-string",
    Number: "smcs-code-number",
    Literal: "smcs-code-number",
    Keyword.Constant: "smcs-code-number",
    Name.Attribute: "smcs-code-name",
    Name.Builtin: "smcs-code-name",
    Name.Class: "smcs-code-name",
    Name.Decorator: "smcs-code-name",
    Name.Function: "smcs-code-name",
    Generic.Inserted: "smcs-code-added",
    Generic.Deleted: "smcs-code-removed",
    Generic.Heading: "smcs-code-comment",
    Generic.Subheading: "smcs-code-comment",
}
CLASSES: Final[frozenset[str]] = frozenset(_KINDS.values())
"""Classes that a marked word may have."""

# Lexers that were measured to take a time linear in hostile input, or nearly. Those of the C family take seconds for a
# page of blank lines (the words, strings and comments of C are near enough to JavaScript's); others were not measured.
_LEXERS: Final[Mapping[str, str]] = {
    alias: lexer
    for lexer, aliases in {
        "bash": "bash console sh shell zsh",
        "css": "css",
        "diff": "diff patch",
        "dockerfile": "dockerfile",
        "go": "go golang",
        "haskell": "haskell hs",
        "html": "html",
        "ini": "ini",
        "javascript": "c c# c++ cpp cs csharp dart java javascript js jsx kotlin",
        "json": "json",
        "python": "py python python3",
        "r": "r",
        "rust": "rs rust",
        "sql": "sql",
        "toml": "toml",
        "typescript": "scala swift ts tsx typescript",
        "xml": "svg xml",
        "yaml": "yaml yml",
    }.items()
    for alias in aliases.split()
}


def highlight(code: str, language: str) -> str | None:
    """Return code as HTML with spans around its keywords, names, strings, numbers and comments.

    Args:
        code: Untrusted.
        language: Untrusted; what its author called the language.

    Returns:
        HTML, or None where the language is not one of ours or the code is long enough to be slow.
    """
    name = _LEXERS.get(language.lower())
    if name is None or len(code) > MAX_CODE or any(len(line) > _MAX_LINE for line in code.split("\n")):
        return None
    # Each may begin a string that never ends.
    if code.count('\\"') + code.count("\\'") > _MAX_ESCAPED_QUOTES:
        return None
    tokens = list(_lexer(name).get_tokens(code))
    if "".join(text for _, text in tokens) != code:
        return None
    parts = []
    for kind, group in groupby(tokens, key=lambda token: _kind(token[0])):
        text = escape("".join(text for _, text in group))
        parts.append(f'<span class="{kind}">{text}</span>' if kind else text)
    return "".join(parts)


@lru_cache(maxsize=len(_LEXERS))
def _lexer(name: str) -> Lexer:
    return get_lexer_by_name(name, stripnl=False, ensurenl=False)


@lru_cache(maxsize=512)
def _kind(token: _TokenType) -> str:
    """Return the class of a kind of token, that of the nearest kind above it, or nothing."""
    while token.parent is not None:
        if token in _KINDS:
            return _KINDS[token]
        token = token.parent
    return ""

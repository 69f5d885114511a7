"""Markdown of untrusted texts as HTML: no raw HTML, no image, web and mail links only, formulas, code with colours.

What comes out is well-formed but not the last word: `smcs.studio.text` sanitises it. Work grows with the length of a
text and not with how it is built: nesting is bounded, and formulas and marked code have a budget for each text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping, MutableMapping, Sequence
from html import escape
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock, table
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from smcs.studio.highlighting import highlight
from smcs.studio.mathematics import MAX_SOURCE, to_mathml

__all__ = ("CLASSES", "UnreasonableError", "render")

CLASSES: Final[Mapping[str, frozenset[str]]] = {
    "span": frozenset({"smcs-text-host", "smcs-text-image"}),
    "code": frozenset({"smcs-math-source"}),
    "div": frozenset({"smcs-text-scroll", "smcs-math"}),
    "th": frozenset({"smcs-text-center", "smcs-text-right"}),
    "td": frozenset({"smcs-text-center", "smcs-text-right"}),
}
"""Classes that an element may have, besides those of marked code and of formulas."""

_MAX_NESTING: Final = 16
_FORMULAS_BUDGET: Final = 40_000
_FORMULA_COST: Final = 40
_CODE_BUDGET: Final = 60_000
_CELLS_BUDGET: Final = 10_000
_SPARE_CELLS: Final = 200
_MAX_LINES: Final = 10_000
_MAX_MARKUP: Final = 40_000
_MARKUP: Final = "[]*_~`<$\\|&!"
_HEADINGS: Final[Mapping[str, str]] = {"h1": "h3", "h2": "h4", "h3": "h5"}
_LINK: Final = re.compile(r"https?://[^\s/?#]|mailto:[^\s?@]+@", re.IGNORECASE)
_HOST: Final = re.compile(r"[^\W_](?:[\w-]*\.)+[^\W\d_][\w-]+")


class UnreasonableError(Exception):
    """A text is built as no answer for people is, and takes long to render because of it."""


def render(text: str) -> str:
    """Return Markdown as HTML that still has to be sanitised.

    Args:
        text: Untrusted, without lone surrogates.

    Raises:
        UnreasonableError: Its quotes, lists or emphases are nested too deep, its tables are huge, or it has too many
            lines or too much markup.
    """
    if text.count("\n") > _MAX_LINES or sum(map(text.count, _MARKUP)) > _MAX_MARKUP:
        raise UnreasonableError
    cells = min(_CELLS_BUDGET, len(text) + _SPARE_CELLS)
    html: str = _MARKDOWN.render(text, {"formulas": _FORMULAS_BUDGET, "code": _CODE_BUDGET, "cells": cells})
    return html


class _Renderer(RendererHTML):
    """Writes the tokens; each method is named after the kind of token it writes."""

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        words = tokens[idx].info.split(maxsplit=1)
        return _code_block(tokens[idx].content, words[0] if words else "", env)

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        return _code_block(tokens[idx].content, "", env)

    def code_inline(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        return f'<code dir="ltr">{escape(tokens[idx].content)}</code>'

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        words = tokens[idx].content.strip()
        return f'<span class="smcs-text-image">Image{": " if words else ""}{escape(words)}</span>'

    def link_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        host = tokens[idx].meta.get("host")
        return f'</a> <span class="smcs-text-host" dir="ltr">({escape(host)})</span>' if host else "</a>"

    def table_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        direction = ' dir="auto"' if tokens[idx].attrs else ""
        return f'<div class="smcs-text-scroll" role="group" aria-label="Table" tabindex="0"{direction}><table>\n'

    def table_close(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        return "</table></div>\n"

    def math_inline(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        return _formula(tokens[idx], env)

    def math_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        return f'<div class="smcs-math" tabindex="0">{_formula(tokens[idx], env)}</div>\n'


def _code_block(code: str, language: str, env: MutableMapping[str, Any]) -> str:
    marked = None
    if language and len(code) <= env["code"]:
        marked = highlight(code, language)
        env["code"] -= len(code)
    return f'<pre dir="ltr" tabindex="0"><code>{escape(code) if marked is None else marked}</code></pre>\n'


def _formula(token: Token, env: MutableMapping[str, Any]) -> str:
    opening, closing = token.markup, token.info
    cost = len(token.content) + _FORMULA_COST
    html = None
    if cost <= env["formulas"]:
        env["formulas"] -= cost
        html = to_mathml(token.content, display=opening in ("$$", r"\["))
    if html is None:
        return f'<code class="smcs-math-source" dir="ltr">{escape(opening + token.content + closing)}</code>'
    return html


# Content stops at the next opening delimiter, so that all searches together read a text once. The opening dollar must
# touch what follows and no word before it, the closing one what precedes: "$5 and $6" and $HOME:$PATH are no formulas.
_INLINE_FORMULA: Final = re.compile(
    r"""
      \$\$ (?P<a> (?: [^\\$] | \\. | \$(?!\$) ){1,MAX}? ) \$\$
    | (?<![A-Za-z0-9\\$]) \$ (?![\s$]) (?P<b> (?: [^\\$] | \\. ){1,MAX}? ) (?<![\s]) \$
      (?! (?! (?:th|st|nd|rd|s|d|D)\b ) [A-Za-z0-9$] )
    | \\\( (?P<c> (?: [^\\] | \\[^()] ){1,MAX}? ) \\\)
    | \\\[ (?P<d> (?: [^\\] | \\[^\[\]] ){1,MAX}? ) \\\]
    """.replace("MAX", str(MAX_SOURCE)),
    re.VERBOSE | re.DOTALL,
)
_DELIMITERS: Final[Mapping[str, tuple[str, str]]] = {
    "a": ("$$", "$$"),
    "b": ("$", "$"),
    "c": (r"\(", r"\)"),
    "d": (r"\[", r"\]"),
}
_PRICE: Final = re.compile(r"\d[\d.,]*\s*(?:[kKmMbB]\s+)?(?:[A-Za-z]{3,}|or|to|is|in|of|a|per)\b")


def _math_inline(state: StateInline, silent: bool) -> bool:
    """Take a formula between dollars or backslashed brackets, where one begins here."""
    if state.src[state.pos] not in "$\\":
        return False
    match = _INLINE_FORMULA.match(state.src, state.pos, state.posMax)
    if match is None or match.lastgroup is None:
        return False
    content = match[match.lastgroup]
    if not content.strip() or (match.lastgroup == "b" and _PRICE.match(content)):
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = content
        token.markup, token.info = _DELIMITERS[match.lastgroup]
    state.pos = match.end()
    return True


def _math_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""Take the lines between `$$` or `\[` at the beginning of one and its counterpart at the end of one."""
    begin = state.bMarks[start] + state.tShift[start]
    opening = state.src[begin : begin + 2]
    if opening not in ("$$", r"\[") or state.is_code_block(start):
        return False
    closing = "$$" if opening == "$$" else r"\]"
    found = state.src.find(closing, begin + 2, begin + 2 + MAX_SOURCE)
    if found < 0:
        return False
    last = bisect_left(state.eMarks, found)
    if last >= end or state.src[found + 2 : state.eMarks[last]].strip():
        return False
    if any(state.isEmpty(line) or state.sCount[line] < state.blkIndent for line in range(start, last + 1)):
        return False
    if silent:
        return True
    lines = state.getLines(start, last + 1, state.blkIndent, False).strip()
    token = state.push("math_block", "math", 0)
    token.content = lines.removeprefix(opening).removesuffix(closing)
    token.markup, token.info = opening, closing
    token.map = [start, last + 1]
    state.line = last + 1
    return True


def _table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Take a table, unless the text's tables together have more cells than anybody reads.

    A row of one character makes as many cells as the header has columns.
    """
    if silent or not table(state, start, end, True):
        return table(state, start, end, silent)
    last = start
    while last < end and not state.isEmpty(last):
        last += 1
    state.env["cells"] -= (last - start) * state.src.count("|", state.bMarks[start], state.eMarks[start])
    if state.env["cells"] < 0:
        raise UnreasonableError
    return table(state, start, end, False)


_BREAK: Final = re.compile(r"<br {0,3}/?>", re.IGNORECASE)


def _break(state: StateInline, silent: bool) -> bool:
    """Take `<br>`, the one tag that models write where Markdown has nothing: in a table's cell."""
    if state.src[state.pos] != "<":
        return False
    match = _BREAK.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = match.end()
    return True


def _finish(state: StateCore) -> None:
    """Bound the nesting, and give blocks a direction, headings their level, cells a class and links their host."""
    for token in state.tokens:
        if token.level >= _MAX_NESTING - 1:
            raise UnreasonableError
        token.tag = _HEADINGS.get(token.tag, "h6") if token.type.startswith("heading") else token.tag
        style = token.attrs.pop("style", None)
        if style in ("text-align:center", "text-align:right"):
            token.attrSet("class", f"smcs-text-{str(style).removeprefix('text-align:')}")
        if token.level == 0 and token.nesting == 1:
            token.attrSet("dir", "auto")
        if token.children:
            _finish_inline(token.children)


def _finish_inline(tokens: Sequence[Token]) -> None:
    href = ""
    words: list[str] = []
    for token in tokens:
        if token.level >= _MAX_NESTING:
            raise UnreasonableError
        if token.type == "link_open":
            href, words = str(token.attrs["href"]), []
            token.attrs = {"href": href}
        elif token.type == "link_close":
            token.meta["host"] = _other_host(href, "".join(words))
        if token.type in ("link_open", "link_close"):
            # `[words]()` is a link that leads nowhere.
            token.type = token.type if href else "text"
        else:
            words.append(token.content)


def _other_host(href: str, words: str) -> str:
    """Return where a link leads, if its words name another place or its address is made to be misread."""
    if href.lower().startswith("mailto:"):
        address = unquote(href[7:].partition("?")[0])
        return "" if "@" not in words or words.strip().lower() == address.lower() else address
    try:
        parts = urlsplit(href)
        host = parts.hostname or ""
    except ValueError:
        return href
    if not host or parts.username is not None or "xn--" in host:
        return host or href
    # Browsers take the full stop of Chinese and Japanese for a dot.
    named = _HOST.findall(unicodedata.normalize("NFKC", words[:2_000]).lower().replace("。", "."))
    return host if any(name.removeprefix("www.") != host.removeprefix("www.") for name in named) else ""


class _Markdown(MarkdownIt):
    """CommonMark with tables, strikethrough and formulas."""

    def __init__(self) -> None:
        super().__init__(
            "commonmark",
            # A model's line break is meant: answers are no wrapped e-mail.
            {"html": False, "breaks": True, "xhtmlOut": False, "maxNesting": _MAX_NESTING},
            renderer_cls=_Renderer,
        )
        self.enable(["table", "strikethrough"])
        self.inline.ruler.before("escape", "math_inline", _math_inline)
        self.inline.ruler.before("autolink", "break", _break)
        self.block.ruler.before(
            "fence", "math_block", _math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
        )
        self.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
        self.core.ruler.push("finish", _finish)
        # Rules are compiled at their first use, which is no place for two threads.
        self.render("", {})

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        return _LINK.match(url) is not None


_MARKDOWN: Final = _Markdown()

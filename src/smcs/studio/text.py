"""Untrusted texts as safe HTML.

A text of a model is Markdown of our choosing (`smcs.studio.markdown`), and whatever that makes of it passes a sanitiser
that knows every element, attribute, class and kind of link that may be there. Both have to fail before a text can do
anything in a page; `smcs.studio.text_view` adds the browser's own sanitiser as a third.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from html import escape
from typing import Final

import nh3

from smcs.studio import highlighting, markdown, mathematics

__all__ = ("ALLOWED_ATTRIBUTES", "ALLOWED_TAGS", "MAX_MARKDOWN", "printable", "to_html")

MAX_MARKDOWN: Final = 200_000
"""Characters of a text above which it is shown as it is, without looking for Markdown."""
_MAX_KEPT: Final = 20_000

_PLAIN_TAGS: Final = frozenset(
    {
        *("p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "hr", "br", "div"),
        *("table", "thead", "tbody", "tr", "th", "td"),
        *("a", "code", "em", "s", "span", "strong"),
    }
)
_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "a": frozenset({"href"}),
    "ol": frozenset({"start"}),
    **mathematics.ATTRIBUTES,
}
_AUTO: Final[Mapping[str, frozenset[str]]] = {"dir": frozenset({"auto"})}
_LTR: Final[Mapping[str, frozenset[str]]] = {"dir": frozenset({"ltr"})}
_FOCUS: Final[Mapping[str, frozenset[str]]] = {"tabindex": frozenset({"0"})}
_VALUES: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    **dict.fromkeys(("p", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote"), _AUTO),
    "pre": {"dir": frozenset({"auto", "ltr"}), **_FOCUS},
    "code": _LTR,
    "span": _LTR,
    "div": {"role": frozenset({"group"}), "aria-label": frozenset({"Table"}), **_AUTO, **_FOCUS},
}
_CLASSES: Final[Mapping[str, frozenset[str]]] = {
    **markdown.CLASSES,
    **mathematics.CLASSES,
    "span": markdown.CLASSES["span"] | highlighting.CLASSES,
    "pre": frozenset({"smcs-text-plain"}),
}

ALLOWED_TAGS: Final[tuple[str, ...]] = tuple(sorted({*_PLAIN_TAGS, *mathematics.ATTRIBUTES}))
"""Every element that ever comes out."""
ALLOWED_ATTRIBUTES: Final[tuple[str, ...]] = tuple(
    sorted({"class", "rel", "target"}.union(*_ATTRIBUTES.values(), *(names.keys() for names in _VALUES.values())))
)
"""Every attribute that ever comes out, on one element or another."""

_CLEANER: Final = nh3.Cleaner(
    tags=set(ALLOWED_TAGS),
    attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
    tag_attribute_values={tag: {key: set(of) for key, of in values.items()} for tag, values in _VALUES.items()},
    set_tag_attribute_values={"a": {"target": "_blank"}},
    allowed_classes={tag: set(names) for tag, names in _CLASSES.items()},
    link_rel="noopener noreferrer nofollow",
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    generic_attribute_prefixes=set(),
)

_NEWLINES: Final = re.compile("\r\n?|[\u2028\u2029]")
_SURROGATES: Final = re.compile("[\x00\ud800-\udfff]")
# Controls, what turns the direction of text around, what hides in it as tags: readers would read another text.
_CONTROLS: Final = re.compile(
    "[\x01-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u206a-\u206f\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """Return a text with lone surrogates replaced and with control and direction-turning characters written out.

    What comes out can be encoded and shown as plain text, reads in the order it is stored in, and means the same when
    it is put through this again.

    Args:
        text: Untrusted.
    """
    if text.isascii() and text.isprintable():
        return text
    return _show_controls(_encodable(text))


def to_html(text: str) -> str:
    r"""Return an untrusted text as HTML that can be put into a page.

    Markdown is CommonMark with tables, strikethrough and formulas (`$…$`, `$$…$$`, `\(…\)`, `\[…\]`); a line break
    is one. HTML in it is shown as text, an image as its description, a link only where it leads to the web or to
    mail. Links name where they lead if their words name another place. Texts of more than `MAX_MARKDOWN` characters
    and texts nested beyond reason come out as they are, preformatted.

    The time grows with the length of the text, whatever is in it: up to about a second for `MAX_MARKDOWN` characters,
    so longer texts belong in a thread.

    Args:
        text: Anything.
    """
    return _kept(text) if len(text) <= _MAX_KEPT else _to_html(text)


def _to_html(text: str) -> str:
    text = _encodable(text)
    try:
        html = _plain(text) if len(text) > MAX_MARKDOWN else markdown.render(text)
    except (markdown.UnreasonableError, RecursionError):
        html = _plain(text)
    # Last, because an entity or a formula can stand for a control as well.
    return _show_controls(_CLEANER.clean(html))


@lru_cache(maxsize=128)
def _kept(text: str) -> str:
    """Render a text of which several viewers, or several openings of a page, want the same."""
    return _to_html(text)


def _plain(text: str) -> str:
    return f'<pre class="smcs-text-plain" dir="auto">{escape(text)}</pre>'


def _encodable(text: str) -> str:
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", _NEWLINES.sub("\n", text))


def _show_controls(text: str) -> str:
    return _CONTROLS.sub(lambda match: f"⟦U+{ord(match[0]):04X}⟧", text)

"""Reads HTML as a browser does and complains about anything that a text of a model must never put into a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"br", "hr"}
_TAGS = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mpadded", "mphantom", "mstyle", "mfrac", "msqrt", "mroot"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd"),
    *("p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "hr", "br", "div"),
    *("table", "thead", "tbody", "tr", "th", "td", "a", "code", "em", "s", "span", "strong"),
}
_LENGTH = r"-?\d{0,2}(\.\d{1,4})?(em|ex|pt|px)?"
ALLOWED = {
    "accent": "true|false",
    "aria-label": "Table",
    "class": r"smcs-(text|code|math)-[a-z]+|smcs-math",
    "columnalign": "left|center|right",
    "depth": _LENGTH,
    "dir": "auto|ltr",
    "display": "block|inline",
    "displaystyle": "true|false",
    "fence": "true|false",
    "form": "prefix|infix|postfix",
    "height": _LENGTH,
    "href": r"(https?://[^\s/?#]|mailto:[^\s?@]+@)[^\s]*",
    "largeop": "true|false",
    "linethickness": "0",
    "lspace": _LENGTH,
    "mathvariant": "normal",
    "maxsize": _LENGTH,
    "minsize": _LENGTH,
    "movablelimits": "true|false",
    "rel": "noopener noreferrer nofollow",
    "role": "group",
    "rspace": _LENGTH,
    "scriptlevel": "[012]",
    "separator": "true|false",
    "start": r"\d{1,9}",
    "stretchy": "true|false",
    "tabindex": "0",
    "target": "_blank",
    "voffset": _LENGTH,
    "width": _LENGTH,
}
_ONLY_ON = {
    "display": {"math"},
    "href": {"a"},
    "rel": {"a"},
    "target": {"a"},
    "role": {"div"},
    "aria-label": {"div"},
    "start": {"ol"},
}
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]")


class Audit(HTMLParser):
    """What is in a piece of HTML, and what is wrong with it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[dict[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        if _HIDDEN.search(html):
            self.problems.append("a control character or lone surrogate")
        self.feed(html)
        self.close()
        if self._open:
            self.problems.append(f"never closed: {self._open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _TAGS:
            self.problems.append(f"element {tag}")
        if tag not in _VOID:
            self._open.append(tag)
        if len({name for name, _ in attrs}) != len(attrs):
            self.problems.append(f"an attribute twice on {tag}")
        for name, value in attrs:
            self.attributes.add(name)
            if not re.fullmatch(ALLOWED.get(name, "(?!)"), value or "", re.IGNORECASE if name == "href" else 0):
                self.problems.append(f"{tag} {name}={value!r}")
            if tag not in _ONLY_ON.get(name, {tag}):
                self.problems.append(f"{name} on {tag}")
        if tag == "a":
            self.links.append(dict(attrs))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.problems.append(f"<{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"stray </{tag}>")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.problems.append(f"comment {data!r}")

    def handle_decl(self, decl: str) -> None:
        self.problems.append(f"declaration {decl!r}")

    def handle_pi(self, data: str) -> None:
        self.problems.append(f"instruction {data!r}")

    def unknown_decl(self, data: str) -> None:
        self.problems.append(f"section {data!r}")

"""LaTeX formulas of untrusted texts as MathML, within bounds.

The converter is somebody else's and was not written for hostile input: it expands macros, recurses with the source,
lets commands set links, classes and styles, and writes text unescaped. So it gets short sources and no macros, and only
its tree is used, of which known elements, known attributes and escaped text are written here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from html import escape, unescape
from typing import Final, NoReturn
from xml.etree.ElementTree import Element

from latex2mathml.converter import Converter

__all__ = ("ATTRIBUTES", "CLASSES", "MAX_SOURCE", "to_mathml")

MAX_SOURCE: Final = 2_000
"""Characters of a formula above which it is not converted."""
_MAX_ELEMENTS: Final = 4_000
_MAX_DEPTH: Final = 60

_ENTITY: Final = re.compile(r"&#x[0-9A-Fa-f]{1,6};")
_COMMENT: Final = re.compile(r"(?<!\\)((?:\\\\)*)%")
_ENVIRONMENT: Final = re.compile(r"\\(begin|end)\s*\{([A-Za-z]{1,20})\*?\}")
_ENVIRONMENTS: Final[Mapping[str, str]] = {
    "align": "align*",
    "aligned": "align*",
    "alignedat": "align*",
    "eqnarray": "align*",
    "flalign": "align*",
    "split": "align*",
    "gather": "displaylines",
    "gathered": "displaylines",
    "multline": "displaylines",
    "dcases": "cases",
    "displaymath": "",
    "equation": "",
    "math": "",
}

_LENGTH: Final = re.compile(r"(-?)(\d{0,2}(?:\.\d{1,4})?)(em|ex|pt|px|)")
_LONGEST: Final[Mapping[str, float]] = {"": 0.0, "em": 4.0, "ex": 8.0, "pt": 40.0, "px": 40.0}
_NAMED_LENGTHS: Final[Mapping[str, str]] = {
    "thinmathspace": "0.167em",
    "mediummathspace": "0.222em",
    "thickmathspace": "0.278em",
    "negativethinmathspace": "-0.167em",
    "negativemediummathspace": "-0.222em",
    "negativethickmathspace": "-0.278em",
}


def _length(value: str) -> str | None:
    """Return a length of at most a few letters' width, forwards or up to one letter backwards."""
    value = _NAMED_LENGTHS.get(value, value)
    match = _LENGTH.fullmatch(value)
    if match is None or match[2] in ("", "."):
        return None
    size, longest = float(match[2]), _LONGEST[match[3]]
    return value if size <= (longest / 4 if match[1] else longest) else None


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda value: value if value in values else None


_BOOLEAN: Final = _one_of("true", "false")
_Rules = Mapping[str, Callable[[str], str | None]]
_BOX: Final[_Rules] = {"width": _length, "height": _length, "depth": _length}
_ELEMENTS: Final[Mapping[str, _Rules]] = {
    "math": {"display": _one_of("block", "inline")},
    "mrow": {},
    "mi": {"mathvariant": _one_of("normal")},
    "mn": {},
    "mtext": {},
    "mo": {
        "accent": _BOOLEAN,
        "fence": _BOOLEAN,
        "form": _one_of("prefix", "infix", "postfix"),
        "largeop": _BOOLEAN,
        "lspace": _length,
        "maxsize": _length,
        "minsize": _length,
        "movablelimits": _BOOLEAN,
        "rspace": _length,
        "separator": _BOOLEAN,
        "stretchy": _BOOLEAN,
    },
    "mspace": _BOX,
    "mpadded": {**_BOX, "lspace": _length, "voffset": _length},
    "mphantom": {},
    "mstyle": {"displaystyle": _BOOLEAN, "scriptlevel": _one_of("0", "1", "2")},
    "mfrac": {"linethickness": _one_of("0")},
    "msqrt": {},
    "mroot": {},
    "msub": {},
    "msup": {},
    "msubsup": {},
    "munder": {},
    "mover": {"accent": _BOOLEAN},
    "munderover": {},
    "mtable": {"displaystyle": _BOOLEAN},
    "mtr": {},
    "mtd": {"columnalign": _one_of("left", "center", "right")},
}
ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    tag: frozenset({*rules, *(("dir",) if tag == "math" else ())}) for tag, rules in _ELEMENTS.items()
}
"""Names of the MathML elements that are ever written, with the attributes they may have besides `class`."""

_ENCLOSED: Final[Mapping[str, str]] = {
    "box": "smcs-math-box",
    "updiagonalstrike": "smcs-math-cancel",
    "downdiagonalstrike": "smcs-math-cancel",
    "updiagonalstrike downdiagonalstrike": "smcs-math-cancel",
    "horizontalstrike": "smcs-math-strike",
}
_TEXT_STYLES: Final[Mapping[str, str]] = {
    "bold": "smcs-math-bold",
    "italic": "smcs-math-italic",
    "monospace": "smcs-math-code",
}
CLASSES: Final[Mapping[str, frozenset[str]]] = {
    "mrow": frozenset(_ENCLOSED.values()),
    "mtext": frozenset(_TEXT_STYLES.values()),
}
"""Classes that an element may have."""


class _Refused(Exception):  # noqa: N818 - never leaves this file
    """A formula that is too large, or that tries to define something."""


class _NoMacros(dict[str, tuple[list[str], int]]):
    """Macros of a formula: none may be defined, because a few of them expand without end."""

    def __setitem__(self, name: str, value: tuple[list[str], int]) -> NoReturn:
        raise _Refused


def to_mathml(latex: str, *, display: bool) -> str | None:
    """Return a formula as a `<math>` element.

    Args:
        latex: Untrusted source between its delimiters.
        display: Whether it stands on a line of its own.

    Returns:
        HTML, or None where the source is too long, too deep, malformed, or defines macros.
    """
    if len(latex) > MAX_SOURCE:
        return None
    converter = Converter(display="block" if display else "inline")
    converter.macros = _NoMacros()
    try:
        tree = converter.convert_to_element(_plain_source(latex))
        return _Writer().math(tree)
    except Exception:  # noqa: BLE001 - the library raises nearly anything on malformed formulas; the source is shown
        return None


def _plain_source(latex: str) -> str:
    """Return the source with what follows a percent sign kept, and with environments that the converter knows."""

    def environment(match: re.Match[str]) -> str:
        known = _ENVIRONMENTS.get(match[2])
        if known is None:
            return match[0]
        return rf"\{match[1]}{{{known}}}" if known else " "

    return _ENVIRONMENT.sub(environment, _COMMENT.sub(r"\1\\%", latex))


class _Writer:
    """Writes a converted formula as HTML."""

    def __init__(self) -> None:
        self._elements = 0

    def math(self, tree: Element) -> str:
        """Return the HTML of a whole formula.

        Raises:
            _Refused: It has too many elements, too deeply nested ones, or nothing to show.
        """
        html = self._element(tree, 0)
        if not "".join(tree.itertext()).strip():
            raise _Refused
        return html

    def _element(self, element: Element, depth: int) -> str:
        self._elements += 1
        if depth > _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            raise _Refused
        tag, attributes = element.tag, dict(element.attrib)
        text = _ENTITY.sub(lambda match: unescape(match[0]), element.text or "")
        classes = ""
        if tag == "menclose":
            tag, classes = "mrow", _ENCLOSED.get(attributes.get("notation", ""), "")
        variant = attributes.get("mathvariant", "normal")
        if tag == "mtext":
            classes = _TEXT_STYLES.get(variant, "")
        elif variant != "normal":
            text = "".join(_styled(char, variant) for char in text)
        elif tag == "mi" and text.isascii() and text != element.text:
            # The converter writes a single letter of \mathrm as an entity, and would leave it to be slanted.
            attributes["mathvariant"] = "normal"
        if tag not in _ELEMENTS:
            raise _Refused
        written = [f'class="{classes}"'] if classes else []
        for name, rule in _ELEMENTS[tag].items():
            value = rule(attributes.get(name, ""))
            if value is not None:
                written.append(f'{name}="{value}"')
        if tag == "math":
            written.append('dir="ltr"')
        inner = escape(text) + "".join([self._element(child, depth + 1) for child in element])
        return f"<{' '.join([tag, *written])}>{inner}</{tag}>"


_VARIANTS: Final[Mapping[str, str]] = {
    "bold": "BOLD",
    "italic": "ITALIC",
    "bold-italic": "BOLD ITALIC",
    "double-struck": "DOUBLE-STRUCK",
    "script": "SCRIPT",
    "fraktur": "FRAKTUR",
    "sans-serif": "SANS-SERIF",
    "sans-serif-italic": "SANS-SERIF ITALIC",
    "monospace": "MONOSPACE",
}
_PLAIN_NAME: Final = re.compile(r"(?:LATIN |GREEK )?(CAPITAL |SMALL |DIGIT )(?:LETTER )?(\w+)")


def _styled(char: str, variant: str) -> str:
    """Return the letter or digit of a mathematical alphabet, as browsers have no such fonts; others unchanged."""
    name = _PLAIN_NAME.fullmatch(unicodedata.name(char, ""))
    style = _VARIANTS.get(variant)
    if name is None or style is None:
        return char
    rest = f"{name[1]}{name[2]}"
    for candidate in (f"MATHEMATICAL {style} {rest}", f"{style} {rest}", f"BLACK-LETTER {rest}"):
        try:
            found = unicodedata.lookup(candidate)
        except KeyError:
            continue
        if not candidate.startswith("BLACK") or variant == "fraktur":
            return found
    return char

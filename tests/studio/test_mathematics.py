from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_html import Audit
from helpers_time import cpu_time
from smcs.studio.mathematics import MAX_SOURCE, to_mathml


def row(latex: str, *, display: bool = False) -> str:
    """Return what a formula has in its outermost row."""
    html = to_mathml(latex, display=display)
    assert html is not None
    assert Audit(html).problems == []
    kind = "block" if display else "inline"
    return html.removeprefix(f'<math display="{kind}" dir="ltr"><mrow>').removesuffix("</mrow></math>")


@pytest.mark.parametrize(
    ("latex", "html"),
    [
        ("x_1", "<msub><mi>x</mi><mn>1</mn></msub>"),
        (r"\frac{a}{b}", "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>"),
        (r"\sqrt[3]{x}", "<mroot><mrow><mi>x</mi></mrow><mn>3</mn></mroot>"),
        (r"\boxed{42}", '<mrow class="smcs-math-box"><mrow><mn>42</mn></mrow></mrow>'),
        (r"\cancel{x}", '<mrow class="smcs-math-cancel"><mrow><mi>x</mi></mrow></mrow>'),
        (r"\mathbb{R}", "<mi>\u211d</mi>"),
        (r"\mathcal{BF}", "<mrow><mi>\u212c</mi><mi>\u2131</mi></mrow>"),
        (r"\mathfrak{gH}", "<mrow><mi>\U0001d524</mi><mi>\u210c</mi></mrow>"),
        (r"\mathbf{v1}", "<mrow><mi>\U0001d42f</mi><mn>\U0001d7cf</mn></mrow>"),
        (r"\mathrm{d}", '<mi mathvariant="normal">d</mi>'),
        (r"\text{if }x", "<mtext>if\u00a0</mtext><mi>x</mi>"),
        (r"\textbf{a}", '<mtext class="smcs-math-bold">a</mtext>'),
        (r"50% of", '<mn>50</mn><mi mathvariant="normal">%</mi><mi>o</mi><mi>f</mi>'),
        (r"a\!b", '<mi>a</mi><mspace width="-0.167em"></mspace><mi>b</mi>'),
        ("a<b", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
    ],
)
def test_common_formulas(latex: str, html: str) -> None:
    assert row(latex) == html


@pytest.mark.parametrize("name", ["aligned", "align", "align*", "split", "eqnarray"])
def test_aligned_equations(name: str) -> None:
    html = row(rf"\begin{{{name}}} a &= b \\ c &= d \end{{{name}}}", display=True)
    assert html.count("<mtr>") == 2
    assert html.count('<mtd columnalign="right">') == 2
    assert html.count("<mo>=</mo>") == 2
    assert "(1)" not in html


@pytest.mark.parametrize(
    "latex",
    [
        r"\begin{equation} x \end{equation}",
        r"\begin{gathered} a \\ b \end{gathered}",
        r"\begin{cases} a & b \\ c & d \end{cases}",
        r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}",
        r"\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}",
        r"\left( \sum_{i=1}^n x_i \right)^2 \leq n \sum x_i^2",
        r"\operatorname{argmax}_x \overline{f(x)} \xrightarrow{n \to \infty} \hat{y}",
        r"\binom{n}{k} \equiv 0 \pmod p \implies \lnot \forall x \in \emptyset",
        r"\ce{H2O} \unknowncommand{x}",
    ],
)
def test_is_converted(latex: str) -> None:
    row(latex, display=True)


@pytest.mark.parametrize(
    "latex",
    [
        "",
        " ",
        r"\left(",
        r"\frac",
        "x_1_2",
        r"\begin{matrix}",
        r"\def\a{\a\a}\a",
        r"\newcommand{\a}{\b\b}\newcommand{\b}{\a\a}\a",
        r"\DeclareMathOperator{\a}{x}\a",
        r"\newenvironment{a}{x}{y}\begin{a}\end{a}",
        "x" * (MAX_SOURCE + 1),
        "{" * 900 + "x" + "}" * 900,
        r"\sqrt" * 390 + "x",
    ],
)
def test_is_refused(latex: str) -> None:
    assert to_mathml(latex, display=False) is None


@pytest.mark.parametrize(
    "latex",
    [r"\hspace{99em}", r"\hspace{-2em}", r"\kern-99em x", r"\rule{99em}{99em}", r"\raise99em{x}", r"\Huge x"],
)
def test_nothing_leaves_its_place(latex: str) -> None:
    html = row(latex + "y")
    assert "99" not in html
    assert "-2em" not in html
    assert "mathsize" not in html


@pytest.mark.parametrize(
    "unit",
    ["'", "\\tiny ", "\\color{a}", "\\left(", "&", "\\operatorname{* ", "{", "\\frac", "^", "x_", "\\hat", "\\\\"],
)
@pytest.mark.parametrize("before", ["x", "\\begin{matrix}", "\\operatorname{"])
def test_hostile_formulas_are_quick(unit: str, before: str) -> None:
    with cpu_time() as took:
        to_mathml((before + unit * MAX_SOURCE)[:MAX_SOURCE], display=True)
    assert took() < 0.5


_COMMANDS = [
    *(r"\frac", r"\sqrt", "{", "}", "^", "_", "&", r"\\", r"\left(", r"\right)", r"\text{", r"\href{", r"\unicode{"),
    *(r"\color{", r"\class{", r"\style{", r"\rule", r"\hspace{", r"\begin{matrix}", r"\end{matrix}", r"\begin{a}"),
    *(
        r"\def",
        r"\newcommand",
        r"\over",
        r"\choose",
        r"\mathbb",
        r"\mathbf",
        r"\mathrm{d}",
        r"\not",
        r"\limits",
        r"\sum",
    ),
    *("x", "1", "em", "<", ">", '"', "'", "&lt;", "&#x3c;", "%", "#", "~", "$", "javascript:", r"\bmod", r"\genfrac"),
    *(r"\mathchoice", r"\sideset", r"\skew2", r"\fcolorbox", r"\smash[b]", r"\verb"),
]


@given(st.lists(st.one_of(st.sampled_from(_COMMANDS), st.text(max_size=3)), max_size=14), st.booleans())
def test_any_formula_is_safe_or_refused(pieces: list[str], display: bool) -> None:
    html = to_mathml(" ".join(pieces).encode("utf-8", "replace").decode(), display=display)
    if html is not None:
        hidden = "a control character or lone surrogate"
        assert [problem for problem in Audit(html).problems if problem != hidden] == []

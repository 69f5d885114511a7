from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_html import Audit
from helpers_time import cpu_time
from smcs.studio import markdown, text
from smcs.studio.text import MAX_MARKDOWN, printable, to_html


def body(source: str) -> str:
    """Return the HTML of a text that is one paragraph, without the paragraph."""
    html = to_html(source).strip()
    assert html.startswith('<p dir="auto">')
    assert html.endswith("</p>")
    return html.removeprefix('<p dir="auto">').removesuffix("</p>")


def is_plain(html: str) -> bool:
    return html.startswith('<pre class="smcs-text-plain" dir="auto">')


class TestMarkdown:
    @pytest.mark.parametrize(
        ("source", "html"),
        [
            ("a *b* **c** ~~d~~ `e`", 'a <em>b</em> <strong>c</strong> <s>d</s> <code dir="ltr">e</code>'),
            ("a\nb", "a<br>\nb"),
            ("a<br>b <BR/> c", "a<br>\nb <br>\n c"),
            ("1 < 2 & 3 > 2", "1 &lt; 2 &amp; 3 &gt; 2"),
            ("<b>bold</b>", "&lt;b&gt;bold&lt;/b&gt;"),
            ("![a *cat*](https://x.example/c.png)", '<span class="smcs-text-image">Image: a *cat*</span>'),
            ("![](https://x.example/c.png)", '<span class="smcs-text-image">Image</span>'),
            ("snake_case_name", "snake_case_name"),
        ],
    )
    def test_inline(self, source: str, html: str) -> None:
        assert body(source) == html

    def test_headings_stand_below_those_of_the_page(self) -> None:
        html = to_html("# a\n\n## b\n\n### c\n\n#### d\n\n###### e\n\nf\n=\n\ng\n-\n")
        assert Audit(html).tags == ["h3", "h4", "h5", "h6", "h6", "h3", "h4"]

    def test_table(self) -> None:
        html = to_html("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |\n")
        assert html.startswith('<div class="smcs-text-scroll" role="group" aria-label="Table" tabindex="0" dir="auto">')
        assert "<td>1</td>" in html
        assert '<td class="smcs-text-center">2</td>' in html
        assert '<td class="smcs-text-right">3</td>' in html

    def test_code_is_coloured_where_the_language_is_known(self) -> None:
        html = to_html("```python\ndef f(): # <b>\n```\n\n```nonsense\n<i>\n```\n\n    indented\n")
        assert '<span class="smcs-code-keyword">def</span>' in html
        assert '<span class="smcs-code-comment"># &lt;b&gt;</span>' in html
        assert '<pre dir="ltr" tabindex="0"><code>&lt;i&gt;\n</code></pre>' in html
        assert "<code>indented\n</code>" in html

    def test_blocks_take_their_direction_from_their_text_but_code_and_formulas_do_not(self) -> None:
        html = to_html("مرحبا `x` $y$\n\n- واحد\n  - اثنان\n\n> قول\n")
        assert '<p dir="auto">مرحبا <code dir="ltr">x</code> <math display="inline" dir="ltr">' in html
        assert '<ul dir="auto">\n<li>واحد\n<ul>' in html
        assert '<blockquote dir="auto">\n<p>قول</p>' in html

    def test_ordered_list_keeps_its_number(self) -> None:
        assert '<ol start="3" dir="auto">' in to_html("3. a\n4. b")


class TestLinks:
    def test_opens_elsewhere_and_tells_nobody(self) -> None:
        (link,) = Audit(to_html('[here](https://a.example/x?y=1&z=2 "a title")')).links
        assert link == {
            "href": "https://a.example/x?y=1&z=2",
            "target": "_blank",
            "rel": "noopener noreferrer nofollow",
        }

    @pytest.mark.parametrize(
        ("source", "host"),
        [
            ("[click here](https://evil.example/)", None),
            ("[www.a.example](https://a.example/x)", None),
            ("<https://a.example/x>", None),
            ("[https://google.com/login](https://evil.example/)", "evil.example"),
            ("[google.com](https://google.com.evil.example/)", "google.com.evil.example"),
            ("[\uff47oogle。com](https://evil.example/)", "evil.example"),
            ("[go**og**le.com](https://evil.example/)", "evil.example"),
            ("[`google.com`](https://evil.example/)", "evil.example"),
            ("[here](https://google.com@evil.example/)", "evil.example"),
            ("[here](https://g\u043e\u043egle.com/)", "xn--ggle-55da.com"),
            ("[a@b.example](mailto:c@evil.example)", "c@evil.example"),
            ("[a@b.example](mailto:a@b.example?subject=x)", None),
        ],
    )
    def test_names_the_host_where_its_words_name_another(self, source: str, host: str | None) -> None:
        html = to_html(source)
        assert len(Audit(html).links) == 1
        if host is None:
            assert "smcs-text-host" not in html
        else:
            assert f'</a> <span class="smcs-text-host" dir="ltr">({host})</span>' in html


class TestFormulas:
    @pytest.mark.parametrize("source", ["$x^2$", r"\(x^2\)", "的$x^2$是", "$x^2$-axis", "($x^2$)", "**$x^2$**"])
    def test_inline(self, source: str) -> None:
        assert '<math display="inline" dir="ltr"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>' in body(source)

    @pytest.mark.parametrize(
        "source",
        ["$$\na\n- b\n$$", "\\[\na\n- b\n\\]", "$$a - b$$", "text\n$$\na\n- b\n$$\ntext", "> $$\n> a\n> - b\n> $$"],
    )
    def test_block(self, source: str) -> None:
        html = to_html(source)
        assert '<div class="smcs-math" tabindex="0"><math display="block" dir="ltr">' in html
        assert "<mi>a</mi><mo>−</mo><mi>b</mi>" in html  # noqa: RUF001 - the minus sign of mathematics
        assert "<li>" not in html

    def test_within_a_line_and_ordinal(self) -> None:
        assert body("so $$a$$ then").count('<math display="block"') == 1
        assert body("the $n$th") == 'the <math display="inline" dir="ltr"><mrow><mi>n</mi></mrow></math>th'

    @pytest.mark.parametrize(
        "source",
        [
            "from $5 and $6 to $7",
            "$20,000 and $30,000",
            "costs $5-$10",
            "it is $5 million (or 6$)",
            "$5 or 6$",
            "5$ and 6$",
            "PATH=$HOME:$PATH",
            r"\$x$ and $x\$",
            "$ x $",
            "$$",
            "$",
            "a$b$c",
            r"\\(x\\)",
        ],
    )
    def test_money_and_variables_are_none(self, source: str) -> None:
        assert "<math" not in to_html(source)

    def test_source_is_shown_where_it_cannot_be_converted(self) -> None:
        assert body(r"$\left(a$") == r'<code class="smcs-math-source" dir="ltr">$\left(a$</code>'
        assert r"\(\def\a{b}\a\)</code>" in body(r"\(\def\a{b}\a\)")

    def test_a_text_has_a_budget_of_formulas(self) -> None:
        html = to_html("$x$ " * 3_000)
        assert 500 < html.count("<math") < 2_000
        assert html.count("smcs-math-source") == 3_000 - html.count("<math")


class TestPlain:
    @given(st.text(st.sampled_from("abc XYZ 012 äßç 你好 مرحبا , ; ( ) ? %".replace(" ", "") + "  "), max_size=60))
    def test_words_are_kept(self, source: str) -> None:
        # Three digits and a bracket at the beginning of a line begin a list; what is in brackets is not Markdown's.
        source = "x " + source
        assert " ".join(Audit(to_html(source)).text.split()) == " ".join(source.split())

    def test_too_long(self) -> None:
        source = "**a** <b>\n" * (MAX_MARKDOWN // 10 + 1)
        html = to_html(source)
        assert is_plain(html)
        assert Audit(html).text == source

    @pytest.mark.parametrize(
        "source",
        [
            pytest.param(">" * 40 + " a", id="quotes"),
            pytest.param("- " * 40 + "a", id="lists"),
            pytest.param("*a " * 40 + "a* " * 40, id="emphases"),
            pytest.param("a\n" * 10_001, id="lines"),
            pytest.param("[" * 40_001, id="markup"),
            pytest.param("|" + "a|" * 100 + "\n|" + "-|" * 100 + "\n" + "a\n" * 100, id="table"),
        ],
    )
    def test_unreasonable(self, source: str) -> None:
        html = to_html(source)
        assert is_plain(html)
        assert Audit(html).text == source

    def test_empty(self) -> None:
        assert to_html("") == ""
        assert to_html(" \n\t\n") == ""


class TestPrintable:
    @pytest.mark.parametrize(
        ("source", "shown"),
        [
            ("a\u202eb\u202c", "a⟦U+202E⟧b⟦U+202C⟧"),
            ("\u2067a\u2069", "⟦U+2067⟧a⟦U+2069⟧"),
            ("\x1b[31m", "⟦U+001B⟧[31m"),
            ("a\U000e0041", "a⟦U+E0041⟧"),
            ("a\x00b\ud800", "a\ufffdb\ufffd"),
            ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
            ("\u0645\u06cc\u200c\u062e\u0648 👩\u200d🔬\t你好", "\u0645\u06cc\u200c\u062e\u0648 👩\u200d🔬\t你好"),
        ],
    )
    def test_shows_what_would_deceive(self, source: str, shown: str) -> None:
        assert printable(source) == shown
        assert Audit(to_html(source)).text.strip().replace("\t", "") == shown.replace("\t", "")

    @given(st.text(st.characters(exclude_categories=())))
    def test_once_is_enough_and_it_can_be_encoded(self, source: str) -> None:
        shown = printable(source)
        assert printable(shown) == shown
        shown.encode()


class TestTime:
    @pytest.mark.parametrize("unit", ["![", "-|-\n", "[*]("])
    def test_hostile_texts_take_no_longer_than_long_ones(self, unit: str) -> None:
        markup = sum(map(unit.count, markdown._MARKUP)) or 1
        lines = unit.count("\n") or 1
        most = unit * min(markdown._MAX_MARKUP // markup, 100_000 // len(unit), markdown._MAX_LINES // lines)
        for source in (most, (unit * 100_000)[:100_000]):
            with cpu_time() as took:
                text._to_html(source)
            assert took() < 3

    def test_prose_is_quick(self) -> None:
        source = "A **sentence** of `code`, a [link](https://a.example), and $x^2$.\n\n- an item\n\n" * 500
        with cpu_time() as took:
            assert not is_plain(text._to_html(source))
        assert took() < 2


def test_threads_do_not_disturb_each_other() -> None:
    sources = [f"# {n}\n\n**a** $x_{n}$ [l](https://a.example/{n})\n\n```python\nx = {n}\n```\n" for n in range(40)]
    expected = [text._to_html(source) for source in sources]
    found: list[list[str]] = []

    def work() -> None:
        found.append([text._to_html(source) for source in sources])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_every_class_has_a_style() -> None:
    css = (Path(text.__file__).parent / "static" / "text.css").read_text()
    names = set().union(*text._CLASSES.values())
    assert names >= set().union(*markdown.CLASSES.values())
    assert [name for name in sorted(names) if f".{name}" not in css] == []

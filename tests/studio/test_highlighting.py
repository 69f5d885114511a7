from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_html import Audit
from helpers_time import cpu_time
from smcs.studio.highlighting import _LEXERS, MAX_CODE, highlight


def test_marks_words() -> None:
    assert highlight('if x: # a\n    return "<b>" + 1\n', "Python") == (
        '<span class="smcs-code-keyword">if</span> x: <span class="smcs-code-comment"># a</span>\n'
        '    <span class="smcs-code-keyword">return</span> '
        '<span class="smcs-code-string">&quot;&lt;b&gt;&quot;</span> + <span class="smcs-code-number">1</span>\n'
    )
    assert '<span class="smcs-code-keyword">int</span> main' in str(highlight("int main() {}", "c++"))
    assert '<span class="smcs-code-removed">-a</span>' in str(highlight("-a\n+b\n", "diff"))


@pytest.mark.parametrize("language", ["", "klingon", "text", "python;", "<script>", "x" * 1_000])
def test_unknown_languages_are_left_alone(language: str) -> None:
    assert highlight("if x", language) is None


@pytest.mark.parametrize(
    "code", ["x\n" * (MAX_CODE // 2 + 1), "x" * 501, '\\"' * 301], ids=["long", "long line", "many strings"]
)
def test_long_code_is_left_alone(code: str) -> None:
    assert highlight(code, "python") is None


@pytest.mark.parametrize("language", sorted(set(_LEXERS.values())))
@pytest.mark.parametrize("unit", ["\n", "  a\n"])
def test_hostile_code_is_quick(language: str, unit: str) -> None:
    code = (unit * MAX_CODE)[:MAX_CODE]
    with cpu_time() as took:
        highlight(code, language)
    assert took() < 1


@given(st.text(max_size=200), st.sampled_from(sorted(_LEXERS)))
def test_any_code_is_kept(code: str, language: str) -> None:
    html = highlight(code, language)
    if html is not None:
        audit = Audit(html.replace("\r", ""))
        hidden = "a control character or lone surrogate"
        assert [problem for problem in audit.problems if problem != hidden] == []
        assert audit.text == code.replace("\r", "")

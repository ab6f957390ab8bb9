import pytest

from orchestration.sources.html_text import html_to_text

CASES = {
    "<p>Hello &amp; <b>you</b></p>": "Hello & you",
    "<p>one</p>\n\n<p>two</p>": "one\n\ntwo",
    'see <a href="https://a.example">the\n docs</a>.': "see the docs.",
    "<pre><code>def f():\n    return 1 &lt; 2\n</code></pre>": "def f():\n    return 1 < 2",
    "<ul>\n<li>one</li>\n<li>two</li></ul>": "- one\n- two",
    "a<br>b": "a\nb",
    "<script>bad()</script>good<style>x{}</style>": "good",
    "<!-- only a comment -->": "",
    "plain text": "plain text",
    '<b>unclosed & "x" < y': 'unclosed & "x" < y',
    "\x01control": "control",
    "": "",
    "   ": "",
    "<p>量子计算 &eacute;</p>": "量子计算 é",
}


@pytest.mark.parametrize("source", CASES)
def test_markup_goes_and_text_stays(source):
    assert html_to_text(source) == CASES[source]


def test_absurd_nesting_costs_what_is_in_it_and_no_more():
    assert html_to_text("<p>before</p>" + "<div>" * 5000 + "core" + "</div>" * 5000) == "before"

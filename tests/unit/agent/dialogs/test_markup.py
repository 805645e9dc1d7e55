"""What of a package's HTML is shown, and that no tool takes it for a command."""

import time
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.machine.dialogs.markup import (
    LINES_MAX,
    TEXT_MAX,
    Span,
    read_html,
    to_pango,
    to_plain,
    to_qt,
)


@pytest.mark.parametrize(
    ("html", "plain"),
    [
        ("May I?", "May I?"),
        ("", ""),
        ("one\ntwo", "one\ntwo"),  # plain text keeps its lines
        ("one\r\ntwo\tthree", "one\ntwo three"),
        ("one\ntwo<br>three", "one two\nthree"),  # HTML does not
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<ul><li>a</li><li>b</li></ul>", "\N{BULLET} a\n\N{BULLET} b"),
        ("a &lt; b &amp; c &euro; &#8364;", "a < b & c \N{EURO SIGN} \N{EURO SIGN}"),
        ("a < b > c & d", "a < b > c & d"),
        ("<b>bold</b> <blink>x</blink>", "bold x"),
        ("<script>alert('x')</script>after", "after"),
        ("<style>b { color: red }</style>after", "after"),
        ("<title>no</title>after", "after"),
        ("see <a href='https://a.example/?b&c'>this</a>", "see this (https://a.example/?b&c)"),
        ("see <a href='javascript:x()'>this</a>", "see this"),
        ("<img src=x onerror=alert(1)>text", "text"),
        ("<!-- no --><?php no ?>text", "text"),
        ("a\x00b\x1b[31mc\x07d\ufffe\u200be", "ab[31mcd\u200be"),
        ("gpj\u202eexe.txt", "gpjexe.txt"),
        ("<br><br><br>a<br><br><br><br>b<br>", "a\n\nb"),
        ("Zürich 東京", "Zürich 東京"),
    ],
)
def test_as_plain_text(html: str, plain: str) -> None:
    assert to_plain(html) == plain


@pytest.mark.parametrize("text", ["a <![x[ b", "<![ y", "<![%x;[y]]>", f"&#{'9' * 5000};"])
def test_what_python_s_parser_gives_up_on_is_shown_as_the_text_that_it_is(text: str) -> None:
    assert to_plain(text) == text[:TEXT_MAX] + (" ..." if len(text) > TEXT_MAX else "")


def test_no_text_takes_long() -> None:
    began = time.process_time()
    to_plain("<!--" * 60_000)
    assert time.process_time() - began < 3


def test_styles_are_kept_and_closed_whatever_the_source_does() -> None:
    assert read_html("<b>a<i>b</b>c</i>d</u>") == [
        Span("a", "b"),
        Span("b", "bi"),
        Span("c", "i"),
        Span("d"),
    ]
    assert to_pango("<strong>a<em>b</em></strong>") == "<b>a</b><i><b>b</b></i>"
    assert to_pango("<B>a") == "<b>a</b>"


def test_what_looks_like_markup_is_text() -> None:
    assert to_pango("&lt;b&gt; &amp;amp; <span font='99'>x</span>") == "&lt;b&gt; &amp;amp; x"
    assert to_qt("&lt;img src=x&gt;\n2") == "<qt>&lt;img src=x&gt;<br/>2</qt>"


def test_a_text_without_end_gets_one() -> None:
    assert len(to_plain("x" * 100_000)) == TEXT_MAX + len(" ...")
    assert to_plain("x\n" * 1000).count("\n") == LINES_MAX - 1
    assert to_plain("x<br>" * 1000).endswith(" ...")


@given(st.text())
def test_any_text_makes_well_formed_markup(text: str) -> None:
    pango = ElementTree.fromstring(f"<markup>{to_pango(text)}</markup>")
    assert {each.tag for each in pango.iter()} <= {"markup", "b", "i", "u"}
    assert "".join(pango.itertext()) == to_plain(text)
    rich = ElementTree.fromstring(to_qt(text))
    assert {each.tag for each in rich.iter()} <= {"qt", "b", "i", "u", "br"}
    to_plain(text).encode()


@given(st.lists(st.sampled_from(["<b>", "</b>", "<i>", "</u>", "<br>", "<li>", "&lt;", "a<", "x"])))
def test_any_mixture_of_elements_does(parts: list[str]) -> None:
    ElementTree.fromstring(f"<markup>{to_pango(''.join(parts))}</markup>")

"""The harmless subset of HTML in a package's text, as each tool wants it. Pure.

Bold, italic, underlined, line breaks, paragraphs, lists, and the addresses of links. Whatever else
a text holds is dropped, or shown as the text that it is; nothing in it is ever obeyed.
"""

import html
import re
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from typing import NamedTuple

TEXT_MAX = 4000  # characters that are shown
LINES_MAX = 40
SOURCE_MAX = 8 * 1024  # characters that are read: some make Python's parser quadratic

_STYLES = {"b": "b", "strong": "b", "i": "i", "em": "i", "u": "u", "ins": "u"}
_BREAKS = {"br", "p", "div", "li", "ul", "ol", "tr", "table", "hr", *(f"h{n}" for n in range(1, 7))}
_HIDDEN = {"script", "style", "head", "title", "template", "object", "iframe"}
# They turn the direction of what follows, so that a text can look like another one.
_BIDI = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Span(NamedTuple):
    """Text in one style.

    Attributes:
        text: without control characters but for line feeds.
        styles: letters out of 'biu', in order.
    """

    text: str
    styles: str = ""


def read_html(text: str) -> list[Span]:
    """Return what of `text` is shown. Plain text keeps its lines."""
    text = text[:SOURCE_MAX]
    reader = _Reader()
    try:
        reader.feed(text)
        reader.close()
    except (AssertionError, ValueError):  # a declaration or a character that there is not
        return _bounded([Span(_clean(text))])
    spans = reader.spans
    if any(each is _BREAK for each in spans):  # it is HTML, where lines of the source mean nothing
        spans = [s if s is _BREAK else Span(re.sub(r"\s+", " ", s.text), s.styles) for s in spans]
    return _bounded(spans)


def to_plain(text: str) -> str:
    """Return `text` for a terminal."""
    return "".join(span.text for span in read_html(text))


def to_pango(text: str) -> str:
    """Return `text` as Pango markup, for GTK's tools."""
    return "".join(_wrapped(span, html.escape(span.text, quote=False)) for span in read_html(text))


def to_qt(text: str) -> str:
    """Return `text` as Qt's rich text, for KDE's tools."""
    spans = read_html(text)
    shown = (_wrapped(s, html.escape(s.text, quote=False).replace("\n", "<br/>")) for s in spans)
    return f"<qt>{''.join(shown)}</qt>"


_BREAK = Span("\n")


class _Reader(HTMLParser):
    """Collects what is shown, with the styles that hold at that place."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.spans: list[Span] = []
        self._open: Counter[str] = Counter()
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _STYLES:
            self._open[_STYLES[tag]] += 1
        elif tag in _HIDDEN:
            self._open[tag] += 1
        elif tag in _BREAKS:
            self.spans.append(_BREAK)
            if tag == "li":
                self.handle_data("\N{BULLET} ")
        elif tag == "a":
            self._link = dict(attrs).get("href") or ""

    def handle_endtag(self, tag: str) -> None:
        name = _STYLES.get(tag, tag)
        if self._open[name]:
            self._open[name] -= 1
        elif tag in _BREAKS and tag not in ("br", "hr", "li"):
            self.spans.append(_BREAK)
        elif tag == "a" and self._link.startswith(("http://", "https://")):
            self.handle_data(f" ({self._link})")
            self._link = ""

    def handle_data(self, data: str) -> None:
        if not any(self._open[tag] for tag in _HIDDEN):
            styles = "".join(each for each in "biu" if self._open[each])
            self.spans.append(Span(_clean(data), styles))


def _clean(text: str) -> str:
    """Return `text` without what is no character of a text."""
    text = text.replace("\r\n", "\n").replace("\t", " ")
    return "".join(each for each in text if each == "\n" or _is_text(each))


def _is_text(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cs", "Cn", "Co") and (
        character not in _BIDI
    )


def _bounded(spans: list[Span]) -> list[Span]:
    """Return `spans`, no longer than a window may be."""
    kept: list[Span] = []
    room, lines = TEXT_MAX, LINES_MAX
    for span in _tidy(spans):
        text = "\n".join(span.text[:room].split("\n")[:lines])
        kept.append(Span(text, span.styles))
        if text != span.text:
            return [*kept, Span(" ...")]
        room -= len(text)
        lines -= text.count("\n")
    return kept


def _tidy(spans: list[Span]) -> list[Span]:
    """Return `spans` without space at both ends and with one empty line in a row at most."""
    kept: list[Span] = []
    for span in spans:
        text = span.text if kept else span.text.lstrip()
        doubled = text == "\n" and [each.text for each in kept[-2:]] == ["\n", "\n"]
        if text and not doubled:
            kept.append(Span(text, span.styles))
    while kept and not kept[-1].text.strip():
        kept.pop()
    return kept


def _wrapped(span: Span, shown: str) -> str:
    for style in span.styles:
        shown = f"<{style}>{shown}</{style}>"
    return shown

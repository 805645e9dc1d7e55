"""The text of an expression as words, quoted texts and signs, each with its place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deploy_server.domain.search.errors import SearchError

LENGTH_MAX = 20_000  # characters of an expression

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<sign>!=|!~|<=|>=|[=~<>(),])
      | (?P<word>[^\s"(),=!~<>]+)""",
    re.VERBOSE | re.DOTALL,
)
# Only these mean something after a backslash, so that "C:\temp" is what it looks like.
_ESCAPE = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression.

    Attributes:
        kind: `word`, `quoted`, `sign` or `end`.
        text: as it means: without quotes, escapes resolved.
        position: of its first character, from 0.
    """

    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        """Return it as messages name it."""
        return "the end" if self.kind == "end" else repr(self.text[:40])


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text`; the last one is its end.

    Raises:
        SearchError: a character that begins nothing, a quote without its end, too long.
    """
    if len(text) > LENGTH_MAX:
        raise SearchError(
            LENGTH_MAX, f"the expression is longer than {LENGTH_MAX} characters", "Shorten it"
        )
    if "\0" in text:
        raise SearchError(text.index("\0"), "a NUL character", "Leave it out")
    return [*_tokens(text), Token("end", "", len(text))]


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _no_token(text, position)
        kind = found.lastgroup or ""
        if kind == "quoted":
            yield Token(kind, _ESCAPE.sub(r"\1", found.group()[1:-1]), position)
        elif kind != "space":
            yield Token(kind, found.group(), position)
        position = found.end()


def _no_token(text: str, position: int) -> SearchError:
    if text[position] == '"':
        return SearchError(position, "this quote has no end", 'Close it with another "')
    return SearchError(position, f"{text[position]!r} stands alone", "Write != or !~")

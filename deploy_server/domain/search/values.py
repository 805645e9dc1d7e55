"""The values of comparisons: text with wildcards, numbers, durations, moments."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search.errors import SearchError
from deploy_server.domain.search.fields import FieldKind
from deploy_server.domain.search.tokens import Token
from deploy_server.domain.search.tree import Age, Pattern, Span, Value

TEXT_MAX = 500  # characters of a text; no field that is searched holds more

_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?\Z", re.ASCII)
_AGE = re.compile(r"([0-9]{1,9})([smhdw])\Z", re.ASCII | re.IGNORECASE)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?Z?)?\Z", re.ASCII | re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_OLDEST = timedelta(days=36_500)
_EARLIEST, _LATEST = 1970, 2999  # years


def read_value(token: Token, kind: FieldKind, operator: str) -> Value:
    """Return what `token` means beside `operator` for a field of this kind.

    Raises:
        SearchError: it is no value of that kind.
    """
    return _READERS.get(kind, _pattern)(token, operator)


def read_since(text: str, now: datetime) -> datetime:
    """Return the moment that `text` names as the language does: 2026-11-21, or 7d for a week ago.

    Raises:
        SpecError: field `since`.
    """
    found = _read_time(text, "since")
    return now - found.duration if isinstance(found, Age) else found.start


def read_until(text: str, now: datetime) -> datetime:
    """Return the moment just after what `text` names: 2026-11-21 is all of that day.

    Raises:
        SpecError: field `until`.
    """
    found = _read_time(text, "until")
    return now - found.duration if isinstance(found, Age) else found.end


def _read_time(text: str, field: str) -> Age | Span:
    try:
        return _time(Token("word", text.strip(), 0), ">")
    except SearchError as error:
        raise SpecError(
            field, f"{text[:40]!r} is no time", f"Write {FieldKind.TIME.value}"
        ) from error


def _pattern(token: Token, operator: str) -> Pattern:
    if len(token.text) > TEXT_MAX:
        raise SearchError(
            token.position, f"this text is longer than {TEXT_MAX} characters", "Shorten it"
        )
    pieces = token.text.split("*") if operator == "=" else [token.text]
    return Pattern(tuple(pieces), quoted=token.kind == "quoted")


def _number(token: Token, operator: str) -> float:
    if not _NUMBER.match(token.text):
        raise _wrong(token, FieldKind.NUMBER)
    return float(token.text)


def _time(token: Token, operator: str) -> Age | Span:
    age = _AGE.match(token.text)
    if age:
        if operator == "=":
            raise SearchError(
                token.position,
                f"{token.text!r} is a duration, and no time is equal to it",
                "Write > for longer ago or < for more recent",
            )
        seconds = int(age.group(1)) * _SECONDS[age.group(2).lower()]
        return Age(min(timedelta(seconds=seconds), _OLDEST))
    return _span(token)


def _span(token: Token) -> Span:
    found = _MOMENT.match(token.text)
    if not found:
        raise _wrong(token, FieldKind.TIME)
    day, minute, second = found.groups()
    try:
        start = datetime.fromisoformat(f"{day}T{minute or '00:00'}{second or ''}+00:00")
    except ValueError as error:
        raise SearchError(token.position, f"{token.text!r} is no date: {error}") from None
    if not _EARLIEST <= start.year <= _LATEST:
        raise SearchError(token.position, f"the year {start.year} is out of range")
    length = timedelta(seconds=1) if second else timedelta(minutes=1)
    start = start.astimezone(UTC)
    return Span(start, start + (length if minute else timedelta(days=1)))


def _wrong(token: Token, kind: FieldKind) -> SearchError:
    return SearchError(token.position, f"{token} is not {kind.value}", f"Write {kind.value}")


_READERS: dict[FieldKind, Callable[[Token, str], Value]] = {
    FieldKind.NUMBER: _number,
    FieldKind.TIME: _time,
}

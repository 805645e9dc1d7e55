"""What downloads may take of the network, by the hours of the day. Pure: time is an argument.

Shape: '2M', or '08:00-18:00 200K, else 2M'. Bytes a second; K, M and G are powers of 1000, Ki, Mi
and Gi of 1024. A time that no span has and no `else` speaks of is not limited.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

_RATE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) *(|[kKMG]|[KMG]i)B?(?:/s)?\Z", re.ASCII)
_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_SHOWN = ("G", "M", "K", "Gi", "Mi", "Ki", "")
_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2}) *- *([0-9]{1,2}):([0-9]{2})\s+(\S.*)\Z", re.ASCII)
_ELSE = re.compile(r"else\s+(\S.*)\Z")
RATE_MAX = 10**12
_DAY_MIN = 24 * 60
FORMS = "write it as 500000, '500k', '1.5MiB/s' or '08:00-18:00 200K, else 2M'"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A part of the day.

    Attributes:
        begins: minute of the day.
        ends: the first minute that does not belong to it, at most 1440.
        rate: bytes a second.
    """

    begins: int
    ends: int
    rate: int

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{_time(self.begins)}-{_time(self.ends)} {_shown(self.rate)}"


@dataclass(frozen=True, slots=True)
class Rate:
    """How many bytes a second, and when.

    Attributes:
        otherwise: outside of every span; None for as fast as it goes.
        spans: parts of the day, in order; they do not overlap.
    """

    otherwise: int | None
    spans: tuple[Span, ...] = ()

    def at(self, local: datetime) -> int | None:
        """Return what counts at a local time, None for as fast as it goes."""
        minute = 60 * local.hour + local.minute
        for span in self.spans:
            if span.begins <= minute < span.ends:
                return span.rate
        return self.otherwise

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read what people write.

        Raises:
            ValueError: it is nothing of the kind; the text says what is wrong with which part.
        """
        otherwise: int | None = None
        spans: list[Span] = []
        parts = [part.strip() for part in text.split(",")]
        for number, part in enumerate(parts, 1):
            last = _ELSE.match(part)
            if (last is None and len(parts) > 1) or _SPAN.match(part):
                spans += _spans(part)
            elif number == len(parts):
                otherwise = _number(last.group(1) if last else part)
            else:
                raise ValueError(f"'{part}' has to be the last part")
        return cls(otherwise, _in_order(spans))

    def __str__(self) -> str:
        """Return it as people write it; a span over midnight in its two parts."""
        parts = [str(span) for span in self.spans]
        if self.otherwise is not None:
            parts.append(f"{'else ' if parts else ''}{_shown(self.otherwise)}")
        return ", ".join(parts)


def _spans(text: str) -> list[Span]:
    """Read one part of the day; over midnight it is two."""
    match = _SPAN.match(text)
    if match is None:
        raise ValueError(f"'{text}' is no part of a day: {FORMS}")
    begins, ends = (_minute(*match.group(i, i + 1)) for i in (1, 3))
    rate = _number(match.group(5))
    if begins in (_DAY_MIN, ends):
        raise ValueError(f"'{text}' has no minute in it")
    if begins < ends:
        return [Span(begins, ends, rate)]
    return [Span(begins, _DAY_MIN, rate), *([Span(0, ends, rate)] if ends else [])]


def _minute(hours: str, minutes: str) -> int:
    minute = 60 * int(hours) + int(minutes)
    if int(minutes) > 59 or minute > _DAY_MIN:
        raise ValueError(f"{hours}:{minutes} is no time of the day")
    return minute


def _number(text: str) -> int:
    match = _RATE.match(text)
    rate = int(float(match.group(1)) * _UNITS[match.group(2)]) if match else 0
    if rate < 1:
        raise ValueError(f"'{text}' is no rate: {FORMS}")
    if rate > RATE_MAX:
        raise ValueError(
            f"'{text}' is more than a network carries; write 1000G at most, or leave it out: "
            "without a rate downloads go as fast as they can"
        )
    return rate


def _in_order(spans: list[Span]) -> tuple[Span, ...]:
    spans = sorted(spans)
    for one, other in pairwise(spans):
        if one.ends > other.begins:
            raise ValueError(f"'{one}' and '{other}' overlap")
    return tuple(spans)


def _time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _shown(rate: int) -> str:
    unit = next(each for each in _SHOWN if rate % _UNITS[each] == 0)
    return f"{rate // _UNITS[unit]}{unit}"

"""Curves drawn on the server: how results came in over time, for a page and for its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deploy_agent.wire.result import ResultClass
from deploy_server.services.status import Slice

WIDTH, HEIGHT = 720, 220
#: More rows than these, and the table says days instead of hours.
ROWS_MAX = 72
#: Points of a line; more would lie on the same pixels.
_POINTS_MAX = 360

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Curve:
    """Two lines that only rise: computers that succeeded, and that failed.

    Attributes:
        success: points of the line, as SVG has them.
        error: points of the line.
        area: the ground under `success`.
        begin: the first moment.
        middle: halfway.
        end: the last moment.
        share: percent of the computers that succeeded until then.
        failed: percent that failed.
    """

    success: str
    error: str
    area: str
    begin: datetime
    middle: datetime
    end: datetime
    share: float
    failed: float


@dataclass(frozen=True, slots=True)
class TimeRow:
    """What came in within an hour, or a day.

    Attributes:
        when: as lists are asked for it: 2026-11-21 or 2026-11-21T10.
        begin: its beginning.
        success: computers that succeeded then and still count so.
        error: that failed.
        share: percent of all computers that had succeeded by its end.
    """

    when: str
    begin: datetime
    success: int
    error: int
    share: float


def curve(hours: Sequence[Slice], total: int, now: datetime) -> Curve | None:
    """Draw the results by hour; None where there are none.

    Args:
        hours: in order.
        total: computers that have the package.
        now: UTC; the curve goes on until then, a week after the last result at most.
    """
    if not hours:
        return None
    begin, last = _moment(hours[0].key), _moment(hours[-1].key) + _HOUR
    end = max(last, min(now, last + timedelta(days=7)))
    steps = [(_moment(each.key) + _HOUR, each.by_class) for each in hours]
    lines = {}
    reached = {}
    for which in (ResultClass.SUCCESS, ResultClass.ERROR):
        number, points = 0, [(0.0, 0)]
        for moment, by_class in steps:
            number += by_class[which]
            points.append(((moment - begin) / (end - begin), number))
        points.append((1.0, number))
        lines[which] = _line(_thinned(points), total)
        reached[which] = number
    success = lines[ResultClass.SUCCESS]
    return Curve(
        success=success,
        error=lines[ResultClass.ERROR],
        area=f"0,{HEIGHT} {success} {WIDTH},{HEIGHT}",
        begin=begin,
        middle=begin + (end - begin) / 2,
        end=end,
        share=_percent(reached[ResultClass.SUCCESS], total),
        failed=_percent(reached[ResultClass.ERROR], total),
    )


def rows(hours: Sequence[Slice], total: int) -> list[TimeRow]:
    """Return the results by hour, or by day where that would be too many, the last first."""
    width = len("2026-11-21T10") if len(hours) <= ROWS_MAX else len("2026-11-21")
    sums: dict[str, tuple[int, int]] = {}
    for each in hours:
        when = each.key[:width]
        success, error = sums.get(when, (0, 0))
        sums[when] = (
            success + each.by_class[ResultClass.SUCCESS],
            error + each.by_class[ResultClass.ERROR],
        )
    found, number = [], 0
    for when, (success, error) in sums.items():
        number += success
        begin = datetime.fromisoformat(when).replace(tzinfo=UTC)
        found.append(TimeRow(when, begin, success, error, _percent(number, total)))
    return found[::-1]


def _moment(key: str) -> datetime:
    return datetime.fromisoformat(key.removesuffix("Z")).replace(tzinfo=UTC)


def _thinned(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    step = -(-len(points) // _POINTS_MAX)
    return points if step == 1 else [*points[:-1:step], points[-1]]


def _line(points: list[tuple[float, int]], total: int) -> str:
    return " ".join(
        f"{WIDTH * x:.1f},{HEIGHT * (1 - number / max(1, total)):.1f}" for x, number in points
    )


def _percent(number: int, total: int) -> float:
    return round(100 * number / total, 1) if total else 0.0

"""Curves: they only rise, end at the numbers of the table, and have no more points than pixels."""

from datetime import UTC, datetime, timedelta

from deploy_agent.wire.result import ResultClass
from deploy_server.services.status import Slice
from deploy_server.web.charts import HEIGHT, WIDTH, curve, rows

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def hours(count: int, *, every: int = 1) -> list[Slice]:
    found = []
    for number in range(count):
        moment = BEGIN + timedelta(hours=number * every)
        by_class = dict.fromkeys(ResultClass, 0)
        by_class[ResultClass.SUCCESS], by_class[ResultClass.ERROR] = 2, number % 2
        found.append(Slice(f"{moment:%Y-%m-%dT%H}:00:00Z", by_class, 2 + number % 2))
    return found


def points(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (each.split(",") for each in line.split())]


def test_nothing_has_no_curve() -> None:
    assert curve([], 0, BEGIN) is None
    assert rows([], 0) == []


def test_it_rises_to_the_share_that_succeeded() -> None:
    drawn = curve(hours(4), 16, BEGIN + timedelta(hours=4))
    assert drawn is not None
    assert (drawn.share, drawn.failed) == (50.0, 12.5)
    line = [(0, 220), (180, 192.5), (360, 165), (540, 137.5), (720, 110), (720, 110)]
    assert points(drawn.success) == [(float(x), float(y)) for x, y in line]
    assert (drawn.begin, drawn.end) == (BEGIN, BEGIN + timedelta(hours=4))
    assert drawn.area.endswith(f"{WIDTH},{HEIGHT}")


def test_thousands_of_hours_are_not_thousands_of_points() -> None:
    drawn = curve(hours(5000), 20_000, BEGIN)
    assert drawn is not None
    found = points(drawn.success)
    assert len(found) <= 362
    assert found[-1] == (float(WIDTH), HEIGHT / 2)
    assert found == sorted(found, key=lambda each: (each[0], -each[1]))


def test_it_goes_on_until_now_and_not_for_ever() -> None:
    drawn = curve(hours(1), 4, BEGIN + timedelta(days=300))
    assert drawn is not None
    assert drawn.end == BEGIN + timedelta(days=7, hours=1)


def test_the_table_has_hours_or_days_the_last_first() -> None:
    found = rows(hours(3), 12)
    assert [(each.when, each.success, each.error, each.share) for each in found] == [
        ("2026-11-01T02", 2, 0, 50.0),
        ("2026-11-01T01", 2, 1, 33.3),
        ("2026-11-01T00", 2, 0, 16.7),
    ]
    days = rows(hours(96), 400)
    assert [each.when for each in days] == [f"2026-11-0{day}" for day in (4, 3, 2, 1)]
    assert {(each.success, each.error) for each in days} == {(48, 12)}

"""Bandwidth by the hours of the day: what is read, what counts when, and what is no rate."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_agent.domain.rate import Rate, Span

WORK = "08:00-18:00 200K, else 2M"


def at(text: str, hour: int, minute: int = 0) -> int | None:
    return Rate.parse(text).at(datetime(2026, 11, 21, hour, minute))  # noqa: DTZ001 - local


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("500000", 500_000),
        ("500k", 500_000),
        ("500 KB/s", 500_000),
        ("1.5MiB/s", 1_572_864),
        ("2G", 2 * 10**9),
        ("else 1", 1),
    ],
)
def test_a_plain_rate_counts_all_day(text: str, rate: int) -> None:
    assert {at(text, hour) for hour in range(24)} == {rate}


@pytest.mark.parametrize(
    ("hour", "minute", "rate"),
    [
        (0, 0, 2_000_000),
        (7, 59, 2_000_000),
        (8, 0, 200_000),
        (17, 59, 200_000),
        (18, 0, 2_000_000),
    ],
)
def test_hours_have_rates_of_their_own(hour: int, minute: int, rate: int) -> None:
    assert at(WORK, hour, minute) == rate


def test_without_an_else_the_rest_of_the_day_is_free() -> None:
    assert at("8:00-18:00 200K", 12) == 200_000
    assert at("8:00-18:00 200K", 20) is None


def test_several_parts_of_a_day() -> None:
    text = "13:00-18:00 200K, 08:00-12:00 100K , else 1M"
    assert [at(text, hour) for hour in (9, 12, 14, 23)] == [100_000, 1_000_000, 200_000, 1_000_000]


@pytest.mark.parametrize("text", ["22:00-06:00 5M, else 1M", "22:00 - 06:00 5M, else 1M"])
def test_over_midnight(text: str) -> None:
    assert [at(text, hour) for hour in (21, 22, 0, 5, 6)] == [10**6, *[5 * 10**6] * 3, 10**6]


def test_to_midnight() -> None:
    for text in ("20:00-24:00 1K", "20:00-00:00 1K"):
        assert [at(text, hour) for hour in (19, 20, 23, 0)] == [None, 1000, 1000, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is no rate"),
        ("fast", "'fast' is no rate"),
        ("0", "'0' is no rate"),
        ("-5", "'-5' is no rate"),
        ("0.2", "'0.2' is no rate"),
        ("9" * 400, "is no rate"),
        ("08:00-18:00 fast", "'fast' is no rate"),
        ("08:00-18:00", "'08:00-18:00' is no rate"),
        ("08:00-18:00 1M, 2M", "'2M' is no part of a day"),
        ("1M, 2M", "'1M' is no part of a day"),
        ("else 2M, 08:00-18:00 1M", "'else 2M' has to be the last part"),
        ("08:00-18:00 1M, else 2M, else 3M", "'else 2M' has to be the last part"),
        ("08:00-18:00 1M,", "'' is no part of a day"),
        ("08:60-18:00 1M", "08:60 is no time of the day"),
        ("08:00-25:00 1M", "25:00 is no time of the day"),
        ("24:00-08:00 1M", "has no minute in it"),
        ("08:00-08:00 1M", "has no minute in it"),
        ("08:00-18:00 1M, 17:00-20:00 2M", "'08:00-18:00 1M' and '17:00-20:00 2M' overlap"),
        ("22:00-06:00 1M, 05:00-07:00 2M", "overlap"),
        ("8-18 1M, else 2M", "'8-18 1M' is no part of a day"),
        ("٠٨:00-18:00 1M, else 2M", "is no part of a day"),
    ],
)
def test_what_is_no_rate_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Rate.parse(text)


def test_it_is_shown_as_it_is_written() -> None:
    for text in ("2M", "1536Ki", "1", WORK, "08:00-18:00 200K"):
        assert str(Rate.parse(text)) == text
    assert str(Rate.parse("22:00-06:00 5M")) == "00:00-06:00 5M, 22:00-24:00 5M"


rates = st.integers(1, 10**12)


@given(
    st.none() | rates,
    st.lists(st.integers(0, 1440), min_size=0, max_size=8, unique=True).map(sorted),
    st.lists(rates, min_size=4, max_size=4),
)
def test_what_is_shown_is_read_again(
    otherwise: int | None, minutes: list[int], each: list[int]
) -> None:
    pairs = zip(minutes[::2], minutes[1::2], each, strict=False)
    rate = Rate(otherwise, tuple(Span(*pair) for pair in pairs))
    if str(rate):
        assert Rate.parse(str(rate)) == rate

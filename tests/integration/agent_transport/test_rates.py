"""The bandwidth cap, over real sockets: kept by sleeping, by the hour, without a long sleep."""

import io
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.rate import Rate
from deploy_agent.machine.transport import Access, HttpTransport
from tests.support.clock import START, FakeClock
from tests.support.webfolder import PlainWebServer

MB = 1_000_000


def fetch(
    server: PlainWebServer, ca_file: Path, clock: FakeClock, rate: str, size: int, times: int = 1
) -> float:
    """Fetch a file so often; the seconds that it took by the clock."""
    server.faults["/f"] = bytes(size)
    url = f"http://{server.address}/f"
    transport = HttpTransport(Access(url, ca_file, proxy="", max_rate=Rate.parse(rate)), clock)
    began = clock.now()
    for _ in range(times):
        assert transport.fetch(url, io.BytesIO(), limit=None) == size
    transport.close()
    return (clock.now() - began).total_seconds()


def local(hours: int) -> str:
    """The time on this computer's wall, so many hours after the test's beginning."""
    return f"{(START + timedelta(hours=hours)).astimezone():%H:%M}"


@pytest.mark.parametrize(("rate", "seconds"), [("100K", 10), ("1M", 1), ("10K", 100)])
def test_it_is_kept(
    plain: PlainWebServer, ca_file: Path, clock: FakeClock, rate: str, seconds: float
) -> None:
    assert fetch(plain, ca_file, clock, rate, MB) == pytest.approx(seconds, rel=0.03)


def test_it_is_kept_over_many_small_files(
    plain: PlainWebServer, ca_file: Path, clock: FakeClock
) -> None:
    took = fetch(plain, ca_file, clock, "100K", 10_000, times=50)
    assert took == pytest.approx(5, rel=0.03)


@pytest.mark.parametrize("rate", ["200", "1M"])
def test_no_sleep_is_long(
    plain: PlainWebServer, ca_file: Path, clock: FakeClock, rate: str
) -> None:
    fetch(plain, ca_file, clock, rate, 20_000)
    assert max(clock.sleeps, default=0) <= 1.6


def test_a_new_hour_counts_in_the_middle_of_a_file(
    plain: PlainWebServer, ca_file: Path, clock: FakeClock
) -> None:
    """10 s are left of the slow part of the day: 1 MB; the other 4 MB come ten times as fast."""
    clock.time = START - timedelta(seconds=10)
    slow = f"{local(-1)}-{local(0)} 100K, else 1M"
    assert fetch(plain, ca_file, clock, slow, 5 * MB) == pytest.approx(14, rel=0.03)


def test_a_part_of_the_day_without_a_limit(
    plain: PlainWebServer, ca_file: Path, clock: FakeClock
) -> None:
    other = f"{local(2)}-{local(3)} 1K"
    assert fetch(plain, ca_file, clock, other, MB) == 0
    assert clock.sleeps == []


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_set_stops_nothing(
    plain: PlainWebServer, ca_file: Path, hours: int
) -> None:
    class Jumping(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.sleeps) == 3:
                self.advance(hours=hours)

    clock = Jumping()
    fetch(plain, ca_file, clock, "100K", MB)
    assert sum(clock.sleeps) == pytest.approx(10, abs=2.5)

"""SCHEDULE by the computer's own clock and zone: restarts, jumps, summer time, silly dates."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy_agent.domain import policy
from deploy_agent.domain.state import State
from deploy_agent.machine.clock import local_to_utc
from deploy_agent.services.waiting import For, Patience
from tests.support.computer import Computer

ID = "1800000001"
Zone = Callable[[str], None]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """Moves this computer to another zone."""

    def move(name: str) -> None:
        monkeypatch.setenv("TZ", name)  # the agent has to notice by itself

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def pc(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    computer.server.publish()
    computer.server.assign(schedule="2026/11/21 12:00")
    return computer


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Europe/Paris", "2026/07/01 12:00", "2026-07-01 10:00"),
        ("Europe/Paris", "2026/12/01 12:00", "2026-12-01 11:00"),
        ("Europe/Paris", "2026/03/29 01:59", "2026-03-29 00:59"),
        ("Europe/Paris", "2026/03/29 02:00", "2026-03-29 01:00"),  # 02:00 to 02:59 are missing
        ("Europe/Paris", "2026/03/29 02:59", "2026-03-29 01:00"),
        ("Europe/Paris", "2026/10/25 02:00", "2026-10-25 00:00"),  # twice: the first
        ("Europe/Paris", "2026/10/25 02:59", "2026-10-25 00:59"),
        ("Europe/Paris", "2026/10/25 03:00", "2026-10-25 02:00"),
        ("America/New_York", "2026/03/08 02:30", "2026-03-08 07:00"),
        ("America/New_York", "2026/11/01 01:30", "2026-11-01 05:30"),
        ("Australia/Lord_Howe", "2026/10/04 02:15", "2026-10-03 15:30"),  # half an hour is missing
        ("Australia/Lord_Howe", "2026/04/05 01:45", "2026-04-04 14:45"),
        ("Asia/Kathmandu", "2026/01/01 00:00", "2025-12-31 18:15"),
        ("UTC", "2026/01/01 00:00", "2026-01-01 00:00"),
    ],
)
def test_local_time_is_that_of_the_computer(
    zone: Zone, name: str, text: str, expected: str
) -> None:
    zone(name)
    found = policy.scheduled_at(text, local_to_utc)
    assert found is not None
    assert f"{found:%Y-%m-%d %H:%M}" == expected


def test_a_computer_that_moves_keeps_to_its_local_time(zone: Zone) -> None:
    for name, hour in (("Europe/Paris", 11), ("America/New_York", 17), ("Asia/Tokyo", 3)):
        zone(name)
        found = policy.scheduled_at("2026/11/21 12:00", local_to_utc)
        assert found is not None
        assert found.hour == hour


@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "Pacific/Honolulu"])
def test_dates_at_the_ends_of_the_calendar_break_nothing(zone: Zone, name: str) -> None:
    zone(name)
    now = datetime(2026, 11, 21, tzinfo=UTC)
    far = policy.scheduled_at("9999/12/31 23:59", local_to_utc)
    assert far is not None
    assert far > now
    long_ago = policy.scheduled_at("0001/01/01 00:00", local_to_utc)
    assert long_ago is None or long_ago < now


def test_it_is_waited_for_without_looking_all_the_time(pc: Computer) -> None:
    agent = pc.agent(Patience())
    agent.poll()
    wait = agent.step()
    assert wait is not None
    assert (wait.what, wait.seconds) == (For.TIME, 2 * 3600)
    pc.clock.advance(hours=2)
    agent.step()
    assert pc.server.codes == ["SUCCESS"]


def test_it_survives_restarts(pc: Computer) -> None:
    for _ in range(3):
        agent = pc.agent(Patience())
        agent.step()
        agent.poll()
        agent.step()
        pc.clock.advance(minutes=39)
    assert pc.runner.started == []
    pc.clock.advance(minutes=3)
    pc.agent(Patience()).step()
    assert pc.server.codes == ["SUCCESS"]


def test_a_clock_that_jumps_over_it_starts_it(pc: Computer) -> None:
    agent = pc.agent(Patience())
    agent.poll()
    agent.step()
    pc.clock.advance(days=400)
    agent.step()
    assert pc.server.codes == ["SUCCESS"]


def test_a_clock_that_is_put_back_waits_for_it_again(pc: Computer) -> None:
    agent = pc.agent(Patience())
    agent.poll()
    agent.step()
    pc.clock.advance(days=-7)
    agent.step()
    pc.clock.advance(days=7, hours=1)
    agent.step()
    assert pc.runner.started == []
    pc.clock.advance(hours=1)
    agent.step()
    assert len(pc.runner.started) == 1


def test_a_window_that_was_missed_while_off_is_now(pc: Computer) -> None:
    pc.once()
    pc.clock.advance(days=2)
    pc.once()
    assert pc.server.codes == ["SUCCESS"]


def test_a_date_that_never_comes_waits_and_says_so(pc: Computer) -> None:
    pc.server.offer(schedule="9999/12/31 23:59")
    left = pc.once()
    assert left.waiting == ((ID, "scheduled for 9999/12/31 23:59"),)
    record = pc.store.read(ID)
    assert record is not None
    assert record.state is State.UNPACKED


def test_a_forced_package_keeps_its_schedule(pc: Computer) -> None:
    pc.server.offer(schedule="")
    pc.once()
    pc.server.assign(force=True, schedule="2026/11/21 18:00")
    pc.once()
    assert len(pc.runner.started) == 1
    pc.clock.advance(hours=8)
    pc.once()
    assert pc.server.codes == ["SUCCESS", "SUCCESS"]

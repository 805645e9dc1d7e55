"""Events that wait: whole after a kill, bounded, the oldest gone first."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deploy_agent.machine.disk import Disk
from deploy_agent.machine.spool import OUTPUT_LEFT, SPOOL_MAX, Spool
from deploy_agent.wire.events import PackageEvent


def event(number: int, **changes: Any) -> PackageEvent:
    made = PackageEvent(
        event_id=str(UUID(int=number)),
        package="1800000001",
        attempt=7,
        at=datetime(2026, 11, 21, 10, tzinfo=UTC),
        state="RUNNING",
        reason=f"number {number}",
    )
    return replace(made, **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.jsonl"


def all_of(spool: Spool) -> list[int]:
    return [UUID(each.event_id).int for each in spool.first(10_000, 10**9)]


def test_events_outlive_the_agent_in_their_order(path: Path) -> None:
    spool = Spool(path)
    assert len(spool) == 0
    events = [event(number, output="é\n\x01x", exit_code=3) for number in range(5)]
    for each in events:
        spool.add(each)
    assert Spool(path).first(10, 10**6) == events
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_the_server_has_is_gone_for_good(path: Path) -> None:
    spool = Spool(path)
    for number in range(5):
        spool.add(event(number))
    spool.remove({event(1).event_id, event(3).event_id, "nobody's"})
    assert all_of(spool) == all_of(Spool(path)) == [0, 2, 4]
    spool.remove({event(number).event_id for number in range(5)})
    assert not path.exists()
    assert len(Spool(path)) == 0


def test_the_same_event_is_kept_once(path: Path) -> None:
    spool = Spool(path)
    spool.add(event(1))
    spool.add(event(1))
    again = Spool(path)
    again.add(event(1))
    assert all_of(again) == [1]


def test_a_newer_one_takes_the_place_of_what_nobody_was_told(path: Path) -> None:
    spool = Spool(path)
    spool.add(event(1), "progress")
    spool.add(event(2))
    Spool(path).add(event(3), "progress")
    assert all_of(Spool(path)) == [2, 3]


def test_what_was_replaced_does_not_come_back(path: Path) -> None:
    spool = Spool(path)
    for number in range(20):
        spool.add(event(number), f"slot {number % 3}")
    assert all_of(spool) == all_of(Spool(path)) == [17, 18, 19]
    again = Spool(path)
    again.remove({event(18).event_id})
    again.add(event(20), "slot 0")
    assert all_of(again) == all_of(Spool(path)) == [17, 19, 20]


def test_an_event_costs_the_same_however_many_wait(path: Path) -> None:
    class Counting(Disk):
        written = 0

        def append(self, path: Path, data: bytes) -> None:
            self.written += len(data)
            super().append(path, data)

        def put(self, path: Path, data: bytes) -> None:
            self.written += len(data)
            super().put(path, data)

    def cost(count: int, folder: Path) -> float:
        disk = Counting()
        spool = Spool(folder / "events.jsonl", disk)
        for number in range(count):
            spool.add(event(number), f"slot {number % 200}")
        assert len(spool) == 200
        assert spool.forgotten == 0
        return disk.written / count

    few, many = (cost(each, path.parent / str(each)) for each in (200, 4000))
    assert many < 2 * few
    assert (path.parent / "4000/events.jsonl").stat().st_size <= SPOOL_MAX


def test_a_message_takes_no_more_than_it_may_but_at_least_one(path: Path) -> None:
    spool = Spool(path)
    for number in range(5):
        spool.add(event(number, output="x" * 1000))
    assert len(spool.first(3, 10**6)) == 3
    assert len(spool.first(10, 2500)) == 1
    assert len(spool.first(10, 1)) == 1


def test_the_oldest_make_room_for_the_newest(path: Path) -> None:
    spool = Spool(path)
    for number in range(60):
        spool.add(event(number, output="x" * 40_000))
        assert path.stat().st_size <= SPOOL_MAX
    kept = all_of(spool)
    assert kept == list(range(kept[0], 60))
    assert len(kept) > 10
    assert spool.forgotten == 60 - len(kept)
    assert all_of(Spool(path)) == kept


def test_an_output_that_grows_in_writing_is_cut(path: Path) -> None:
    spool = Spool(path)
    spool.add(event(1, output="\x01" * 65_536))
    (kept,) = spool.first(1, 1)
    assert len(kept.output) == OUTPUT_LEFT
    assert kept.truncated
    assert path.stat().st_size < SPOOL_MAX // 4


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\0" * 100, b"{", b'{"slot": ""}\n', b'{"slot": "", "event": {}}\n', b"[]\n\n\n"],
)
def test_a_line_that_cannot_be_read_costs_only_itself(path: Path, rubbish: bytes) -> None:
    spool = Spool(path)
    spool.add(event(1))
    good = path.read_bytes()
    path.write_bytes(rubbish + b"\n" + good + good[:50])
    again = Spool(path)
    assert all_of(again) == [1]
    again.add(event(2))
    assert all_of(Spool(path)) == [1, 2]


def test_a_disk_that_takes_nothing_stops_nobody(path: Path) -> None:
    class Full(Disk):
        full = True

        def append(self, path: Path, data: bytes) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            super().append(path, data)

        def put(self, path: Path, data: bytes) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            super().put(path, data)

    disk = Full()
    spool = Spool(path, disk)
    spool.add(event(1))
    spool.add(event(2))
    assert all_of(spool) == [1, 2]
    assert all_of(Spool(path)) == []
    disk.full = False
    spool.add(event(3))
    assert all_of(Spool(path)) == [1, 2, 3]
    disk.full = True
    spool.remove({event(1).event_id})
    assert all_of(spool) == [2, 3]


def test_what_a_dead_agent_left_half_written_goes_with_the_next_one(path: Path) -> None:
    spool = Spool(path)
    spool.add(event(1))
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(b"half")
    Spool(path).first(1, 1000)  # who only looks changes nothing
    assert part.exists()
    spool.tidy()
    assert not part.exists()
    assert all_of(Spool(path)) == [1]
    spool.tidy()


def test_a_folder_in_its_place_is_no_spool(path: Path) -> None:
    path.mkdir(parents=True)
    spool = Spool(path)
    spool.add(event(1))
    assert all_of(spool) == [1]

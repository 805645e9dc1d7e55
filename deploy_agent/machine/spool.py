"""Events that the server does not have yet: one file, one event a line, oldest first.

Bounded: where there is no more room the oldest go. Whole after a kill; a power cut may take the
last ones with it, which is no error, and so nobody waits for the disk here.
Shape of events.jsonl: {"slot": "", "event": {"event_id": "...", ...}}
"""

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from deploy_agent.machine.disk import Disk
from deploy_agent.wire.errors import WireError
from deploy_agent.wire.events import PackageEvent

SPOOL_MAX = 1024 * 1024  # bytes
LINE_MAX = SPOOL_MAX // 4  # bytes of one event
OUTPUT_LEFT = 16 * 1024  # characters of an output that would make a line too long
ROOM = SPOOL_MAX // 4  # bytes made free at a time, so that it is not made for each event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Line:
    slot: str
    event: PackageEvent
    data: bytes


class Spool:
    """The events, in memory as on the disk."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()
        self._lines: list[_Line] | None = None
        self._size = 0
        self._stale = False  # the file is not what is in memory
        self.forgotten = 0

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self._loaded())

    def add(self, event: PackageEvent, slot: str = "") -> None:
        """Keep an event until the server has it; the same event again changes nothing.

        Args:
            event: one that happened now.
            slot: where it takes the place of an older one that nobody was told; '' is none.
        """
        lines = self._loaded()
        if any(each.event.event_id == event.event_id for each in lines):
            return
        if slot:
            self._forget([each for each in lines if each.slot == slot])
        line = _line(slot, event)
        if self._size + len(line.data) > SPOOL_MAX:
            self._make_room(len(line.data) + ROOM)
        self._loaded().append(line)
        self._size += len(line.data)
        self._write(line.data)

    def first(self, most: int, most_bytes: int) -> list[PackageEvent]:
        """Return the oldest events, at least one where there is any.

        Args:
            most: events.
            most_bytes: of them together.
        """
        found: list[PackageEvent] = []
        size = 0
        for each in self._loaded()[:most]:
            size += len(each.data)
            if found and size > most_bytes:
                break
            found.append(each.event)
        return found

    def remove(self, event_ids: set[str]) -> None:
        """Forget events that the server has, or will never take."""
        self._forget([each for each in self._loaded() if each.event.event_id in event_ids])
        if self._stale:
            self._rewrite()

    def _forget(self, lines: list[_Line]) -> None:
        if not lines:
            return
        gone = {id(each) for each in lines}
        self._lines = [each for each in self._loaded() if id(each) not in gone]
        self._size -= sum(len(each.data) for each in lines)
        self._stale = True

    def _make_room(self, wanted: int) -> None:
        free = SPOOL_MAX - self._size
        oldest: list[_Line] = []
        for each in self._loaded():
            if free >= wanted:
                break
            oldest.append(each)
            free += len(each.data)
        if not self.forgotten:
            log.warning("the server takes no events; the oldest are forgotten")
        self.forgotten += len(oldest)
        self._forget(oldest)

    def _loaded(self) -> list[_Line]:
        if self._lines is None:
            self._lines = self._read()
            self._size = sum(len(each.data) for each in self._lines)
        return self._lines

    def _read(self) -> list[_Line]:
        try:
            data = self._path.read_bytes()
        except OSError:
            return []
        lines = [line for line in map(_read_line, data.splitlines(keepends=True)) if line]
        # What a kill left half written must not stand before what is appended.
        self._stale = sum(len(each.data) for each in lines) != len(data)
        return lines

    def _write(self, data: bytes) -> None:
        """Bring the file up to date; where that fails, memory has to do."""
        if self._stale:
            self._rewrite()
            return
        try:
            self._disk.append(self._path, data)
        except OSError as error:
            self._stale = True
            log.warning("'%s' cannot be written: %s", self._path, error.strerror)

    def _rewrite(self) -> None:
        data = b"".join(each.data for each in self._loaded())
        try:
            if data:
                self._disk.put(self._path, data)
            else:
                self._disk.remove(self._disk.part_of(self._path))  # a kill may have left it
                self._disk.remove(self._path)
        except OSError as error:
            log.warning("'%s' cannot be written: %s", self._path, error.strerror)
        else:
            self._stale = False


def _line(slot: str, event: PackageEvent) -> _Line:
    data = _encoded(slot, event)
    if len(data) > LINE_MAX:
        event = replace(event, output=event.output[-OUTPUT_LEFT:], truncated=True)
        data = _encoded(slot, event)
    return _Line(slot, event, data)


def _encoded(slot: str, event: PackageEvent) -> bytes:
    return json.dumps({"slot": slot, "event": event.to_json()}).encode("ascii") + b"\n"


def _read_line(data: bytes) -> _Line | None:
    with suppress(ValueError, KeyError, TypeError, WireError):
        value = json.loads(data)
        if data.endswith(b"\n"):
            return _Line(str(value["slot"]), PackageEvent.from_json(value["event"]), data)
    return None

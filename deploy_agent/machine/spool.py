"""Events that the server does not have yet: one file, one event a line, oldest first.

Bounded: where there is no more room the oldest go. Whole after a kill; a power cut may take the
last ones with it, which is no error, and so nobody waits for the disk here.
Shape of events.jsonl: {"slot": "", "event": {"event_id": "...", ...}}
"""

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from deploy_agent.machine.disk import Disk
from deploy_agent.wire.errors import WireError
from deploy_agent.wire.events import PackageEvent

SPOOL_MAX = 1024 * 1024  # bytes of the file
ROOM = SPOOL_MAX // 4  # bytes made free at a time, so that it is not made for each event
EVENTS_MAX = SPOOL_MAX - ROOM  # bytes of events; the rest is for what has been replaced
LINE_MAX = SPOOL_MAX // 4  # bytes of one event
OUTPUT_LEFT = 16 * 1024  # characters of an output that would make a line too long

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Line:
    slot: str
    event: PackageEvent
    data: bytes


class Spool:
    """The events, in memory as on the disk.

    The file may also hold what was replaced, before what has replaced it; it is written anew when
    it would get too long. An event costs the same however many wait.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()
        self._lines: dict[str, _Line] = {}  # by event id, oldest first
        self._by_slot: dict[str, _Line] = {}
        self._size = 0  # bytes of the events
        self._written = 0  # bytes of the file
        self._is_loaded = False
        self._stale = False  # the file is not what is in memory
        self.forgotten = 0

    def __len__(self) -> int:
        """Return how many events there are."""
        self._load()
        return len(self._lines)

    def tidy(self) -> None:
        """Remove what an agent that died left half written; for whoever holds the lock."""
        with suppress(OSError):
            self._disk.remove(self._disk.part_of(self._path))

    def add(self, event: PackageEvent, slot: str = "") -> None:
        """Keep an event until the server has it; the same event again changes nothing.

        Args:
            event: one that happened now.
            slot: where it takes the place of an older one that nobody was told; '' is none.
        """
        self._load()
        if event.event_id in self._lines:
            return
        line = _line(slot, event)
        self._replace(line)
        if self._size + len(line.data) > EVENTS_MAX:
            self._make_room(len(line.data) + ROOM)
        self._keep(line)
        self._write(line.data)

    def first(self, most: int, most_bytes: int) -> list[PackageEvent]:
        """Return the oldest events, at least one where there is any.

        Args:
            most: events.
            most_bytes: of them together.
        """
        self._load()
        found: list[PackageEvent] = []
        size = 0
        for each in islice(self._lines.values(), most):
            size += len(each.data)
            if found and size > most_bytes:
                break
            found.append(each.event)
        return found

    def remove(self, event_ids: set[str]) -> None:
        """Forget events that the server has, or will never take."""
        self._load()
        for each in event_ids:
            line = self._lines.get(each)
            if line is not None:
                self._forget(line)
                self._stale = True
        if self._stale:
            self._rewrite()

    def _keep(self, line: _Line) -> None:
        self._lines[line.event.event_id] = line
        self._size += len(line.data)
        if line.slot:
            self._by_slot[line.slot] = line

    def _replace(self, line: _Line) -> None:
        """Forget what has `line`'s slot."""
        older = self._by_slot.get(line.slot) if line.slot else None
        if older is not None:
            self._forget(older)

    def _forget(self, line: _Line) -> None:
        del self._lines[line.event.event_id]
        self._size -= len(line.data)
        if self._by_slot.get(line.slot) is line:
            del self._by_slot[line.slot]

    def _make_room(self, wanted: int) -> None:
        if not self.forgotten:
            log.warning("the server takes no events; the oldest are forgotten")
        for line in list(self._lines.values()):
            if EVENTS_MAX - self._size >= wanted:
                break
            self._forget(line)
            self.forgotten += 1
        self._stale = True

    def _load(self) -> None:
        """Read the file, once."""
        if self._is_loaded:
            return
        self._is_loaded = True
        try:
            data = self._path.read_bytes()
        except OSError:
            return
        lines = [line for line in map(_read_line, data.splitlines(keepends=True)) if line]
        for line in lines:
            if line.event.event_id not in self._lines:
                self._replace(line)
                self._keep(line)
        self._written = len(data)
        # What a kill left half written must not stand before what is appended.
        self._stale = sum(len(each.data) for each in lines) != len(data)

    def _write(self, data: bytes) -> None:
        """Bring the file up to date; where that fails, memory has to do."""
        if self._stale or self._written + len(data) > SPOOL_MAX:
            self._rewrite()
            return
        try:
            self._disk.append(self._path, data)
        except OSError as error:
            self._stale = True
            log.warning("'%s' cannot be written: %s", self._path, error.strerror)
        else:
            self._written += len(data)

    def _rewrite(self) -> None:
        data = b"".join(each.data for each in self._lines.values())
        try:
            if data:
                self._disk.put(self._path, data)
            else:
                self._disk.remove(self._path)
        except OSError as error:
            self._stale = True
            log.warning("'%s' cannot be written: %s", self._path, error.strerror)
        else:
            self._stale = False
            self._written = len(data)


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

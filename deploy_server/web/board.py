"""What requests are counted on: memory that all worker processes share.

Each worker has a row of numbers of its own, in memory that was there before it was forked, so
counting takes no lock between processes, no file and no call: about a microsecond for a request.
Whoever is asked for /metrics adds up all rows. Rows of workers that have ended stay, because what
they counted has happened.
"""

import fcntl
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Numbers = memoryview[float]

#: What is counted apart; the first one takes everything else.
KINDS = (
    "other",
    "prolog",
    "inventory",
    "report",
    "refused",  # what an agent posted and nobody could read
    "events",
    "retry",
    "info",
    "fragment",
    "fragment_list",
    "build",
    "upload",
    "console",
    "health",
)

#: Statuses that are counted apart; the first one takes everything else.
STATUSES = (
    0,
    *(200, 201, 204, 206, 302, 303, 304, 308),
    *(400, 401, 403, 404, 405, 408, 409, 411, 413, 422, 429),
    *(500, 502, 503),
)

#: Upper ends of the classes of seconds; above the last one is a class of its own.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

#: Workers that may be started before a row is used a second time.
ROWS = 512

_KIND = {kind: number for number, kind in enumerate(KINDS)}
_STATUS = {status: number for number, status in enumerate(STATUSES)}

# A row: statuses of each kind, then for each kind the classes of seconds, their sum, and bytes.
_TIMES = len(KINDS) * len(STATUSES)
_WIDTH = len(SECONDS) + 3
_SUM = len(SECONDS) + 1
_BYTES = len(SECONDS) + 2
_WAITING = _TIMES + len(KINDS) * _WIDTH
_PID = _WAITING + 1
_LISTS = _PID + 1  # read from the primary, and from the replica
_ROW = _LISTS + 2
_NUMBER = 8  # bytes of each


@dataclass(frozen=True, slots=True)
class Counted:
    """One kind of requests.

    Attributes:
        kind: of `KINDS`.
        statuses: how many had which.
        classes: how many took how long: one number for each of `SECONDS`, and one for longer.
        seconds: they took together.
        sent: bytes of answers.
    """

    kind: str
    statuses: dict[int, int]
    classes: tuple[int, ...]
    seconds: float
    sent: int


class Row:
    """The numbers of this process; made by `Board.claim`."""

    def __init__(self, numbers: "Numbers") -> None:
        self._numbers = numbers
        # Several threads: adding to a number is reading and writing it.
        self._lock = threading.Lock()
        numbers[_PID] = os.getpid()
        numbers[_WAITING] = 0.0

    def count(self, kind: str, status: int, seconds: float, sent: int) -> None:
        """Count a request that was answered."""
        number = _KIND.get(kind, 0)
        times = _TIMES + number * _WIDTH
        place = 0
        for end in SECONDS:
            if seconds <= end:
                break
            place += 1
        numbers = self._numbers
        with self._lock:
            numbers[number * len(STATUSES) + _STATUS.get(status, 0)] += 1
            numbers[times + place] += 1
            numbers[times + _SUM] += seconds
            numbers[times + _BYTES] += sent

    def count_list(self, *, from_replica: bool) -> None:
        """Count a list, where there is a replica to read it from."""
        with self._lock:
            self._numbers[_LISTS + from_replica] += 1

    def wait(self, number: int) -> None:
        """Say how many contacts this process has still to write down."""
        self._numbers[_WAITING] = number


class Board:
    """The rows of all processes that are forked from this one."""

    def __init__(self) -> None:
        size = (1 + ROWS * _ROW) * _NUMBER
        # A file in memory and not on a disk; pages that nobody wrote to take none.
        self._file = os.memfd_create("requests", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, size)
        self._numbers = memoryview(mmap(self._file, size)).cast("d")

    def claim(self) -> Row:
        """Return a row for the process that calls this."""
        # Between processes; one that dies lets go of it.
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            number = int(self._numbers[0])
            self._numbers[0] = number + 1
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        begin = 1 + number % ROWS * _ROW
        return Row(self._numbers[begin : begin + _ROW])

    def counted(self) -> list[Counted]:
        """Return what was counted, of each kind."""
        rows = list(self._rows())
        return [_added(rows, number) for number in range(len(KINDS))]

    def lists(self) -> tuple[int, int]:
        """Return how many lists were read from the primary, and how many from the replica."""
        rows = list(self._rows())
        primary, replica = (int(sum(row[_LISTS + each] for row in rows)) for each in (0, 1))
        return primary, replica

    def waiting(self) -> int:
        """Return how many contacts are still to be written down."""
        return int(sum(row[_WAITING] for row in self._rows() if _lives(int(row[_PID]))))

    def _rows(self) -> "Iterator[Numbers]":
        for number in range(min(int(self._numbers[0]), ROWS)):
            begin = 1 + number * _ROW
            yield self._numbers[begin : begin + _ROW]


def _added(rows: "list[Numbers]", number: int) -> Counted:
    begin = number * len(STATUSES)
    times = _TIMES + number * _WIDTH
    sums = [sum(row[place] for row in rows) for place in range(times, times + _WIDTH)]
    statuses = {
        status: int(sum(row[begin + place] for row in rows))
        for place, status in enumerate(STATUSES)
    }
    return Counted(
        KINDS[number],
        {status: count for status, count in statuses.items() if count},
        tuple(int(each) for each in sums[:_SUM]),
        sums[_SUM],
        int(sums[_BYTES]),
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's by now, so not ours
    return True

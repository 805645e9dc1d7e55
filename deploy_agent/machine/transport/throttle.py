"""Keeps what this computer takes from the network below a rate."""

from datetime import datetime, timedelta

from deploy_agent.domain.rate import Rate
from deploy_agent.machine.clock import Clock

PIECE = 256 * 1024  # bytes read at a time, where nothing is held back
CREDIT = timedelta(seconds=1)  # how much of the rate may be made up for after a break
SHORT_S = 0.01  # a shorter sleep is not worth its call; it is made up for by the next one


class Throttle:
    """Sleeps between the pieces of all answers together.

    The rate is looked up for every piece, so a new hour counts in the middle of a file. Pieces are
    so small that no sleep is longer than about a second.
    """

    def __init__(self, rate: Rate | None, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._due: datetime | None = None

    def piece(self) -> int:
        """Return how many bytes to read at a time, now."""
        rate = self._now()
        return PIECE if rate is None else max(1, min(PIECE, rate // 2))

    def wait(self, length: int) -> None:
        """Sleep until `length` more bytes are what the rate allows."""
        rate = self._now()
        if rate is None:
            self._due = None
            return
        now = self._clock.now()
        share = timedelta(seconds=length / rate)
        due = self._due if self._due is not None else now
        # A clock that was set must not make anybody sleep for hours, or not at all.
        self._due = min(max(due, now - CREDIT), now + CREDIT) + share
        ahead = (self._due - now).total_seconds()
        if ahead > SHORT_S:
            self._clock.sleep(ahead)

    def _now(self) -> int | None:
        if self._rate is None:
            return None
        return self._rate.at(self._clock.now().astimezone())

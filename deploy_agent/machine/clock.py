"""Time, in one place so that tests own it."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the agent asks about time."""

    def now(self) -> datetime:
        """Return the time, UTC."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        time.sleep(seconds)


def local_to_utc(naive: datetime) -> datetime:
    """Return the UTC time of a local one, by the computer's time zone and the time's fold.

    Raises:
        OverflowError, ValueError, OSError: it is too far away for the system's calendar.
    """
    if hasattr(time, "tzset"):
        time.tzset()  # a computer may have moved to another zone since this process began
    # Not astimezone: that is an hour wrong for times that a clock put forward leaves out.
    return datetime.fromtimestamp(naive.timestamp(), UTC)

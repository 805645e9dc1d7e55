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
    """Return the UTC time of a local one, by the computer's time zone and the time's fold."""
    if hasattr(time, "tzset"):
        time.tzset()  # a computer may have moved to another zone since this process began
    return naive.astimezone(UTC)

"""A clock that only tests move: it satisfies deploy_agent.machine.clock.Clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

#: The day the recordings in tests/vectors were made.
START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@dataclass
class FakeClock:
    """Time stands still until somebody sleeps or advances it; every sleep is written down."""

    time: datetime = START
    sleeps: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.time

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds=seconds)

    def advance(self, **duration: float) -> datetime:
        """Move on by timedelta's keywords, e.g. ``advance(days=30, seconds=1)``."""
        self.time += timedelta(**duration)
        return self.time

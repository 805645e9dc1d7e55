"""What our agent said last of a package, and the same as a sentence. Pure."""

from dataclasses import dataclass
from datetime import datetime

from deploy_agent.wire.events import CANCELLED

# What a state means for somebody who asks why it is not done yet.
_STATES = {
    "OFFERED": "The agent has taken it on and reads its info file",
    "DOWNLOADING": "The agent downloads it",
    "COMPLETE": "Downloaded; the agent checks it",
    "VERIFIED": "Downloaded and checked; the agent unpacks it",
    "UNPACKED": "Downloaded and unpacked, ready to run",
    "RUNNING": "It runs on the computer",
    "CONFIRMING": "It has run, and waits for the user to confirm",
    "DONE": "It ended on the computer; the report has not come yet",
    "REPORTED": "It ended on the computer",
    CANCELLED: "The agent dropped it before it began",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What an agent said last of an attempt.

    Attributes:
        state: of the package on the computer; house.md 4, or CANCELLED.
        at: when, by the computer's clock.
        reason: its own words, '' where the state says all.
        done: fragments that are there; None where that says nothing.
        total: fragments of the package.
        exit_code: of the action, None when there was none.
        output: what the action wrote, its last part.
        truncated: whether there was more of it.
    """

    state: str
    at: datetime
    reason: str = ""
    done: int | None = None
    total: int | None = None
    exit_code: int | None = None
    output: str = ""
    truncated: bool = False

    @property
    def downloading(self) -> bool:
        """Whether `done` and `total` say how far a download is."""
        return self.state == "DOWNLOADING" and self.done is not None and bool(self.total)


def sentence(told: Told) -> str:
    """Return one sentence, without a full stop, for a package that has no result yet."""
    if told.downloading:
        what = f"Downloading, {told.done} of {told.total} fragments"
    else:
        what = _STATES.get(told.state, "The agent has it")
    words = " ".join(told.reason.split())
    if words:
        what = f"{what}: {words}"
    return f"{what} (said {told.at:%Y-%m-%d %H:%M} UTC)"

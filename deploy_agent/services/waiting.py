"""How long an agent waits, and what for."""

from dataclasses import dataclass
from enum import Enum, auto


class For(Enum):
    """What a wait is for."""

    PACE = auto()  # a latency, or an action that runs
    ANSWER = auto()  # somebody silent is left alone for a while
    TIME = auto()  # nothing can move before: a schedule, a retry code
    USER = auto()  # a user is being asked


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for a while.

    Attributes:
        seconds: at least 0.
        what: what it is for.
        why: the same in words.
    """

    seconds: float
    what: For
    why: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How much this agent waits.

    Attributes:
        latencies: keep to the server's; otherwise all of them are 0, and silence is no reason
            to wait either.
        silences: fetches in a row without an answer after which a package counts as waiting;
            None for never.
        user_s: how long a question without a countdown stands before a user; None for ever, 0
            asks nobody.
    """

    latencies: bool = True
    silences: int | None = None
    user_s: float | None = None


PATIENT = Patience()

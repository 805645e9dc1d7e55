"""The package's states as one table, and what each saved state means after a kill.

Nothing else decides where a package goes: services say what happened (`Event`), `next_state` says
where that leads, and `on_reload` what to make of a state that a dead agent left behind.

Source: house.md 4; crash_model.py, ported to tests/faults.
"""

from enum import Enum, StrEnum, auto


class State(StrEnum):
    """Where a package stands. The values are written to disk."""

    OFFERED = "OFFERED"  # named by a prolog, record written
    DOWNLOADING = "DOWNLOADING"  # info on disk
    COMPLETE = "COMPLETE"  # every fragment on disk
    VERIFIED = "VERIFIED"  # joined, and the bytes are the server's
    UNPACKED = "UNPACKED"  # ready; waits for schedule or user
    RUNNING = "RUNNING"  # the intent to act is saved
    CONFIRMING = "CONFIRMING"  # result saved; the user has to confirm
    DONE = "DONE"  # result saved
    REPORTED = "REPORTED"  # the server has it


class Event(Enum):
    """What happened to a package."""

    INFO_READ = auto()  # info fetched and good, fragments to fetch
    INFO_READ_NO_FILE = auto()  # the same, FRAGS=0
    LAST_FRAGMENT = auto()  # every fragment is on disk
    CHECKED = auto()  # joined, digest right
    LOST = auto()  # something that was on disk is gone or bad: fetch it again
    TREE_READY = auto()  # unpacked, or there is no file
    BEGIN = auto()  # the intent to act
    AGAIN = auto()  # a retry code, or a start that may be repeated
    ASK_DONE = auto()  # result known, the user has to confirm
    END = auto()  # a final result
    ACKNOWLEDGED = auto()  # the server answered 2xx to the report
    REVISED = auto()  # info changed: begin with the new one


BEFORE_ACTION = (
    State.OFFERED,
    State.DOWNLOADING,
    State.COMPLETE,
    State.VERIFIED,
    State.UNPACKED,
)
ENDED = (State.DONE, State.REPORTED)
ACTED = (State.RUNNING, State.CONFIRMING, *ENDED)  # what can keep the actions of others back

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OFFERED, Event.INFO_READ): State.DOWNLOADING,
    (State.OFFERED, Event.INFO_READ_NO_FILE): State.COMPLETE,
    (State.DOWNLOADING, Event.LAST_FRAGMENT): State.COMPLETE,
    (State.COMPLETE, Event.LOST): State.DOWNLOADING,
    (State.COMPLETE, Event.CHECKED): State.VERIFIED,
    (State.VERIFIED, Event.LOST): State.DOWNLOADING,
    (State.VERIFIED, Event.TREE_READY): State.UNPACKED,
    (State.UNPACKED, Event.LOST): State.DOWNLOADING,
    (State.UNPACKED, Event.BEGIN): State.RUNNING,
    (State.RUNNING, Event.AGAIN): State.UNPACKED,
    (State.RUNNING, Event.ASK_DONE): State.CONFIRMING,
    (State.DONE, Event.ACKNOWLEDGED): State.REPORTED,
    **{(state, Event.REVISED): State.OFFERED for state in BEFORE_ACTION},
    **{
        (state, Event.END): State.DONE
        for state in (*BEFORE_ACTION, State.RUNNING, State.CONFIRMING)
    },
}


def next_state(state: State, event: Event) -> State:
    """Return where `event` leads from `state`.

    Raises:
        ValueError: the table has no such transition; the caller's fault.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"{event.name} cannot happen to a package that is {state}") from None


class Reload(Enum):
    """What to make of a package that a dead agent left behind."""

    CONTINUE = auto()  # do the state's work again; all of it may be repeated
    COLLECT = auto()  # the runner left an outcome
    WAIT = auto()  # the runner lives
    AGAIN = auto()  # nothing was lost, or another try is allowed: back to UNPACKED
    UNKNOWN = auto()  # begun, and nobody knows how it ended


def on_reload(
    state: State,
    *,
    has_outcome: bool = False,
    runner_lives: bool = False,
    begun: bool = True,
    repeatable: bool = False,
    tries: int = 0,
    max_tries: int = 1,
) -> Reload:
    """Return what a saved `state` means when an agent starts and finds it.

    Args:
        state: as read from disk.
        has_outcome: the runner of the last try wrote how it ended.
        runner_lives: the runner of the last try still holds its lock.
        begun: the runner may have been started; False where it surely was not.
        repeatable: the action may be run any number of times (STORE).
        tries: how often the intent to act was saved, this try included.
        max_tries: how often it may be.
    """
    if state is not State.RUNNING:
        return Reload.CONTINUE
    if has_outcome:
        return Reload.COLLECT
    if runner_lives:
        return Reload.WAIT
    if not begun or repeatable or tries < max_tries:
        return Reload.AGAIN
    return Reload.UNKNOWN

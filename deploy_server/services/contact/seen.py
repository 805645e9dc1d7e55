"""That a computer was in contact, and with which agent.

A message that changes something writes it along (`mark_seen`). For one that changes nothing it
would be the only write of all, ten times as dear as the answer: `Sightings` keeps those for a
moment and writes many at once. A crash can lose seconds of "last contact", never a state.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import bindparam, or_, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from deploy_server.services.inventory.intake import seen
from deploy_server.storage.models import Computer
from deploy_server.storage.quick import Prepared

log = logging.getLogger(__name__)

#: Computers in one transaction: whoever waits for one of their rows waits for no more than these.
_AT_ONCE = 500

# Made once: building a statement costs more than running it.
_SEEN = (
    update(Computer)
    .where(
        Computer.id == bindparam("computer"),
        # Another message of the same computer may have been written since.
        or_(Computer.last_contact.is_(None), Computer.last_contact <= bindparam("at")),
    )
    .values(
        last_contact=bindparam("at"),
        agent=bindparam("user_agent"),
        agent_key=bindparam("user_agent_key"),
    )
)


_SEE = Prepared(_SEEN)


def mark_seen(session: Session, computer_id: int, now: datetime, user_agent: str) -> None:
    """Write down that the computer's agent called now."""
    _SEE.run(session, _row(computer_id, now, user_agent))


class Sightings:
    """Contacts that are written a moment later.

    Args:
        sessions: makes a session for each write.
        delay_s: for how long they are collected; 0 writes each at once.

    Attributes:
        told: called with how many are not written yet, whenever that changes.
    """

    def __init__(self, sessions: Callable[[], Session], delay_s: float = 0) -> None:
        self.told: Callable[[int], object] = lambda _number: None
        self._sessions = sessions
        self._delay_s = delay_s
        self._lock = threading.Lock()
        self._found: dict[int, tuple[datetime, str]] = {}
        self._wake = threading.Event()
        self._writer: threading.Thread | None = None

    def note(self, computer_id: int, now: datetime, user_agent: str) -> None:
        """Remember that the computer's agent called now."""
        with self._lock:
            self._found[computer_id] = (now, user_agent)
            self.told(len(self._found))
            if self._delay_s and self._writer is None:
                # Started with the first contact: a thread would not survive a worker's fork.
                self._writer = threading.Thread(target=self._run, name="sightings", daemon=True)
                self._writer.start()
        if not self._delay_s:
            self.write()

    def write(self) -> None:
        """Write what was remembered; what the database refuses is kept for the next time."""
        with self._lock:
            found, self._found = self._found, {}
        rows = sorted(found.items())  # in one order, so that two workers never wait in a circle
        for start in range(0, len(rows), _AT_ONCE):
            batch = rows[start : start + _AT_ONCE]
            try:
                self._write(batch)
            except DBAPIError as error:
                log.warning("%d contacts are written later: %s", len(batch), error.orig)
                with self._lock:
                    self._found = {**dict(batch), **self._found}
        self.told(len(self._found))

    def close(self) -> None:
        """Write what is left, and take no more."""
        self._wake.set()
        if self._writer is not None:
            self._writer.join()
        self.write()

    def _run(self) -> None:
        while not self._wake.wait(self._delay_s):
            self.write()

    def _write(self, batch: list[tuple[int, tuple[datetime, str]]]) -> None:
        with self._sessions() as session, session.begin():
            session.connection().execute(
                _SEEN, [_row(computer, at, agent) for computer, (at, agent) in batch]
            )


def _row(computer_id: int, now: datetime, user_agent: str) -> dict[str, object]:
    row = seen(now, user_agent)
    return {
        "computer": computer_id,
        "at": row["last_contact"],
        "user_agent": row["agent"],
        "user_agent_key": row["agent_key"],
    }

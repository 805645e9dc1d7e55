"""A PostgreSQL replica that some pages are read from, and how far it is behind its primary.

A thread compares positions in the write-ahead log once a second, so that whoever reads pays
nothing for it and a replica that hangs holds nobody up. Times are the primary's: what this machine
or the replica takes for the time does not matter.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakSet

from sqlalchemy import Engine, Row, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from deploy_server.config import ConfigError

log = logging.getLogger(__name__)

#: Seconds between two measurements, and for how long the last one counts.
EVERY_S = 1.0
STALE_S = 5.0

#: How long the first one is waited for.
_FIRST_S = 3.0

#: Positions of the primary that are remembered, to tell when it was where the replica is.
_REMEMBERED = 600

#: Of a replica that is away, in another network, or at a change of tables that holds readers up; in
#: the words of libpq. The URL's own win.
_PATIENCE = {
    "connect_timeout": 2,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c lock_timeout=1000",
    "application_name": "tranche-lists",
}

_SAME = """
    current_database() AS name,
    CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
    THEN (SELECT system_identifier FROM pg_control_system()) END AS cluster
"""
_PRIMARY = text(
    f"""SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS position,
    clock_timestamp() AS moment, {_SAME}"""
)
_REPLICA = text(
    f"""SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint AS position,
    pg_last_xact_replay_timestamp() AS moment, pg_is_in_recovery() AS follows, {_SAME}"""
)
#: A place in the primary's log that comes after all that was committed. The very end may be further
#: on, and reach the replica only when somebody commits again.
AFTER_COMMIT = text(
    """SELECT pg_wal_lsn_diff(CASE current_setting('synchronous_commit') WHEN 'off'
    THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END, '0/0')::bigint"""
)


@dataclass(frozen=True, slots=True)
class State:
    """What was found last.

    Attributes:
        trouble: why nothing should be read there; '' where it may.
        lag: how far the replica was behind when that was measured; None where nobody can say.
        position: in the log, up to which it had everything.
        at: when, on the clock of `time.monotonic`.
    """

    trouble: str
    lag: timedelta | None
    position: int
    at: float

    def age_s(self) -> float:
        """The most that what is read there now may be behind, in seconds."""
        return (self.lag or timedelta()).total_seconds() + time.monotonic() - self.at


class Replica:
    """The replica of one database; `engine` is its own.

    Args:
        url: of the replica.
        primary: the engine of the database that it follows.
        max_lag_s: further behind it is not read.

    Raises:
        ConfigError: `url` is none.
    """

    def __init__(self, url: str, primary: Engine, max_lag_s: int) -> None:
        self.engine = _engine(url)
        self._primary = primary
        self._max_lag = timedelta(seconds=max_lag_s)
        self._seen: deque[tuple[int, datetime]] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()
        self._state = State("nobody has asked it yet", None, 0, time.monotonic())
        self._was_usable = True
        self._measured, self._closing = threading.Event(), threading.Event()
        self._asked_at: float | None = None
        self._open: WeakSet[Any] = WeakSet()
        event.listen(self.engine, "connect", lambda connection, _: self._open.add(connection))
        self._thread: threading.Thread | None = None

    def state(self) -> State:
        """How it is; the first who asks begins to have it measured."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._measure, name="replica", daemon=True)
                self._thread.start()
        self._measured.wait(_FIRST_S)
        found, since = self._state, self._asked_at
        if not found.trouble and time.monotonic() - found.at > STALE_S:
            found = replace(found, trouble="it does not answer", lag=None)
            self._tell(found)
        if since is not None and time.monotonic() - since > STALE_S:
            self._hang_up()
        return found

    def reached(self, position: int) -> bool:
        """Whether it has everything up to a position in the log by now."""
        if position <= self._state.position:
            return True
        try:
            return int(_ask(self.engine, _REPLICA).position or 0) >= position
        except SQLAlchemyError as error:
            self.fail(error)
            return False

    def fail(self, error: Exception) -> None:
        """Say that reading from it failed; it is left alone until it was measured again."""
        self._set(replace(self._state, trouble=_said(error), lag=None))

    def close(self) -> None:
        """Measure no more, and close its connections."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_FIRST_S)
        self.engine.dispose()

    def _measure(self) -> None:
        while not self._closing.is_set():
            self._set(self._found())
            self._measured.set()
            self._closing.wait(EVERY_S)

    def _found(self) -> State:
        at = time.monotonic()
        try:
            primary = _ask(self._primary, _PRIMARY)
        except SQLAlchemyError as error:
            return State(f"the primary does not answer: {_said(error)}", None, 0, at)
        self._seen.append((primary.position, primary.moment))
        self._asked_at = time.monotonic()
        try:
            replica = _ask(self.engine, _REPLICA)
        except SQLAlchemyError as error:
            return State(_said(error), None, 0, at)
        finally:
            self._asked_at = None
        if not replica.follows:
            return State("it is no replica: it follows no other server", None, 0, at)
        if (replica.name, replica.cluster) != (primary.name, primary.cluster):
            return State("it is the replica of another database", None, 0, at)
        return self._compared(primary, replica, at)

    def _compared(self, primary: Row[tuple[object, ...]], replica: Row[tuple[object, ...]],
                  at: float) -> State:  # fmt: skip
        position = int(replica.position or 0)
        # The primary was where the replica is at the last of these moments, or later.
        moments = [moment for place, moment in self._seen if place <= position]
        if replica.moment is not None:
            moments.append(replica.moment)
        if not moments:
            return State("nobody can say how far it is behind", None, position, at)
        lag = max(primary.moment - max(moments), timedelta())
        trouble = f"it is {lag.total_seconds():.0f} s behind" if lag > self._max_lag else ""
        return State(trouble, lag, position, at)

    def _hang_up(self) -> None:
        """End all connections: whoever waits there for ever is then answered by the primary."""
        self._asked_at = None
        for connection in list(self._open):
            # Another thread waits in it, so it cannot be closed from here.
            with (
                suppress(OSError, self.engine.dialect.loaded_dbapi.Error),
                socket.socket(fileno=os.dup(connection.fileno())) as own,
            ):
                own.shutdown(socket.SHUT_RDWR)

    def _set(self, state: State) -> None:
        self._state = state
        self._tell(state)

    def _tell(self, state: State) -> None:
        """Log when it begins or ceases to be of use."""
        with self._lock:
            changed = self._was_usable is bool(state.trouble)
            self._was_usable = not state.trouble
        if changed and state.trouble:
            log.warning("Lists are read from the primary; the replica: %s", state.trouble)
        elif changed:
            log.info("Lists are read from the replica again")


def _ask(engine: Engine, statement: object) -> Row[tuple[object, ...]]:
    with engine.connect() as connection:
        return connection.execute(statement).one()  # type: ignore[call-overload, no-any-return]


def _said(error: Exception) -> str:
    """The first line of what the driver says; SQLAlchemy's own has the statement in it."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "replica_url cannot be used: it is not a URL",
            hint="Give postgresql+psycopg://user@host/name.",
        ) from None
    patience = {name: value for name, value in _PATIENCE.items() if name not in parsed.query}
    return create_engine(parsed, pool_pre_ping=True, connect_args=patience)

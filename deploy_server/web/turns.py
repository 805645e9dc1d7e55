"""Messages of agents that meet another one: done again, so that nobody is told of it."""

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import IntegrityError, OperationalError

from deploy_server.web.database import db

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: How often a message is tried that met another one of the same computer.
TRIES = 5

#: PostgreSQL's words for "somebody else first": serialization failure, deadlock.
_TURNS = ("40001", "40P01")


def committed(work: Callable[[], Answer], device_id: str) -> Answer:
    """Return what `work` answers, after its effects were committed.

    Args:
        work: may be done again; what it did before is undone then.
        device_id: who asks, for the log.
    """
    for attempt in range(1, TRIES + 1):
        try:
            answer = work()
            db.session.commit()
        except (IntegrityError, OperationalError) as error:
            # Another message about the same things came first, or both waited for each other.
            db.session.rollback()
            if attempt == TRIES or not _passes(error):
                raise
            log.info("a message of %s is tried again: %s", device_id, error.orig)
        else:
            return answer
    raise AssertionError("unreachable")


def _passes(error: IntegrityError | OperationalError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(error, IntegrityError) or state in _TURNS

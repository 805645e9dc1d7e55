"""Sessions of the console: begun by logging in, listed, ended; a cookie alone opens nothing.

The cookie has a random token, the database only its digest. A session ends when its row goes, when
the account's epoch is raised (another password, role or tags; disabled), or after a working day.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound
from deploy_server.services import audit
from deploy_server.storage.models import BrowserSession, User

#: A working day; then everybody logs in again.
LONGEST = timedelta(hours=12)

#: Being seen is written down this seldom: most requests only read.
SEEN_EVERY = timedelta(minutes=5)

_BROWSER_MAX = 300  # characters


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A browser in which somebody is logged in.

    Attributes:
        id: of the row.
        begun_at: when they logged in.
        seen_at: when it was last used, give or take `SEEN_EVERY`.
        address: where it logged in from.
        browser: its User-Agent.
    """

    id: int
    begun_at: datetime
    seen_at: datetime
    address: str
    browser: str


def begin(session: Session, user: User, *, address: str, browser: str, now: datetime) -> str:
    """Return the token of a new session; sessions of the user that have ended go."""
    session.execute(
        delete(BrowserSession).where(
            BrowserSession.user_id == user.id, _over(user.session_epoch, now)
        )
    )
    token = secrets.token_urlsafe(32)
    session.add(
        BrowserSession(
            token_digest=_digest(token),
            user_id=user.id,
            epoch=user.session_epoch,
            begun_at=now,
            seen_at=now,
            address=address,
            browser=browser[:_BROWSER_MAX],
        )
    )
    session.flush()
    return token


def find(session: Session, token: str, now: datetime) -> tuple[User, BrowserSession] | None:
    """Return whose session has this token, and the session; None where it has ended."""
    row = session.execute(
        select(User, BrowserSession)
        .join(BrowserSession, BrowserSession.user_id == User.id)
        .where(
            BrowserSession.token_digest == _digest(token),
            BrowserSession.epoch == User.session_epoch,
            BrowserSession.begun_at > now - LONGEST,
            User.disabled_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def mark_seen(session: Session, session_id: int, now: datetime) -> None:
    """Note that a session is in use."""
    session.execute(
        update(BrowserSession).where(BrowserSession.id == session_id).values(seen_at=now)
    )


def list_sessions(session: Session, user: User, now: datetime) -> list[OpenSession]:
    """Return the sessions of somebody that go on, used last first."""
    rows = session.scalars(
        select(BrowserSession)
        .where(BrowserSession.user_id == user.id, ~_over(user.session_epoch, now))
        .order_by(BrowserSession.seen_at.desc(), BrowserSession.id.desc())
    )
    return [
        OpenSession(row.id, row.begun_at, row.seen_at, row.address, row.browser) for row in rows
    ]


def log_out(session: Session, name: str, session_id: int, *, now: datetime) -> None:
    """End the session that somebody logs out of; whoever copied its cookie is out too."""
    _end(session, BrowserSession.id == session_id)
    audit.record(session, "logout", name, now=now, actor=name)


def end_session(session: Session, user: User, session_id: int, *, now: datetime) -> None:
    """End one session of somebody.

    Raises:
        NotFound: it has ended, or is somebody else's.
    """
    if not _end(session, BrowserSession.user_id == user.id, BrowserSession.id == session_id):
        raise NotFound("that session has ended already", "Reload the page")
    audit.record(session, "session.end", user.name, now=now, after={"sessions": 1})


def end_others(session: Session, user: User, kept_id: int, *, now: datetime) -> int:
    """End every session of somebody but one; how many there were."""
    number = _end(
        session,
        BrowserSession.user_id == user.id,
        BrowserSession.id != kept_id,
        ~_over(user.session_epoch, now),
    )
    if number:
        audit.record(session, "session.end", user.name, now=now, after={"sessions": number})
    return number


def _end(session: Session, *conditions: ColumnElement[bool]) -> int:
    ids = session.scalars(select(BrowserSession.id).where(*conditions)).all()
    session.execute(delete(BrowserSession).where(BrowserSession.id.in_(ids)))
    return len(ids)


def _over(epoch: int, now: datetime) -> ColumnElement[bool]:
    return or_(BrowserSession.epoch != epoch, BrowserSession.begun_at <= now - LONGEST)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

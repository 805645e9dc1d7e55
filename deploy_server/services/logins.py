"""Getting in: whose password it is, what a wrong one costs, and whom it costs that.

Wrong passwords are counted where they come from, so nobody keeps somebody else out by guessing:
ten in a row lock an account for that address alone. Where many addresses guess together, the
account is locked for all of them, but never for a browser that its owner was in with before.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from deploy_server.services import accounts, audit
from deploy_server.storage.models import LoginSource, User
from deploy_server.storage.types import fold

#: So many wrong passwords in a row lock an account for where they come from.
LOCK_AFTER = 10
#: So many within an hour, from anywhere, lock it for everybody who was never in.
LOCK_ALL_AFTER = 100

_LOCK_FIRST = timedelta(minutes=1)  # then for twice as long, and so on
_LOCK_LONGEST = timedelta(minutes=15)
_WINDOW = timedelta(hours=1)
_FORGET = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Source:
    """Where somebody tries to log in.

    Attributes:
        address: of the network; of an IPv6 address its first half counts.
        browser: a random name that this server gave the browser; '' for none.
        was_in: the users who have logged in with that browser before.
    """

    address: str = ""
    browser: str = ""
    was_in: frozenset[int] = field(default_factory=frozenset)

    def key(self, user: User) -> str:
        """Return what the wrong passwords for `user` are counted under."""
        return f"browser {self.browser}" if self.knows(user) else f"address {_half(self.address)}"

    def knows(self, user: User) -> bool:
        """Whether the user was in with this browser before."""
        return self.browser != "" and user.id in self.was_in


_NOWHERE = Source()


def authenticate(
    session: Session, name: str, password: str, *, now: datetime, source: Source = _NOWHERE
) -> User | None:
    """The user whose name and password these are; None where they are not, disabled or locked.

    The caller commits in every case, because wrong passwords are counted.

    A password takes a tenth of a second to check. Where that must not happen with the database
    locked, call `accounts.stored_hash`, `accounts.matches` and `record_login` one after the other.
    """
    ok = accounts.matches(accounts.stored_hash(session, name), password)
    return record_login(session, name, ok=ok, now=now, source=source)


def record_login(
    session: Session, name: str, *, ok: bool, now: datetime, source: Source = _NOWHERE
) -> User | None:
    """Note that somebody tried to log in; the user, if they may.

    Args:
        session: where it is noted, and entered into the audit log.
        name: as it was typed.
        ok: what `accounts.matches` said.
        now: this moment.
        source: where from.
    """
    user = session.scalar(select(User).where(User.name_key == fold(name.strip())).with_for_update())
    if user is None or user.disabled_at is not None:
        # The name itself is not written down: people type their password there.
        target = "an unknown name" if user is None else user.name
        audit.record(session, "login.failed", target, now=now, after={"known": user is not None})
        return None
    place = session.get(LoginSource, (user.id, source.key(user)))
    if _is_locked(user, place, source, now):
        return None
    if not ok:
        _count(session, user, place, source, now)
        return None
    if place is not None:
        session.delete(place)
    user.failed_logins, user.failed_since, user.locked_until = 0, None, None
    user.last_login = now
    audit.record(session, "login", user.name, now=now, actor=user.name)
    return user


def locks(session: Session, user: User, now: datetime) -> list[LoginSource]:
    """Return where wrong passwords for somebody came from within a day, most of them first."""
    return list(
        session.scalars(
            select(LoginSource)
            .where(LoginSource.user_id == user.id, LoginSource.last_at >= now - _FORGET)
            .order_by(LoginSource.failures.desc(), LoginSource.source)
            .limit(20)
        )
    )


def _is_locked(user: User, place: LoginSource | None, source: Source, now: datetime) -> bool:
    here = place.locked_until if place is not None else None
    everywhere = None if source.knows(user) else user.locked_until
    return any(until is not None and now < until for until in (here, everywhere))


def _count(
    session: Session, user: User, place: LoginSource | None, source: Source, now: datetime
) -> None:
    """Count a wrong password here, and everywhere unless the browser is known."""
    session.execute(
        delete(LoginSource).where(
            LoginSource.user_id == user.id, LoginSource.last_at < now - _FORGET
        )
    )
    if place is None or place.last_at < now - _FORGET:
        place = LoginSource(user_id=user.id, source=source.key(user), failures=0, last_at=now)
        session.add(place)
    place.failures += 1
    place.last_at, place.locked_until = now, _lock_until(place.failures, now)
    after = {"known": True, "in_a_row": place.failures, "locked_until": place.locked_until}
    if not source.knows(user):
        if user.failed_since is None or user.failed_since < now - _WINDOW:
            user.failed_logins, user.failed_since = 0, now
        user.failed_logins += 1
        if user.failed_logins >= LOCK_ALL_AFTER:
            user.locked_until = now + _LOCK_LONGEST
            after["locked_for_unknown_browsers_until"] = user.locked_until
    audit.record(session, "login.failed", user.name, now=now, after=after)


def _lock_until(failures: int, now: datetime) -> datetime | None:
    if failures < LOCK_AFTER:
        return None
    doublings = min(failures - LOCK_AFTER, 10)
    return now + min(_LOCK_FIRST * (1 << doublings), _LOCK_LONGEST)


def _half(address: str) -> str:
    """The address, or of an IPv6 one the network that a single customer gets."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((found, 64), strict=False))

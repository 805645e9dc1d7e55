"""How much there is of everything, for those who watch the server from outside."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from deploy_agent.wire import result
from deploy_agent.wire.result import ResultClass, ResultCode
from deploy_server.services import overview
from deploy_server.services.backup import BACKUPS
from deploy_server.storage.models import Assignment, Package

#: How old a failure may be that is still counted by its code.
RECENT = timedelta(days=7)

#: The codes that have a name of their own; agents may send anything, and each name would be kept
#: by whoever watches.
_KNOWN = frozenset(
    value
    for name, value in vars(result).items()
    if isinstance(value, str) and name == value and name.startswith(("ERR_", "SUCCESS"))
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of rows.

    Attributes:
        computers: in_contact, overdue, never.
        assignments: waiting, notified, success, error.
        failures: by code, of `RECENT`.
        packages: that are not deleted.
        database_bytes: on its disk.
        last_backup: when the last one was made, None where none ever was.
    """

    computers: dict[str, int]
    assignments: dict[str, int]
    failures: dict[str, int]
    packages: int
    database_bytes: int
    last_backup: datetime | None


def count(session: Session, *, now: datetime) -> Figures:
    """Count everything."""
    contacts = overview.contacts(session, now=now)
    failures: Counter[str] = Counter()
    for failed in overview.failures_by_code(session, since=now - RECENT):
        failures[_name_of(failed.code)] += failed.count
    packages = select(func.count()).select_from(Package).where(Package.deleted_at.is_(None))
    return Figures(
        computers={
            "in_contact": contacts.in_contact.count,
            "overdue": contacts.overdue.count,
            "never": contacts.never.count,
        },
        assignments=_assignments(session),
        failures=dict(failures),
        packages=session.scalar(packages) or 0,
        database_bytes=_size(session),
        last_backup=_last_backup(session),
    )


def _assignments(session: Session) -> dict[str, int]:
    statement = (
        select(Assignment.status_class, func.count())
        .where(Assignment.cleared_at.is_(None))
        .group_by(Assignment.status_class)
    )
    found = {ResultClass(number): count for number, count in session.execute(statement)}
    return {each.name.lower(): found.get(each, 0) for each in ResultClass}


def _last_backup(session: Session) -> datetime | None:
    found = overview.counters(session, [BACKUPS]).get(BACKUPS)
    return found.last_at if found else None


def _name_of(code: str) -> str:
    if code in _KNOWN:
        return code
    return "ERR_EXIT_CODE" if ResultCode.parse(code).exit_code is not None else "other"


def _size(session: Session) -> int:
    if session.get_bind().dialect.name == "postgresql":
        return int(session.scalar(text("SELECT pg_database_size(current_database())")) or 0)
    pages, size = (session.scalar(text(f"PRAGMA {each}")) for each in ("page_count", "page_size"))
    return int(pages or 0) * int(size or 0)

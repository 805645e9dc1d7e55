"""Entries for people, and whether any is missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, func, or_, select
from sqlalchemy.orm import Session

from deploy_server.services.audit.chain import FIELDS, digest_of
from deploy_server.storage.models import AuditChain, AuditEntry

#: What an export has of an entry.
COLUMNS = (*FIELDS, "digest")

BATCH = 1000  # entries in memory at a time


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries.

    Attributes:
        since: not older.
        until: older than that.
        actor: part of a name, in any case.
        action: its beginning, such as `package` or `package.build`.
        text: part of the target, or of what it was before or after.
    """

    since: datetime | None = None
    actor: str = ""
    action: str = ""
    text: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of entries, newest first."""

    rows: tuple[AuditEntry, ...]
    total: int
    page: int
    page_size: int

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page_size))


def list_entries(
    session: Session, wanted: Filter, *, page: int = 1, page_size: int = 50
) -> AuditPage:
    """Return a page of the entries that fit, newest first."""
    conditions = _conditions(wanted)
    total = session.scalar(select(func.count()).select_from(AuditEntry).where(*conditions)) or 0
    rows = session.scalars(
        select(AuditEntry)
        .where(*conditions)
        .order_by(AuditEntry.number.desc())
        .limit(page_size)
        .offset((page - 1) * page_size)
    )
    return AuditPage(tuple(rows), total, page, page_size)


def each_entry(session: Session, wanted: Filter) -> Iterator[AuditEntry]:
    """Yield the entries that fit, oldest first; memory stays bounded."""
    return _after(session, 0, *_conditions(wanted))


def _after(session: Session, number: int, *conditions: ColumnElement[bool]) -> Iterator[AuditEntry]:
    while True:
        rows = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.number > number, *conditions)
            .order_by(AuditEntry.number)
            .limit(BATCH)
        ).all()
        yield from rows
        if len(rows) < BATCH:
            return
        number = rows[-1].number
        session.expunge_all()


def actions(session: Session) -> list[str]:
    """Return every action that was entered, in order."""
    found = select(AuditEntry.action).distinct().order_by(AuditEntry.action)
    return list(session.scalars(found))


def find_break(session: Session) -> str | None:
    """Return where the chain is broken, as a sentence; None where it is whole.

    Others may add and remove entries meanwhile: each end counts as it is after the walk to it.
    """
    ends = _ends(session)
    number, digest = (ends.removed_number, ends.removed_digest) if ends else (0, "")
    while ends is not None:
        begun = number
        for entry in _after(session, number):
            if entry.number != number + 1:
                break
            digest = digest_of(digest, {name: getattr(entry, name) for name in FIELDS})
            if digest != entry.digest:
                return f"entry {entry.number} of the audit log was changed, or the one before it"
            number = entry.number
        ends = _ends(session)
        if ends is None or (number, digest) == (ends.last_number, ends.last_digest):
            break
        if ends.removed_number > number:  # retention was faster
            number, digest = ends.removed_number, ends.removed_digest
        elif number >= ends.last_number:
            return f"the end of the audit log after entry {ends.last_number} was changed"
        elif number == begun:
            return f"entry {number + 1} of the audit log is missing"
    return None if ends else "the row with both ends of the audit log is gone"


def _ends(session: Session) -> Row[int, str, int, str] | None:
    """Return both ends of the chain, as they are now."""
    return session.execute(
        select(
            AuditChain.removed_number,
            AuditChain.removed_digest,
            AuditChain.last_number,
            AuditChain.last_digest,
        )
    ).one_or_none()


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        found.append(AuditEntry.at < wanted.until)
    if wanted.actor:
        found.append(AuditEntry.actor.icontains(wanted.actor, autoescape=True))
    if wanted.action:
        found.append(AuditEntry.action.startswith(wanted.action, autoescape=True))
    if wanted.text:
        columns = (AuditEntry.target, AuditEntry.before, AuditEntry.after)
        found.append(or_(*(each.icontains(wanted.text, autoescape=True) for each in columns)))
    return found

"""Packages that a computer's groups have and that are not for it: no row says so, so this does."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.domain.assigning import why_not
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import Assignment, Computer, Group, GroupAssignment, Package


@dataclass(frozen=True, slots=True)
class SkippedPackage:
    """A package that goes past a computer.

    Attributes:
        package: its id.
        name: of the package.
        group: that has it.
        reason: why it does not suit, as a sentence.
        since: when the group was given it.
    """

    package: int
    name: str
    group: str
    reason: str
    since: datetime


def skipped_packages(session: Session, computer_id: int, *, now: datetime) -> list[SkippedPackage]:
    """Return what a computer's groups have that does not suit it, each package once, by name."""
    computer = session.get(Computer, computer_id)
    if computer is None:
        return []
    mine = select(Assignment.package_id).where(Assignment.computer_id == computer_id)
    rows = session.execute(
        select(Package, Group.name, GroupAssignment.assigned_at)
        .join(GroupAssignment, GroupAssignment.package_id == Package.id)
        .join(Group, Group.id == GroupAssignment.group_id)
        .where(
            Group.id.in_(list(groups_of(session, computer_id, now))),
            Package.deleted_at.is_(None),
            Package.id.not_in(mine),
        )
        .order_by(Package.name_key, GroupAssignment.id)
    )
    found: dict[int, SkippedPackage] = {}
    for package, group, since in rows:
        digest = (package.digest_algorithm, package.digest_encoding)
        reason = why_not(package.os, *digest, computer.os_family, computer.agent)
        if reason is not None:
            each = SkippedPackage(package.id, package.name, group, reason, since)
            found.setdefault(package.id, each)
    return list(found.values())

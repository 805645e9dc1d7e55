"""Packages as people see them: lists, one of them, deletion, export; changes are `editing`'s."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.fragment import INFO_FILE
from deploy_agent.wire.result import ResultClass
from deploy_server.domain.archive.wrap import zip_stream
from deploy_server.domain.errors import Conflict, DeployError, NotFound, StorageError
from deploy_server.domain.layout import package_name
from deploy_server.services import audit, status, withdrawing
from deploy_server.services.editing import edit_package, spec_of
from deploy_server.services.intake import PIECE
from deploy_server.services.status import PackageStatus
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.models import (
    Activation,
    Assignment,
    DownloadHistory,
    GroupAssignment,
    Package,
)

__all__ = [
    "Impact",
    "PackageRow",
    "delete_packages",
    "edit_package",
    "export_package",
    "get_package",
    "impact",
    "list_packages",
    "listed",
    "purge_packages",
    "spec_of",
]

log = logging.getLogger(__name__)

Perimeter = frozenset[str] | None

_OPEN = (ResultClass.WAITING, ResultClass.NOTIFIED)


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A package in a list, with the number of its open activations and its counts."""

    package: Package
    activations: int
    status: PackageStatus


@dataclass(frozen=True, slots=True)
class Impact:
    """What a deletion or a deactivation touches.

    Attributes:
        packages: how many.
        activations: open ones that end.
        waiting: computers that were not told yet.
        notified: computers that were told and have not answered.
        groups: groups that have it assigned.
    """

    packages: int = 0
    activations: int = 0
    waiting: int = 0
    notified: int = 0
    groups: int = 0


def list_packages(
    session: Session, *, now: datetime, deleted: bool = False, perimeter: Perimeter = None
) -> list[PackageRow]:
    """Return the packages that are there, or the deleted ones; newest first."""
    found = session.scalars(
        select(Package).where(*listed(deleted=deleted)).order_by(Package.id.desc())
    ).all()
    ids = [package.id for package in found]
    counts = status.package_statuses(session, ids, now=now, perimeter=perimeter)
    open_ones = (
        select(Activation.package_id, func.count())
        .where(Activation.ended_at.is_(None))
        .group_by(Activation.package_id)
    )
    activations: dict[int, int] = {row[0]: row[1] for row in session.execute(open_ones)}
    return [PackageRow(each, activations.get(each.id, 0), counts[each.id]) for each in found]


def listed(*, deleted: bool) -> list[ColumnElement[bool]]:
    """Return the conditions of a list: the packages that are there, or the deleted ones."""
    if not deleted:
        return [Package.deleted_at.is_(None)]
    return [Package.deleted_at.is_not(None), Package.purged_at.is_(None)]


def get_package(session: Session, package_id: int | str, *, deleted: bool = False) -> Package:
    """Return a package by its id.

    Args:
        session: where from.
        package_id: a number or its ten digits.
        deleted: a deleted one is found too.

    Raises:
        NotFound: there is none.
    """
    text = str(package_id).strip()
    is_id = text.isascii() and text.isdigit() and len(text) <= 10
    found = session.get(Package, int(text)) if is_id else None
    if found is None or (found.deleted_at is not None and not deleted):
        what = "was deleted" if found is not None else "does not exist"
        raise NotFound(f"package {text[:40]} {what}", "Look at: deploy-server package list")
    return found


def impact(session: Session, package_ids: Sequence[int]) -> Impact:
    """Return what deleting these packages would touch."""
    ids = set(package_ids)
    activations = select(func.count()).where(
        Activation.package_id.in_(ids), Activation.ended_at.is_(None)
    )
    groups = select(func.count()).where(GroupAssignment.package_id.in_(ids))
    waiting, notified = (
        session.scalar(
            select(func.count()).where(
                Assignment.package_id.in_(ids),
                Assignment.cleared_at.is_(None),
                Assignment.status_class == each,
            )
        )
        or 0
        for each in _OPEN
    )
    return Impact(
        packages=len(ids),
        activations=session.scalar(activations) or 0,
        waiting=waiting,
        notified=notified,
        groups=session.scalar(groups) or 0,
    )


def delete_packages(
    session: Session,
    store: FragmentStore,
    package_ids: Sequence[int],
    *,
    now: datetime,
    actor: str,
) -> Impact:
    """End activations and open assignments of packages, mark them deleted, remove their files.

    Commits by itself, before files go; results stay.

    Raises:
        NotFound: one of them does not exist; nothing has changed then.
        StorageError: they are deleted, but files of theirs could not be removed yet.
    """
    packages = [get_package(session, each) for each in dict.fromkeys(package_ids)]
    ids = [package.id for package in packages]
    gone = impact(session, ids)
    session.execute(
        update(Activation)
        .where(Activation.package_id.in_(ids), Activation.ended_at.is_(None))
        .values(ended_at=now)
    )
    session.execute(delete(GroupAssignment).where(GroupAssignment.package_id.in_(ids)))
    withdrawing.remember(session, [Assignment.package_id.in_(ids)], actor=actor, now=now)
    session.execute(
        delete(Assignment).where(Assignment.package_id.in_(ids), Assignment.status_class.in_(_OPEN))
    )
    for package in packages:
        package.deleted_at = now
        was = {"name": package.name, "revision": package.revision, "size": package.size}
        audit.record(session, "package.delete", str(package.id), now=now, actor=actor, before=was)
    session.commit()
    log.info("%s deleted packages %s", actor, ids)
    _remove_files(store, ids)
    return gone


def purge_packages(
    session: Session, package_ids: Sequence[int], *, now: datetime, actor: str
) -> int:
    """Take deleted packages off their list, and their ids out of the computers' own histories.

    What agents reported stays, and an agent that still has an id in its history keeps it.

    Args:
        session: not committed here.
        package_ids: which.
        now: UTC.
        actor: who does it.

    Returns:
        From how many computers' histories ids went.

    Raises:
        NotFound: one of them does not exist.
        Conflict: one of them is not deleted.
    """
    packages = deleted_packages(session, package_ids)
    ids = [package.id for package in packages]
    computers = histories_with(session, ids)
    session.execute(delete(DownloadHistory).where(DownloadHistory.package_id.in_(ids)))
    for package in packages:
        package.purged_at = package.purged_at or now
        was = {"name": package.name}
        audit.record(session, "package.purge", str(package.id), now=now, actor=actor, before=was)
    return computers


def deleted_packages(session: Session, package_ids: Sequence[int]) -> list[Package]:
    """Return packages that were deleted, each once.

    Raises:
        NotFound: one of them does not exist.
        Conflict: one of them is not deleted.
    """
    packages = [get_package(session, each, deleted=True) for each in dict.fromkeys(package_ids)]
    for package in packages:
        if package.deleted_at is None:
            raise Conflict(f"package {package.id} is not deleted", "Delete it first")
    return packages


def histories_with(session: Session, package_ids: Sequence[int]) -> int:
    """Return how many computers have one of the packages in their own history."""
    computers = func.count(DownloadHistory.computer_id.distinct())
    found = select(computers).where(DownloadHistory.package_id.in_(package_ids))
    return session.scalar(found) or 0


def export_package(session: Session, store: FragmentStore, package_id: int) -> Iterator[bytes]:
    """Return a zip of the published folder, piece by piece; memory stays bounded.

    Raises:
        NotFound: there is no such package, before the first piece.
        Conflict: it was changed meanwhile; what came until then is no whole zip.
    """
    package = get_package(session, package_id)
    names = store.names(package.id)
    if INFO_FILE not in names:
        raise NotFound(f"the files of package {package.id} are gone", "Build it again")
    members = _members(store, package.id, names)
    return zip_stream(members, 0, datetime.fromtimestamp(package.id, UTC))


def _members(
    store: FragmentStore, package_id: int, names: Sequence[str]
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the files; it refuses to end where they are not all of one revision."""
    info = b"".join(_blocks(store, package_id, INFO_FILE))
    for name in names:
        yield f"{package_name(package_id)}/{name}", _blocks(store, package_id, name)
    if b"".join(_blocks(store, package_id, INFO_FILE)) != info:
        raise Conflict(f"package {package_id} was changed while it was exported", "Export it again")


def _blocks(store: FragmentStore, package_id: int, name: str) -> Iterator[bytes]:
    with store.open(package_id, name) as file:
        while block := file.read(PIECE):
            yield block


def _remove_files(store: FragmentStore, ids: Sequence[int]) -> None:
    left: list[DeployError] = []
    for package_id in ids:
        try:
            store.delete(package_id)
        except (Conflict, StorageError) as error:
            left.append(error)
    if left:
        raise StorageError(
            f"deleted, but files are left: {'; '.join(each.message for each in left)}",
            "Run: deploy-server db sweep",
        )

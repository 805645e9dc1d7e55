"""Packages as people see them: lists, one of them, changes, deletion, export."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from sqlalchemy.orm import Session

from deploy_server.domain.spec import PackageSpec
from deploy_server.services.building import Progress
from deploy_server.services.status import PackageStatus
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.models import Package

Perimeter = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A package in a list, with its open activations and its counts."""

    package: Package
    activations: int
    status: PackageStatus


@dataclass(frozen=True, slots=True)
class Impact:
    """What a deletion, a deactivation or a change touches.

    Attributes:
        packages: how many.
        activations: open ones that end.
        waiting: computers that were not told yet.
        notified: computers that were told and have not answered.
    """

    packages: int = 0
    activations: int = 0
    waiting: int = 0
    notified: int = 0


def list_packages(
    session: Session, *, now: datetime, deleted: bool = False, perimeter: Perimeter = None
) -> list[PackageRow]:
    """Return the packages that are there, or the deleted ones; newest first."""
    raise NotImplementedError


def get_package(session: Session, package_id: int | str, *, deleted: bool = False) -> Package:
    """Return a package by its id.

    Args:
        session: where from.
        package_id: a number or its ten digits.
        deleted: a deleted one is found too.

    Raises:
        NotFound: there is none.
    """
    raise NotImplementedError


def spec_of(package: Package) -> PackageSpec:
    """Return what the package was built from, to change it or to build another one like it."""
    raise NotImplementedError


def edit_package(
    session: Session,
    store: FragmentStore,
    package_id: int,
    spec: PackageSpec,
    source: BinaryIO | None = None,
    *,
    now: datetime,
    actor: str,
    file_name: str = "",
    length: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Package:
    """Change a package under its id and raise its revision; commits by itself.

    Without `source` it keeps its file; another digest or fragment size then cuts it anew.
    Readers see the files of one revision at any moment. Arguments and errors besides are those of
    `build_package`.

    Raises:
        NotFound: there is no such package.
        Conflict: the name is taken, or somebody else is changing the package right now.
    """
    raise NotImplementedError


def impact(session: Session, package_ids: Sequence[int]) -> Impact:
    """Return what deleting these packages would touch."""
    raise NotImplementedError


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
    """
    raise NotImplementedError


def export_package(session: Session, store: FragmentStore, package_id: int) -> Iterator[bytes]:
    """Yield a zip of the published folder; memory stays bounded.

    Raises:
        NotFound: there is no such package, before the first piece.
    """
    raise NotImplementedError

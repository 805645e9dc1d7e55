"""Changing a package: the same id, one revision more, with or without a new file.

Readers see the files of one revision at any moment. The folder changes first, the row follows; a
crash between the two is taken back by services/sweeping.py.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy.orm import Session

from deploy_agent.wire.digest import Digest
from deploy_agent.wire.fragment import FRAGMENTS_FILE, INFO_FILE, FragmentPlan, fragment_name
from deploy_agent.wire.info import parse_info
from deploy_agent.wire.terms import INFO_MAX, Action
from deploy_server.domain.errors import NotFound, StorageError
from deploy_server.domain.layout import Content, info_of, package_name
from deploy_server.domain.package import check_spec
from deploy_server.domain.spec import PackageSpec
from deploy_server.services import audit
from deploy_server.services.building import (
    OPTIONS,
    content_fields,
    described,
    fragment_ratio,
    refuse_taken_name,
    settle,
)
from deploy_server.services.filling import bare_name, check_archive, fill, kind_of, put_info
from deploy_server.services.intake import Intake, Progress
from deploy_server.services.sweeping import recover_package
from deploy_server.storage.fragments import FragmentStore, Staging
from deploy_server.storage.models import Package

log = logging.getLogger(__name__)


def spec_of(package: Package) -> PackageSpec:
    """Return what the package was built from, to change it or to build another one like it."""
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in package.options.items()
        if name in OPTIONS
    }
    digest: dict[str, Any] = {
        "digest_algorithm": package.digest_algorithm,
        "digest_encoding": package.digest_encoding,
    }
    return PackageSpec(
        name=package.name,
        os=package.os,
        action=package.action,
        target=package.target,
        priority=package.priority,
        fragment_size=package.fragment_size,
        protocol=package.protocol,
        description=package.description,
        **(digest if package.fragments else {}),
        **options,
    )


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

    Without `source` it keeps its file; another digest algorithm or cut then cuts it anew, and a
    specification that says nothing about the cut leaves it. Other arguments and errors are those
    of `build_package`.

    Raises:
        NotFound: there is no such package.
        Conflict: the name is taken, or somebody else is changing the package right now.
    """
    before = _read(session, package_id)
    check_spec(spec, source is not None or before.fragments > 0)
    refuse_taken_name(session, spec.name, package_id)
    intake = None if source is None else Intake(source, length, max_bytes, progress)
    if intake is not None:
        kind_of(spec, intake.head)
    ratio = fragment_ratio(session)
    session.commit()
    recover_package(session, store, package_id)  # what an earlier change may have left
    with store.begin(package_id) as staging:
        # Nobody else changes it from here on; what was read above may be older.
        before = _read(session, package_id)
        revision = before.revision + 1
        session.commit()
        if intake is None:
            name = before.file_name
            content = _Kept(store, staging, before, spec, now).content(progress)
        else:
            name = bare_name(file_name)
            content = fill(
                store, staging, package_id, spec, intake, now=now, file_name=name, ratio=ratio
            )
        put_info(staging, info_of(package_id, spec, content, revision))
        staging.publish()
        package = _read(session, package_id, lock=True)
        values = {**described(spec), **content_fields(spec, content), "file_name": name}
        _change(session, package, values | {"revision": revision}, now, actor)
        settle(session, staging, package)
    log.info("%s changed package %s to revision %s", actor, package_id, revision)
    return package


def _change(
    session: Session, package: Package, values: Mapping[str, Any], now: datetime, actor: str
) -> None:
    """Give the row other values, and enter which."""
    was = {column: getattr(package, column) for column in values}
    target = str(package.id)
    audit.record(session, "package.edit", target, now=now, actor=actor, before=was, after=values)
    for column, value in values.items():
        setattr(package, column, value)


def _read(session: Session, package_id: int, *, lock: bool = False) -> Package:
    """Return the package as it is now, whatever the session had loaded."""
    found = session.get(Package, package_id, populate_existing=True, with_for_update=lock or None)
    if found is None or found.deleted_at is not None:
        raise NotFound(f"package {package_id} does not exist or was deleted", "Reload the list")
    return found


@dataclass(frozen=True, slots=True)
class _Kept:
    """A change that keeps the file."""

    store: FragmentStore
    staging: Staging
    before: Package
    spec: PackageSpec
    now: datetime

    def content(self, progress: Progress | None) -> Content | None:
        """Take the fragments over, or cut the same bytes anew."""
        before = self.before
        if not before.fragments or before.fragment_size is None:
            return None
        plan = FragmentPlan(before.size, before.fragment_size)
        with self.store.reader(before.id, plan) as file:
            if self._is_cut_anew():
                intake = Intake(file, before.size, progress=progress)
                spec = self._cut_spec()
                return fill(self.store, self.staging, before.id, spec, intake, now=self.now)
            if self._is_judged_anew():
                check_archive(file, self.spec)
        name = package_name(before.id)
        for number in range(1, plan.count + 1):
            self.staging.keep(fragment_name(name, number))
        self.staging.keep(FRAGMENTS_FILE)
        return self._described(plan)

    def _is_cut_anew(self) -> bool:
        return (
            self.spec.digest_algorithm != self.before.digest_algorithm
            or self.spec.fragment_size not in (None, self.before.fragment_size)
            or self.spec.fragments not in (None, self.before.fragments)
        )

    def _cut_spec(self) -> PackageSpec:
        size = self.spec.fragment_size
        if size is None and self.spec.fragments is None:
            size = self.before.fragment_size
        return replace(self.spec, fragment_size=size, wrap=False)

    def _is_judged_anew(self) -> bool:
        before, spec = self.before, self.spec
        if spec.os != before.os:
            return True
        launches = spec.action == Action.LAUNCH
        return launches and (before.action, before.target) != (spec.action, spec.target)

    def _described(self, plan: FragmentPlan) -> Content:
        """Return what the published info file says about the file that stays."""
        before = self.before
        with self.store.open(before.id, INFO_FILE) as file:
            info = parse_info(file.read(INFO_MAX + 1))
        digest = Digest.parse(before.digest, before.digest_algorithm, before.digest_encoding)
        if info.sha256 is None or info.fragments_sha256 is None:
            raise StorageError(
                f"the info file of package {before.id} was changed by hand",
                "Edit the package with its file",
            )
        return Content(plan, digest.raw, info.sha256, info.fragments_sha256)

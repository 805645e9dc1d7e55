"""Building packages: an upload becomes fragments, an info file and a row.

Files first, row second: what agents can be told of is there. What a crash leaves is
services/sweeping.py's business.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session

from deploy_agent.wire.terms import PACKAGE_ID_MAX
from deploy_server.domain.errors import Conflict
from deploy_server.domain.layout import Content, digest_of, info_of
from deploy_server.domain.package import check_spec
from deploy_server.domain.spec import PackageSpec
from deploy_server.services import audit
from deploy_server.services.filling import bare_name, fill, kind_of, put_info
from deploy_server.services.intake import Intake, Progress
from deploy_server.services.settings import get_setting
from deploy_server.storage.allocation import allocate, give_back, last_allocated
from deploy_server.storage.fragments import FragmentStore, Staging
from deploy_server.storage.models import Package
from deploy_server.storage.types import fold

__all__ = ["Progress", "build_package"]

log = logging.getLogger(__name__)

_ID_MIN = 1_000_000_000  # the smallest number of ten digits
_MIB = 1024**2

#: Fields of a specification that only the info file needs besides; where a package has a value.
OPTIONS = (
    "notify_text",
    "notify_countdown",
    "can_abort",
    "can_delay",
    "done_text",
    "success_codes",
    "reboot_codes",
    "retry_codes",
    "execution_timeout",
)


def build_package(
    session: Session,
    store: FragmentStore,
    spec: PackageSpec,
    source: BinaryIO | None,
    *,
    now: datetime,
    actor: str,
    file_name: str = "",
    length: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
    hidden: bool = False,
) -> Package:
    """Return the new package; its files are published and its row is committed.

    Commits what was pending first, to hold no lock while it reads `source`, and then the row.

    Args:
        session: not inside `session.begin()`.
        store: takes the files.
        spec: checked here again.
        source: the file, read once from where it stands; None for a command without one.
        now: the time, UTC.
        actor: who builds.
        file_name: the file's, for people; the name inside an archive that wraps it.
        length: bytes of the file where the caller knows them, None where not.
        max_bytes: the largest file that is taken.
        progress: called with the bytes taken so far and all of them, None where nobody knows.
        hidden: only administrators see it.

    Raises:
        SpecErrors, SpecError: fields are wrong, or the file (`file`, `target`, `fragment_size`).
        Conflict: the name is taken.
        TooLarge: the file is larger than `max_bytes`.
        StorageError: the disk is full or refuses.
        After any of them nothing is left, after a crash an unused id at most.
    """
    check_spec(spec, source is not None)
    refuse_taken_name(session, spec.name)
    intake = None if source is None else Intake(source, length, max_bytes, progress)
    if intake is not None:
        kind_of(spec, intake.head)
    ratio = fragment_ratio(session)
    name = bare_name(file_name)
    with _new_id(session, now) as package_id, store.begin(package_id) as staging:
        content = None
        if intake is not None:
            content = fill(
                store, staging, package_id, spec, intake, now=now, file_name=name, ratio=ratio
            )
        put_info(staging, info_of(package_id, spec, content))
        package = Package(id=package_id, created_at=now, created_by=actor, revision=1)
        package.hidden_at = now if hidden else None
        _describe(package, spec, content, name if intake else "")
        staging.publish()
        _enter(session, spec, package)
        settle(session, staging, package)
    log.info("%s built package %s", actor, package_id)
    return package


def _enter(session: Session, spec: PackageSpec, package: Package) -> None:
    after = {**described(spec), "size": package.size, "file_name": package.file_name}
    at, actor = package.created_at, package.created_by
    audit.record(session, "package.build", str(package.id), now=at, actor=actor, after=after)
    session.add(package)


def _describe(package: Package, spec: PackageSpec, content: Content | None, name: str) -> None:
    package.file_name = name
    for field, value in {**described(spec), **content_fields(spec, content)}.items():
        setattr(package, field, value)


def refuse_taken_name(session: Session, name: str, package_id: int | None = None) -> None:
    """Return when no other package that is not deleted is called `name`.

    Raises:
        Conflict: one is.
    """
    same = select(Package.id).where(Package.name_key == fold(name), Package.deleted_at.is_(None))
    other = session.scalar(same.where(Package.id != (package_id or 0)))
    if other is not None:
        raise Conflict(
            f"the name {name} is taken: package {other} has it",
            "Choose another name, change that package, or delete it first",
        )


def fragment_ratio(session: Session) -> int | None:
    """Return DOWNLOAD_RATIO_FRAG in bytes where DOWNLOAD_ACTIVATE_FRAG switches it on."""
    if get_setting(session, "DOWNLOAD_ACTIVATE_FRAG").value != "1":
        return None
    return int(get_setting(session, "DOWNLOAD_RATIO_FRAG").value) * _MIB


def usual_protocol(session: Session) -> str:
    """Return how fragments of a package are fetched whose build does not say."""
    return get_setting(session, "DOWNLOAD_PROTOCOL").value


def described(spec: PackageSpec) -> dict[str, Any]:
    """Return the columns of a package that say what people said about it."""
    options = {name: getattr(spec, name) for name in OPTIONS}
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if value is not None and value is not False and value != ()
    }
    return {
        "name": spec.name,
        "name_key": fold(spec.name),
        "description": spec.description,
        "os": spec.os,
        "action": spec.action,
        "target": spec.target,
        "priority": spec.priority,
        "protocol": spec.protocol,
        "options": given,
    }


def content_fields(spec: PackageSpec, content: Content | None) -> dict[str, Any]:
    """Return the columns of a package that say what its file is."""
    if content is None:
        return {"size": 0, "fragments": 0, "fragment_size": None, "sha256": None}
    return {
        "size": content.plan.size,
        "fragments": content.plan.count,
        "fragment_size": content.plan.fragment_size,
        "digest": digest_of(spec, content).text,
        "digest_algorithm": spec.digest_algorithm,
        "digest_encoding": spec.digest_encoding,
        "sha256": content.sha256.hex(),
    }


def settle(session: Session, staging: Staging, package: Package) -> None:
    """Commit the row of what was published; the files follow the row, whatever happens.

    Raises:
        Conflict: the name was taken meanwhile.
        StorageError: somebody else could change the package meanwhile.
    """
    package_id, revision, name = package.id, package.revision, package.name
    try:
        staging.confirm()  # as late as can be: only the commit follows
        session.commit()
    except BaseException as error:
        # Also Ctrl-C, and a connection that broke: the commit may have come through.
        _follow_row(session, staging, package_id, revision)
        if isinstance(error, IntegrityError):
            refuse_taken_name(session, name, package_id)
        raise
    staging.finish()


def _follow_row(session: Session, staging: Staging, package_id: int, revision: int) -> None:
    try:
        _roll_back(session)
        found = session.scalar(select(Package.revision).where(Package.id == package_id))
        session.rollback()
    except DBAPIError:
        staging.leave()
        return
    if found == revision:
        staging.finish()


def _roll_back(session: Session) -> None:
    try:
        session.rollback()
    except InvalidRequestError:  # it was interrupted between two of its own steps
        session.invalidate()


@contextmanager
def _new_id(session: Session, now: datetime) -> Iterator[int]:
    """Yield a package id that was never given out; committed, so that nobody else gets it.

    Where the block fails and left no row, nobody has seen the id, and it is given back.
    """
    seconds = int(now.timestamp())
    # Past the last possible id, as after 2038, there is only counting on.
    at_least = seconds if _ID_MIN <= seconds <= PACKAGE_ID_MAX else _ID_MIN
    before = last_allocated(session, "package", lock=True)
    package_id = allocate(session, "package", at_least)
    if package_id > PACKAGE_ID_MAX:
        session.rollback()
        raise Conflict(
            f"there are no package ids left: the last one was {PACKAGE_ID_MAX}",
            "Look whether the clock of this server was ever wrong",
        )
    session.commit()
    try:
        yield package_id
    except BaseException:
        with suppress(DBAPIError):  # what failed first is what people need to hear
            _roll_back(session)
            if session.get(Package, package_id) is None:
                last = package_id - 1 if before is None else before
                give_back(session, "package", package_id, last)
            session.commit()
        raise

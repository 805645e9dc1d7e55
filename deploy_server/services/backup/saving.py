"""Makes a backup while everybody goes on working.

The database is read in one transaction, and the packages it names at that moment are held before it
ends (holding.py), so rows and files fit together whoever builds, edits or deletes meanwhile. The
database is written in our own form and not by pg_dump: it needs no program of the same version
beside us, and what comes from SQLite can go to PostgreSQL and back.
"""

import contextlib
import fcntl
import gzip
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from sqlalchemy import Connection, select

from deploy_server.config import ServerConfig
from deploy_server.domain.errors import Conflict, SpecError, StorageError
from deploy_server.services import audit
from deploy_server.services.backup.archive import DATABASE, Manifest, Progress, Writer
from deploy_server.services.backup.holding import Held, holding
from deploy_server.services.sweeping import recover_package
from deploy_server.storage import dump, schema
from deploy_server.storage.atomic import sync_folder
from deploy_server.storage.database import READ_ONLY, make_engine, session_factory
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.models import Package
from deploy_server.storage.stores import fragment_store
from deploy_server.storage.upsert import count

log = logging.getLogger(__name__)

#: The counter that says when the last one was made.
BACKUPS = "backups"

#: How often a package that does not fit its row is looked at again, and after how many seconds.
_LOOKS = 40
_LOOK_AGAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Saved:
    """A backup that was made.

    Attributes:
        manifest: what is in it.
        size: bytes of the file.
    """

    manifest: Manifest
    size: int


def save(
    config: ServerConfig, target: Path, *, now: datetime, actor: str, progress: Progress
) -> Saved:
    """Write a backup of everything to `target`, which appears when it is complete.

    It is entered in the audit log, because whoever has the file has every key of the server.

    Raises:
        SpecError: `target` cannot be a backup.
        Conflict: somebody is making one right now.
        StorageError: disk or database refuse; an older backup at `target` is as it was.
    """
    target = target.absolute()
    _check_target(config, target)
    with (
        storage_errors(f"the backup {target} cannot be written"),
        _appearing(target) as file,
        _holding(config) as held,
        tempfile.TemporaryFile(dir=target.parent) as database,
    ):
        revision, missing = _read(config, held, cast(BinaryIO, database))
        database_size = database.tell()
        database.seek(0)
        total = held.size() + database_size
        _check_space(target, total)
        writer = Writer(file, progress, total)
        for name, data in _settled(config).items():
            writer.add_bytes(name, data)
        writer.add(DATABASE, database, database_size, now.timestamp())
        for package_id in held.ids():
            for member in held.members(package_id):
                with member.open() as source:
                    name = f"download/{package_id:010d}/{member.name}"
                    writer.add(name, source, member.size, member.modified)
        manifest = writer.finish(now, revision, missing)
    saved = Saved(manifest, target.stat().st_size)
    if saved.manifest.schema == schema.NEWEST:
        # Else it is one for an upgrade: this program does not write to such a database.
        _enter(config, target, saved, now, actor)
        _tidy(config, held)
    return saved


def _holding(config: ServerConfig) -> AbstractContextManager[Held]:
    if config.bucket is None:
        return holding(config.download, config.staging)
    from deploy_server.services.backup import holding_s3
    from deploy_server.storage.s3 import S3FragmentStore

    return holding_s3.holding(cast(S3FragmentStore, fragment_store(config)))


def _enter(config: ServerConfig, target: Path, saved: Saved, now: datetime, actor: str) -> None:
    engine = make_engine(config.database_url)
    try:
        with session_factory(engine).begin() as session:
            count(session, BACKUPS, now)
            facts = {"size": saved.size, "packages": saved.manifest.packages}
            audit.record(session, "backup.save", str(target), now=now, after=facts, actor=actor)
    finally:
        engine.dispose()


def _tidy(config: ServerConfig, held: Held) -> None:
    """Remove what was replaced or deleted meanwhile and only left for us."""
    engine = make_engine(config.database_url)
    try:
        with session_factory(engine)() as session:
            for package_id in held.outlived():
                recover_package(session, fragment_store(config), package_id)
    except StorageError as error:
        log.warning("left for the next sweep: %s", error)
    finally:
        engine.dispose()


def _read(config: ServerConfig, held: Held, out: BinaryIO) -> tuple[str, list[int]]:
    """Dump the database and hold its packages; returns its schema and the packages without files.

    What changed between the first look at the rows and the holding of files shows in the files, and
    then the rows are looked at again; what is held already stays, so each look has less to do.
    """
    engine = make_engine(config.database_url)
    try:
        for look in range(_LOOKS):
            with _moment(engine.connect()) as connection:
                missing = _hold_all(connection, held)
                if not missing or look == _LOOKS - 1:
                    return _dump(connection, out), missing
            time.sleep(_LOOK_AGAIN_S)
    finally:
        engine.dispose()
    raise AssertionError("unreachable")


@contextlib.contextmanager
def _moment(connection: Connection) -> Iterator[Connection]:
    """A transaction that sees one moment of the database, and that nobody waits for."""
    options: dict[str, Any] = dict(READ_ONLY)
    if connection.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with connection.execution_options(**options), connection.begin():
        yield connection


def _hold_all(connection: Connection, held: Held) -> list[int]:
    """Hold the packages of this moment; returns those whose files are not there like that."""
    if schema.revision(connection) is None:
        raise StorageError("the database is empty", "Run: deploy-server init")
    columns = Package.id, Package.revision, Package.fragments
    rows = connection.execute(select(*columns).where(Package.deleted_at.is_(None))).all()
    held.drop(set(held.ids()) - {row.id for row in rows})
    return [row.id for row in rows if not held.hold(row.id, row.revision, row.fragments)]


def _dump(connection: Connection, out: BinaryIO) -> str:
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=3, mtime=0) as packed:
        for line in dump.lines_of(connection):
            packed.write(line.encode())
    return str(schema.revision(connection))


def _settled(config: ServerConfig) -> dict[str, bytes]:
    """Return the small files, all as they were at one moment: a renewal replaces several."""
    before, now = {"": b""}, _small_files(config)
    while before != now:
        before, now = now, _small_files(config)
    return now


def _small_files(config: ServerConfig) -> dict[str, bytes]:
    found = {}
    paths = [config.file, config.secret_key_file, config.metrics_token_file]
    paths += sorted(path for path in config.certs.glob("[!.]*") if path.is_file())
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found[str(path.relative_to(config.data))] = path.read_bytes()
    return found


def _check_target(config: ServerConfig, target: Path) -> None:
    if target.is_dir() or not target.parent.is_dir():
        raise SpecError("output", f"{target} cannot be a file", "Name a file in a folder")
    if any(folder in target.resolve().parents for folder in (config.download, config.staging)):
        raise SpecError(
            "output",
            f"{target} would lie among the packages, which everybody may fetch",
            "A backup holds every key of this server: name a private folder on another disk",
        )


def _check_space(target: Path, total: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if total > free:
        raise StorageError(
            f"a backup takes {total:,} bytes and {free:,} are free in {target.parent}",
            "Free some space there, or name a place on another disk",
        )


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[BinaryIO]:
    """A file that only its owner reads and that takes its name when the block ends well."""
    temporary = target.with_name(f".{target.name}.part")
    with os.fdopen(_open_own(temporary), "r+b") as file:
        try:
            # One that a killed backup left is taken over; one that is being written is not.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"somebody is writing {target} already", "Wait until then") from None
        try:
            os.fchmod(file.fileno(), 0o600)
            file.truncate()
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            # Also on Ctrl-C: half a backup holds whole keys.
            temporary.unlink(missing_ok=True)
            raise
    sync_folder(target.parent)


def _open_own(path: Path) -> int:
    """Open a file for writing, or make it; one of somebody else's would let them read it all."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if (owner := os.fstat(descriptor).st_uid) == os.geteuid():
        return descriptor
    os.close(descriptor)
    raise Conflict(
        f"{path} is the user {owner}'s, who could read every key in the backup",
        "Name a private folder, or remove that file",
    )

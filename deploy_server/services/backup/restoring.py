"""Puts a backup in the place of what is there: all of it, or nothing.

First every byte of the file is verified. Then everything is prepared beside what is there, the
database too: for SQLite as a new file, for PostgreSQL in one transaction. Only the last step, which
switching.py owns, changes what programs see.

What was lost between backup and restoration is not known, but computers remember it. So numbering
goes on well after the last number of the backup, and no session of the console lives on.
"""

import contextlib
import gzip
import io
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, cast

from sqlalchemy import Connection, Engine, make_url, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from deploy_server.config import ServerConfig, load, render
from deploy_server.domain.errors import Conflict, SpecError, StorageError
from deploy_server.services import audit
from deploy_server.services.backup import archive, switching
from deploy_server.services.backup.archive import DATABASE, Manifest, Progress
from deploy_server.services.backup.shelving import Shelving, begin
from deploy_server.services.backup.switching import AREA, Journal, Move
from deploy_server.storage import dump, schema
from deploy_server.storage.atomic import replace_file
from deploy_server.storage.database import make_engine
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.lock import FileLock
from deploy_server.storage.models import Allocation, User
from deploy_server.storage.owning import give, owner_for

#: How far numbering jumps: more than anybody gives out between a backup and its restoration.
SKIPPED = {"package": 3600, "attempt": 10_000_000}
_EPOCHS_SKIPPED = 1000

#: What a backup replaces in a data directory; locks, logs and notes about a process stay.
_NAMES = ("server.toml", "secret_key", "metrics_token", "certs", "download", "staging", "uploads")
_FOLDERS = {"certs": 0o700, "download": 0o755, "staging": 0o700, "uploads": 0o700}

#: What the environment may say of where things go.
_ELSEWHERE = ("DEPLOY_SERVER_DATABASE_URL", "DEPLOY_SERVER_PACKAGES")

_PACKAGE = re.compile(r"download/([0-9]{10})/(.+)\Z", re.ASCII)

#: What may lie in a directory without being anybody's work.
_NOTHING = {"run", "log", "lost+found", AREA}

_SQLITE = ("", "-wal", "-shm")  # a database and what belongs to it
_PIECE = 1024 * 1024
_LOCK_WAIT = "10s"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backup goes.

    Attributes:
        data: the data directory.
        environ: whose DEPLOY_SERVER_DATABASE_URL and DEPLOY_SERVER_PACKAGES win over the backup's
            own.
        replace: whether what is there may go.
    """

    data: Path
    environ: Mapping[str, str]
    replace: bool


def restore(
    file: Path, place: Place, *, now: datetime, actor: str, verified: Progress, written: Progress
) -> Manifest:
    """Restore a backup; what it says of itself.

    Args:
        file: the backup.
        place: where to.
        now: UTC.
        actor: who does it, for the audit log.
        verified: told how much of the file was verified.
        written: told how much of it was written.

    Raises:
        SpecError: the file is no whole backup.
        Conflict: a server runs there, something is there, or the backup is a newer program's.
        StorageError: disk or database refuse. After any of them everything is as it was.
    """
    with storage_errors(f"{file} cannot be read"):
        manifest = archive.verify(file, verified)
    schema.refuse_newer(manifest.schema)
    data = place.data
    with storage_errors(f"{data} cannot be written"):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with switching.take_lock(data):
            switching.settle_locked(data)
            _refuse_work(place)
            try:
                _restore_locked(file, place, manifest, now, actor, written)
            finally:
                # Completes it, or takes back what was prepared: the journal says which.
                switching.settle_locked(data)
    return manifest


def _restore_locked(
    file: Path, place: Place, manifest: Manifest, now: datetime, actor: str, written: Progress
) -> None:
    area = place.data / AREA
    area.mkdir(mode=0o700)
    new = area / "new"
    _extract(file, place, manifest, written)
    config = _config(place, new)
    engine = make_engine(config.database_url)
    try:
        if engine.dialect.name == "sqlite":
            # A journal that is written names files that go when it is taken back.
            _refuse_file(Path(_file_of(engine)), place)
        journal = _journal(config, engine, area)
        journal.write(area)

        def finish(connection: Connection) -> None:
            _finish(connection, manifest, now, actor)

        if engine.dialect.name == "sqlite":
            _fill_sqlite(new, journal, finish)
            _hand_over(area / "new", place.data)
            _hand_over_outside(journal)
            os.sync()
            journal.going().write(area)
        else:
            _hand_over(area / "new", place.data)
            os.sync()
            _fill_postgresql(engine, area, journal, place, finish)
    finally:
        engine.dispose()


def _refuse_work(place: Place) -> None:
    """Return where nothing is lost, or where it may be.

    Raises:
        Conflict: somebody's work is there.
    """
    found = sorted(path.name for path in place.data.iterdir() if path.name not in _NOTHING)
    if found and not place.replace:
        raise Conflict(
            f"{place.data} is not empty ({', '.join(found[:3])})",
            "Give --replace to throw away what is there, or name another --data",
        )
    for name in _FOLDERS:
        folder = place.data / name
        if folder.is_symlink() or folder.is_mount():
            raise Conflict(
                f"{folder} is a link or a disk of its own, which cannot be replaced at once",
                "Restore into another --data on that disk",
            )
    for file in (place.data / "staging").glob("*.lock"):
        lock = FileLock.take(file)
        if lock is None:
            raise Conflict(
                f"package {file.stem} is being built or changed", "Wait until that has ended"
            )
        lock.release()


def _extract(file: Path, place: Place, manifest: Manifest, written: Progress) -> None:
    area = place.data / AREA
    new = area / "new"
    new.mkdir(mode=0o700)
    for name, mode in _FOLDERS.items():
        (new / name).mkdir()
        (new / name).chmod(mode)
    with archive.members(file, written) as members, contextlib.ExitStack() as stack:
        shelving: Shelving | None = None
        for name, size, source in members:
            if name == archive.MANIFEST:
                continue
            package = _PACKAGE.match(name)
            if package and shelving:
                shelving.put(int(package[1]), package[2], source)
            else:
                _write(new / name, source, public=bool(package))
            if (size, source.digest.hexdigest()) != manifest.members.get(name):
                raise SpecError(
                    "file", f"{file} changes while it is read: {name} is another than before"
                )
            if name == "server.toml":  # the first one; it says where packages go
                shelving = begin(_config(place, new), area, replace=place.replace)
                _check_space(new, manifest, in_bucket=shelving is not None)
                if shelving is not None:
                    stack.callback(shelving.stop)
        if shelving is not None:
            shelving.finish()


def _check_space(new: Path, manifest: Manifest, *, in_bucket: bool) -> None:
    needed = sum(
        size
        for name, (size, _) in manifest.members.items()
        if not (in_bucket and _PACKAGE.match(name))
    )
    free = shutil.disk_usage(new.parent).free
    if needed > free:
        raise StorageError(
            f"restoring takes {needed:,} bytes and {free:,} are free in {new.parent.parent}",
            "Free some space there",
        )


def _write(path: Path, source: archive.Counted, *, public: bool) -> None:
    if not path.parent.exists():
        path.parent.mkdir()
        path.parent.chmod(0o755)  # a package; web servers run as other users
    with path.open("xb") as out:
        os.fchmod(out.fileno(), 0o644 if public else 0o600)
        while data := source.read(_PIECE):
            out.write(data)


def _config(place: Place, new: Path) -> ServerConfig:
    """Return the configuration that the restored server will have.

    A database or a place for packages that the environment names is written into the restored
    server.toml, as `init` does: this is the way from SQLite to PostgreSQL, from a disk to a bucket,
    and back.
    """
    here = {name: place.environ[name] for name in _ELSEWHERE if place.environ.get(name)}
    restored = load(new, {})
    if here:
        if "DEPLOY_SERVER_DATABASE_URL" in here:
            # Whatever followed the database that was left does not follow this one.
            here["DEPLOY_SERVER_REPLICA_URL"] = ""
        restored = load(new, here)
        replace_file(new / "server.toml", render(restored).encode())
    url = restored.database_url
    if url == f"sqlite:///{new / 'tranche.db'}":
        url = f"sqlite:///{place.data / 'tranche.db'}"
    return ServerConfig(
        data=place.data, hosts=restored.hosts, database_url=url, packages=restored.packages
    )


def _journal(config: ServerConfig, engine: Engine, area: Path) -> Journal:
    """Decide which names are replaced; the one file elsewhere is SQLite's."""
    new, old = area / "new", area / "old"
    old.mkdir(mode=0o700)
    databases = {config.data / "tranche.db"}
    if engine.dialect.name == "sqlite":
        databases.add(Path(str(engine.url.database)).absolute())
    moves, litter = [], []
    for database in sorted(databases):
        inside = database.parent == config.data
        for suffix in reversed(_SQLITE):  # what belongs to it goes before it does
            name = database.with_name(database.name + suffix)
            before = old / name.name if inside else name.with_name(f".{name.name}.before")
            prepared = new / name.name if inside else name.with_name(f".{name.name}.restored")
            is_it = engine.dialect.name == "sqlite" and str(database) == _file_of(engine)
            comes = str(prepared) if is_it and not suffix else ""
            moves.append(Move(comes, str(name), str(before)))
            if not inside:
                litter += [str(before), str(prepared)]
    for each in _NAMES:
        comes = str(new / each) if (new / each).exists() else ""
        moves.append(Move(comes, str(config.data / each), str(old / each)))
    number = secrets.token_hex(16)
    return Journal(number, go=False, database="", moves=tuple(moves), litter=tuple(litter))


def _file_of(engine: Engine) -> str:
    return str(Path(str(engine.url.database)).absolute())


def _fill_sqlite(new: Path, journal: Journal, finish: Callable[[Connection], None]) -> None:
    """Make the new file; nobody looks at it before it is in place."""
    prepared = next(move.new for move in journal.moves if _is_database(move))
    Path(prepared).unlink(missing_ok=True)
    Path(prepared).touch(mode=0o600)
    engine = make_engine(f"sqlite:///{prepared}")
    try:
        with engine.begin() as connection:
            _load(connection, new)
            finish(connection)
            if broken := connection.execute(text("PRAGMA foreign_key_check")).first():
                raise StorageError(f"the backup's database is not whole: {broken[0]}")
    finally:
        engine.dispose()


def _is_database(move: Move) -> bool:
    return bool(move.new) and Path(move.name).name not in _NAMES


def _fill_postgresql(
    engine: Engine,
    area: Path,
    journal: Journal,
    place: Place,
    finish: Callable[[Connection], None],
) -> None:
    """Replace the content of the database; its commit is the moment of the restoration."""
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
            if dump.our_tables(connection):
                _refuse_tables(connection, place)
                dump.clear(connection)
            _load(connection, area / "new")
            finish(connection)
            switching.mark(connection, journal.number)
            # From here on nobody but the database knows whether it happens.
            replace(journal, database=engine.url.render_as_string(hide_password=False)).write(area)
    except OperationalError as error:
        raise StorageError(
            f"the database {engine.url.render_as_string()} refuses: {error.orig}",
            "Stop every server that uses it, and look whether it answers",
        ) from error
    journal.going().write(area)


def _refuse_file(file: Path, place: Place) -> None:
    """Return where SQLite's file may go; the one in the directory was looked at with the rest."""
    if not place.replace and file.parent != place.data and file.exists() and file.stat().st_size:
        raise Conflict(
            f"the database {file} is not empty, and the backup says that it is its own",
            "Give --replace to throw away what is there, or name another database in"
            " DEPLOY_SERVER_DATABASE_URL",
        )


def _refuse_tables(connection: Connection, place: Place) -> None:
    if not place.replace:
        where = make_url(connection.engine.url).render_as_string()
        raise Conflict(
            f"the database {where} is not empty",
            "Give --replace to throw away what is there, or name another database",
        )


def _load(connection: Connection, new: Path) -> None:
    with gzip.open(new / DATABASE, "rb") as packed:
        lines = io.TextIOWrapper(cast(IO[bytes], packed), encoding="utf-8", newline="\n")
        dump.load(connection, lines)
    if schema.revision(connection) != schema.NEWEST:
        schema.migrate(connection, "head")
    (new / DATABASE).unlink()


def _finish(connection: Connection, manifest: Manifest, now: datetime, actor: str) -> None:
    """Make the restored database one that can go on."""
    facts = {"made_at": manifest.made_at, "version": manifest.version, "schema": manifest.schema}
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        for series, skipped in SKIPPED.items():
            further = {"last": Allocation.last + skipped}
            session.execute(update(Allocation).where(Allocation.series == series).values(further))
        session.execute(update(User).values(session_epoch=User.session_epoch + _EPOCHS_SKIPPED))
        audit.record(session, "backup.restore", manifest.made_at, now=now, after=facts, actor=actor)
        session.commit()


def _hand_over(path: Path, folder: Path) -> None:
    """Give what root restored to whom the folder belongs."""
    owner = owner_for(folder)
    if owner is not None:
        give(path, owner)


def _hand_over_outside(journal: Journal) -> None:
    for file in map(Path, journal.litter):
        if file.exists():
            _hand_over(file, file.parent)

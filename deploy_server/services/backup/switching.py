"""Replaces what a data directory holds, so that a kill leaves all of the old or all of the new.

The new files are prepared in `<data>/.restore/new`. A journal beside them says which names they
will take; from the moment it says "go", every program that looks at the directory completes the
renames before it does anything else (`settle`). Until then the same programs throw the preparations
away. With PostgreSQL the moment is the commit: it carries the number of the restoration, which is
asked for when nobody lives who knows.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from deploy_server.config import ServerConfig, load
from deploy_server.domain.errors import Conflict, StorageError
from deploy_server.services.backup import shelving
from deploy_server.storage.atomic import replace_file, sync_folder
from deploy_server.storage.database import make_engine
from deploy_server.storage.lock import FileLock

AREA = ".restore"
_JOURNAL = "journal.json"


@dataclass(frozen=True, slots=True)
class Move:
    """What happens to one name.

    Attributes:
        new: what takes it; '' where it only goes.
        name: a path that programs know.
        old: where the present one goes.
    """

    new: str
    name: str
    old: str


@dataclass(frozen=True, slots=True)
class Journal:
    """What a restoration has decided.

    Attributes:
        number: its own, that no other has.
        go: whether it happens; where not, and `database` is empty, it does not.
        database: where the database is that knows whether it happens.
        moves: in the order in which they are done.
        litter: files outside the area that go in the end.
    """

    number: str
    go: bool
    database: str
    moves: tuple[Move, ...]
    litter: tuple[str, ...]

    @classmethod
    def read(cls, area: Path) -> Self | None:
        """Return the journal of an area, None where nothing was decided there."""
        try:
            found: dict[str, Any] = json.loads((area / _JOURNAL).read_bytes())
        except FileNotFoundError:
            return None
        found["moves"] = tuple(Move(**each) for each in found["moves"])
        found["litter"] = tuple(found["litter"])
        return cls(**found)

    def write(self, area: Path) -> None:
        """Keep it, for good."""
        replace_file(area / _JOURNAL, json.dumps(asdict(self)).encode())

    def going(self) -> Self:
        """Return the journal that says it happens."""
        return replace(self, go=True)


def load_settled(data: Path) -> ServerConfig:
    """Return the configuration of a directory in which no restoration is half done.

    Raises:
        ConfigError: as `config.load`.
        Conflict: one is under way.
        StorageError: whether it happened cannot be told now.
    """
    settle(data)
    return load(data)


def settle(data: Path) -> None:
    """Complete a restoration that was killed, or take it back; nothing where there is none."""
    if not (data / AREA).exists():
        return
    lock = take_lock(data)
    with lock:
        settle_locked(data)


def take_lock(data: Path) -> FileLock:
    """Return the lock that a running server holds too.

    Raises:
        Conflict: somebody has it.
    """
    run = data / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock.take(run / "lock")
    if lock is None:
        raise Conflict(
            f"a server runs in {data}, or a backup is being restored there",
            "Stop the server, or wait until that has ended",
        )
    return lock


def settle_locked(data: Path) -> None:
    """As `settle`, for who holds the lock."""
    area = data / AREA
    if not area.exists():
        return
    journal = Journal.read(area)
    if journal is not None and (journal.go or (journal.database and _has_happened(journal))):
        carry_out(journal)
        shelving.carry_out(area)
    else:
        shelving.take_back(area)
    if journal is not None:
        for litter in journal.litter:
            Path(litter).unlink(missing_ok=True)
        # Without its journal the area is nothing but what is not wanted any more.
        (area / _JOURNAL).unlink()
        sync_folder(area)
    shutil.rmtree(area)


def carry_out(journal: Journal) -> None:
    """Do the moves that are not done yet."""
    folders = set()
    for move in journal.moves:
        name, new, old = Path(move.name), Path(move.new), Path(move.old)
        comes = bool(move.new) and os.path.lexists(new)
        if os.path.lexists(name) and (comes or not move.new) and not os.path.lexists(old):
            name.rename(old)
        if comes:
            new.rename(name)
        folders |= {name.parent, old.parent}
    for folder in folders:
        sync_folder(folder)


def mark(connection: Connection, number: str) -> None:
    """Let the commit of this transaction be the moment at which the restoration happens."""
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS 'restore {number}'"))


def _has_happened(journal: Journal) -> bool:
    engine = make_engine(journal.database)
    try:
        with engine.connect() as connection:
            found = connection.scalar(
                text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')")
            )
    except OperationalError as error:
        raise StorageError(
            "a backup was being restored when that was killed, and the database that knows how far"
            f" it came does not answer: {error.orig}",
            "Start the database, then do this again",
        ) from error
    finally:
        engine.dispose()
    return bool(found == f"restore {journal.number}")

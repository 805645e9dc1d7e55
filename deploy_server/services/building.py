"""Building packages: an upload becomes fragments, an info file and a row."""

from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

from sqlalchemy.orm import Session

from deploy_server.domain.spec import PackageSpec
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.models import Package

#: Called with the bytes taken so far and all of them, None where nobody knows.
Progress = Callable[[int, int | None], None]


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
) -> Package:
    """Return the new package; its files are published and its row is committed.

    It commits by itself: once before it reads `source`, so that no lock on the database is held
    meanwhile, and once for the row. Whatever `session` had pending is committed with the first.

    Args:
        session: not inside `session.begin()`.
        store: takes the files.
        spec: checked here again.
        source: the file, read once from where it stands; None for a command without one.
        now: the time, UTC.
        actor: who builds.
        file_name: what the file was called, for people; the name inside an archive that wraps it.
        length: bytes of the file where the caller knows them, None where not.
        max_bytes: the largest file that is taken.
        progress: called now and then.

    Raises:
        SpecErrors: a field is wrong, or the file is (field `file`).
        Conflict: the name is taken.
        TooLarge: the file is larger than `max_bytes`.
        StorageError: the disk is full or refuses.
        After any of them nothing is left but, perhaps, an unused id.
    """
    raise NotImplementedError

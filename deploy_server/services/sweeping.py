"""Puts package files in order after a crash: what the rows say is what is there.

Runs at the server's start and by `deploy-server db sweep`; what somebody who lives is working on is
left alone.
"""

import logging
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import DeployError
from deploy_server.storage.allocation import last_allocated
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.models import Package

log = logging.getLogger(__name__)


def sweep_orphans(session: Session, store: FragmentStore, now: datetime) -> list[str]:
    """Remove what builds that crashed have left, take half changes back, name what is missing.

    Args:
        session: not inside `session.begin()`; nothing is written.
        store: where files are.
        now: the time, for the log.

    Returns:
        A sentence for each thing that was done or is wrong.
    """
    said: list[str] = []
    ours = last_allocated(session, "package") or 0
    session.commit()
    for package_id in store.ids():
        if package_id > ours:
            # Another database's, or one from before a backup: not ours to remove.
            said.append(f"package {package_id} has files but was never built here: left alone")
            continue
        try:
            done = recover_package(session, store, package_id)
        except DeployError as error:
            done = str(error)
        if done is not None:
            said.append(done)
    said += _missing(session, store)
    for sentence in said:
        log.warning("%s: %s", now.isoformat(), sentence)
    return said


def recover_package(session: Session, store: FragmentStore, package_id: int) -> str | None:
    """Leave of one package what its row says; a sentence where something was done.

    Raises:
        StorageError: the disk refuses.
    """

    def revision() -> int | None:
        found = session.scalar(
            select(Package.revision).where(Package.id == package_id, Package.deleted_at.is_(None))
        )
        session.commit()
        return found

    return store.recover(package_id, revision)


def _missing(session: Session, store: FragmentStore) -> list[str]:
    rows = session.scalars(select(Package.id).where(Package.deleted_at.is_(None))).all()
    session.commit()
    return [
        f"the files of package {package_id} are gone: restore them, or delete the package"
        for package_id in rows
        if not store.exists(package_id)
    ]

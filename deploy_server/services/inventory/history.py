"""The history that an agent keeps: ids it has done, mirrored here as OCS's server does."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from deploy_server.domain.inventory import read_history
from deploy_server.services.inventory.computer import Known
from deploy_server.storage.models import DownloadHistory, Package
from deploy_server.storage.upsert import insert_missing

_CHUNK = 500  # parameters of one statement


def store_history(session: Session, computer: Known, history: Sequence[str] | None) -> bytes | None:
    """Make the stored history the agent's; returns its digest. None changes nothing."""
    if history is None:
        return computer.history_digest
    wanted = read_history(history)
    digest = hashlib.blake2b(repr(wanted).encode(), digest_size=16).digest()
    if digest == computer.history_digest:
        return digest
    own = DownloadHistory.computer_id == computer.id
    stored = set(session.scalars(select(DownloadHistory.package_id).where(own)))
    for ids in _chunks(sorted(stored - set(wanted))):
        session.execute(delete(DownloadHistory).where(own, DownloadHistory.package_id.in_(ids)))
    for ids in _chunks(sorted(set(wanted) - stored)):
        known = session.scalars(
            select(Package.id).where(Package.id.in_(ids), Package.deleted_at.is_(None))
        )
        rows = [{"computer_id": computer.id, "package_id": each} for each in known]
        insert_missing(session, DownloadHistory, rows)
    return digest


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK)]

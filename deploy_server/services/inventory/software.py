"""The software of a computer: items stored once, whole lists shared by computers."""

import hashlib
from collections.abc import Sequence

from sqlalchemy import bindparam, delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from deploy_server.domain import inventory as facts
from deploy_server.domain.inventory import Software
from deploy_server.domain.version import version_key
from deploy_server.services.inventory.computer import Known
from deploy_server.storage.models import (
    Computer,
    ComputerSection,
    SoftwareItem,
    SoftwareSet,
    SoftwareSetItem,
)
from deploy_server.storage.quick import Prepared
from deploy_server.storage.types import fold
from deploy_server.storage.upsert import insert_missing

_CHUNK = 500  # parameters of one statement

_own, _same = aliased(ComputerSection), aliased(ComputerSection)
_SAME_LIST = Prepared(
    select(Computer.software_set_id)
    .join(_same, _same.computer_id == Computer.id)
    .join(_own, _own.content_id == _same.content_id)
    .where(
        _own.computer_id == bindparam("computer"),
        _own.name == facts.SOFTWARE,
        _same.name == facts.SOFTWARE,
        Computer.id != bindparam("computer"),
        Computer.software_set_id.is_not(None),
    )
    .limit(1)
)


def store_software(session: Session, computer: Known, sections: facts.Sections) -> int | None:
    """Return the id of the set with exactly this software, None for none.

    Args:
        session: not committed here; the computer's sections are stored in it already.
        computer: whose list it is; the set it had goes when nobody else has it.
        sections: of its inventory.
    """
    set_id = _of_another(session, computer)
    if set_id is None:
        software = sections.software()
        set_id = _find_or_make(session, software) if software else None
    if computer.software_set_id not in (None, set_id):
        _drop_unused(session, computer.id, computer.software_set_id)
    return set_id


def _of_another(session: Session, computer: Known) -> int | None:
    """Return the set of a computer that sent the very same list: it need not be read then."""
    found = _SAME_LIST.first(session, {"computer": computer.id})
    return None if found is None else int(found.software_set_id)


def _find_or_make(session: Session, software: Sequence[Software]) -> int:
    digests = [each.digest for each in software]
    digest = hashlib.blake2b(b"".join(digests), digest_size=16).digest()
    by_digest = select(SoftwareSet.id).where(SoftwareSet.digest == digest)
    found = session.scalar(by_digest)
    if found is not None:
        return found
    items = _items(session, software)
    insert_missing(session, SoftwareSet, [{"digest": digest, "size": len(software)}])
    set_id = session.execute(by_digest).scalar_one()
    # The same set may have been made by another computer meanwhile, with the same items.
    insert_missing(
        session, SoftwareSetItem, [{"set_id": set_id, "item_id": item} for item in sorted(items)]
    )
    return set_id


def _items(session: Session, software: Sequence[Software]) -> list[int]:
    found = _known(session, [each.digest for each in software])
    missing = [each for each in software if each.digest not in found]
    if missing:
        insert_missing(session, SoftwareItem, [_row(each) for each in missing])
        found |= _known(session, [each.digest for each in missing])
    return list(found.values())


def _known(session: Session, digests: Sequence[bytes]) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for start in range(0, len(digests), _CHUNK):
        wanted = digests[start : start + _CHUNK]
        rows = session.execute(
            select(SoftwareItem.digest, SoftwareItem.id).where(SoftwareItem.digest.in_(wanted))
        )
        found.update((digest, item_id) for digest, item_id in rows)
    return found


def _row(software: Software) -> dict[str, bytes | str]:
    return {
        "digest": software.digest,
        "name": software.name,
        "name_key": fold(software.name)[:255],
        "version": software.version,
        "version_key": fold(software.version)[:255],
        "version_sort": version_key(software.version),
        "publisher": software.publisher,
    }


def _drop_unused(session: Session, computer_id: int, set_id: int | None) -> None:
    others = exists().where(Computer.software_set_id == set_id, Computer.id != computer_id)
    if not session.scalar(select(others)):
        own = update(Computer).where(Computer.id == computer_id)
        session.execute(own.values(software_set_id=None))
        session.execute(delete(SoftwareSet).where(SoftwareSet.id == set_id))

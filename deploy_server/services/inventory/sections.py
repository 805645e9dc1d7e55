"""The sections of an inventory, each content stored once and named by its digest."""

import zlib
from collections.abc import Iterable

from sqlalchemy import bindparam, delete, exists, select
from sqlalchemy.orm import Session

from deploy_server.domain import inventory as facts
from deploy_server.storage.models import ComputerSection, SectionContent
from deploy_server.storage.quick import Prepared, execute
from deploy_server.storage.upsert import insert_missing, insert_or_update

# Made once: building a statement costs more than running it.
_STORED = Prepared(
    select(ComputerSection.name, SectionContent.id, SectionContent.digest)
    .join(SectionContent, SectionContent.id == ComputerSection.content_id)
    .where(ComputerSection.computer_id == bindparam("computer"))
)
_BY_DIGEST = select(SectionContent.digest, SectionContent.id).where(
    SectionContent.digest.in_(bindparam("digests", expanding=True))
)


def store_sections(
    session: Session, computer_id: int, sections: facts.Sections, checksum: int | None
) -> set[str]:
    """Store what changed; returns the names of the sections that changed or are gone."""
    stored = _stored(session, computer_id)
    digests = {name: sections.digest(name) for name in sections}
    changed = {name for name, digest in digests.items() if stored.get(name, (0, b""))[1] != digest}
    gone = {name for name in stored if name not in sections and facts.is_gone(name, checksum)}
    _write(session, computer_id, sections, {digests[name]: name for name in changed})
    _forget(session, computer_id, gone)
    _drop_unused(session, [stored[name][0] for name in (changed | gone) if name in stored])
    return changed | gone


def _stored(session: Session, computer_id: int) -> dict[str, tuple[int, bytes]]:
    rows = _STORED.all(session, {"computer": computer_id})
    return {row.name: (row.id, row.digest) for row in rows}


def _write(
    session: Session, computer_id: int, sections: facts.Sections, changed: dict[bytes, str]
) -> None:
    if not changed:
        return
    found = _ids(session, changed)
    missing = [digest for digest in changed if digest not in found]
    if missing:
        # Sorted, so that two computers that store the same contents never wait for each other.
        rows = [
            {"digest": digest, "content": _packed(sections, changed[digest])}
            for digest in sorted(missing)
        ]
        insert_missing(session, SectionContent, rows)
        found |= _ids(session, missing)
    links = [
        {"computer_id": computer_id, "name": changed[digest], "content_id": content_id}
        for digest, content_id in found.items()
    ]
    insert_or_update(session, ComputerSection, links, ("computer_id", "name"), ("content_id",))


def _ids(session: Session, digests: Iterable[bytes]) -> dict[bytes, int]:
    rows = execute(session, _BY_DIGEST, {"digests": sorted(digests)})
    return {row.digest: row.id for row in rows}


def _packed(sections: facts.Sections, name: str) -> bytes:
    # Software is stored item by item; its digest alone tells whether anything changed.
    return b"" if name == facts.SOFTWARE else zlib.compress(facts.serialise(sections[name]))


def _forget(session: Session, computer_id: int, names: Iterable[str]) -> None:
    wanted = sorted(names)
    if wanted:
        session.execute(
            delete(ComputerSection).where(
                ComputerSection.computer_id == computer_id, ComputerSection.name.in_(wanted)
            )
        )


def _drop_unused(session: Session, content_ids: list[int]) -> None:
    if content_ids:
        used = exists().where(ComputerSection.content_id == SectionContent.id)
        session.execute(
            delete(SectionContent).where(SectionContent.id.in_(sorted(content_ids)), ~used)
        )

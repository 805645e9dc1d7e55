"""Rows that nothing refers to any more: what inventories left when computers changed or went."""

from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, delete, exists
from sqlalchemy.orm import Session

from deploy_server.storage.models import (
    Base,
    Computer,
    ComputerSection,
    SectionContent,
    SoftwareItem,
    SoftwareSet,
    SoftwareSetItem,
)

#: What computers share, who uses a row of it, and its name for people. Lists of software come
#: before their items, which only lists use.
_SHARED: tuple[tuple[type[Base], ColumnElement[bool], str], ...] = (
    (SectionContent, ComputerSection.content_id == SectionContent.id, "sections of inventories"),
    (SoftwareSet, Computer.software_set_id == SoftwareSet.id, "lists of software"),
    (SoftwareItem, SoftwareSetItem.item_id == SoftwareItem.id, "names of software"),
)


def remove_unreferenced(session: Session) -> list[str]:
    """Remove shared rows that nobody uses; a sentence for each kind of which there were some.

    On PostgreSQL an inventory that arrives in this moment may need one of them, and is refused;
    its agent sends it again.
    """
    said = []
    for model, used, name in _SHARED:
        done = session.execute(delete(model).where(~exists().where(used)))
        count = cast(CursorResult[Any], done).rowcount
        if count:
            said.append(f"{name} that no computer has: {count} removed")
    return said

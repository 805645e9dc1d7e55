"""The row of the computer that sent an inventory: found, renamed or made."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Inventory
from deploy_server.services.activity import Activity, Caller
from deploy_server.storage.models import Computer, Report
from deploy_server.storage.quick import Prepared
from deploy_server.storage.types import fold
from deploy_server.storage.upsert import insert_missing


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a computer before the inventory."""

    id: int
    tag: str
    history_digest: bytes | None
    software_set_id: int | None
    is_new: bool = False


_COMPUTER = Prepared(
    select(Computer.id, Computer.tag, Computer.history_digest, Computer.software_set_id)
    .where(Computer.device_id == bindparam("device_id"))
    .with_for_update()
)


def find_or_make(session: Session, inventory: Inventory, now: datetime, caller: Caller) -> Known:
    """Return the computer's row, locked against another inventory of the same computer."""
    found = _find(session, inventory.device_id)
    old = inventory.old_device_id
    if old is not None and old != inventory.device_id:
        found = _rename(session, found, old, inventory.device_id, caller)
    if found is not None:
        return found
    row = {
        "device_id": inventory.device_id,
        "device_id_key": fold(inventory.device_id)[:255],
        "created_at": now,
    }
    insert_missing(session, Computer, [row])
    made = _find(session, inventory.device_id, is_new=True)
    assert made is not None
    caller.note(Activity.COMPUTER_NEW)
    return made


def _find(session: Session, device_id: str, *, is_new: bool = False) -> Known | None:
    row = _COMPUTER.first(session, {"device_id": device_id})
    return None if row is None else Known(**row._asdict(), is_new=is_new)


def _rename(
    session: Session, found: Known | None, old: str, new: str, caller: Caller
) -> Known | None:
    """Give the computer called `old` its new id; everything it had stays with it."""
    former = _find(session, old)
    if former is None:
        return found
    if found is not None:
        caller.note(Activity.COMPUTER_NOT_RENAMED, f"{old} exists too")
        return found
    session.execute(
        update(Computer)
        .where(Computer.id == former.id)
        .values(device_id=new, device_id_key=fold(new)[:255])
    )
    session.execute(update(Report).where(Report.device_id == old).values(device_id=new))
    caller.note(Activity.COMPUTER_RENAMED, f"was {old}")
    return former

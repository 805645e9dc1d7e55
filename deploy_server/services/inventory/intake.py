"""One inventory in, one answer out."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import Inventory
from deploy_agent.wire.replies import InventoryReply
from deploy_server.domain import inventory as facts
from deploy_server.domain.tag import NO_TAG
from deploy_server.domain.version import version_key
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.inventory.addresses import store_addresses
from deploy_server.services.inventory.computer import Known, find_or_make
from deploy_server.services.inventory.history import store_history
from deploy_server.services.inventory.sections import store_sections
from deploy_server.services.inventory.software import store_software
from deploy_server.storage.models import Computer
from deploy_server.storage.quick import Prepared
from deploy_server.storage.types import fold

_KEYED = ("name", "os", "arch", "user", "workgroup", "serial", "model", "os_version")


def take_inventory(
    session: Session, inventory: Inventory, *, now: datetime, caller: Caller
) -> InventoryReply:
    """Store an inventory and return the answer to it.

    Args:
        session: not committed here.
        inventory: as the agent sent it.
        now: UTC.
        caller: who sent it.
    """
    computer = find_or_make(session, inventory, now, caller)
    sections = facts.Sections(inventory.sections)
    changed = store_sections(session, computer.id, sections, inventory.checksum)
    values, dropped = facts.read_facts(sections)
    for each in dropped:
        caller.note(Activity.VALUE_DROPPED, each)
    row = _columns(values) | seen(now, caller.user_agent) | {"last_inventory": now}
    if facts.SOFTWARE in changed:
        row["software_set_id"] = store_software(session, computer, sections)
    if _moved(computer, sections, changed):
        store_addresses(session, computer.id, sections)
    digest = store_history(session, computer, inventory.history)
    tag, reply = _settle_tag(computer, inventory.tag)
    row |= {"history_digest": digest, "tag": tag, "tag_key": key(tag)}
    _update(frozenset(row)).run(session, row | {"computer": computer.id})
    caller.note(Activity.INVENTORY, f"{len(changed)} sections changed")
    return reply


@lru_cache(maxsize=64)
def _update(names: frozenset[str]) -> Prepared:
    """Return the statement that sets these columns: of the sections that an agent sends."""
    values: dict[str, Any] = {name: bindparam(name) for name in sorted(names)}
    return Prepared(update(Computer).where(Computer.id == bindparam("computer")).values(values))


def _moved(computer: Known, sections: facts.Sections, changed: set[str]) -> bool:
    """Return whether the addresses may be others; cards that were not sent are as they were."""
    if "NETWORKS" in sections or computer.is_new:
        return bool(changed & {"NETWORKS", "HARDWARE"})
    return "NETWORKS" in changed


def seen(now: datetime, user_agent: str) -> dict[str, Any]:
    """Return the columns that every message of a computer renews."""
    agent = user_agent[: facts.TEXT_MAX]
    return {"last_contact": now, "agent": agent, "agent_key": key(agent)}


def key(text: str) -> str:
    """Return the folded text of a column, no longer than an index entry may be."""
    return fold(text)[: facts.TEXT_MAX]


def _columns(values: dict[str, str | int | None]) -> dict[str, Any]:
    row: dict[str, Any] = dict(values)
    row |= {f"{name}_key": key(str(values[name])) for name in _KEYED if name in values}
    if "os_version" in values:
        row["os_version_sort"] = version_key(str(values["os_version"]))
    return row


def _settle_tag(computer: Known, sent: str | None) -> tuple[str, InventoryReply]:
    """Return the computer's tag and the answer: the server's tag wins, where it has one."""
    stored = computer.tag
    if sent is None:
        # A new agent asks for nothing; an old one is told what it should carry.
        return stored, InventoryReply(None if computer.is_new else {"TAG": stored or NO_TAG})
    offered = " ".join(sent.split())[: facts.TEXT_MAX]
    offered = "" if offered == NO_TAG else offered
    if stored in ("", offered):
        return offered, InventoryReply()
    return stored, InventoryReply({"TAG": stored})

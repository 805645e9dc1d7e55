"""Rows for storage and service tests: every field has a value that makes sense, any can be given.

Each function adds its row to the session and flushes, so the row has its id; nothing is committed.
"""

import itertools
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultCode
from deploy_server.storage.models import (
    Activation,
    Assignment,
    Base,
    Computer,
    Group,
    GroupAssignment,
    GroupMember,
    Package,
    User,
)
from deploy_server.storage.types import fold
from tests.support.clock import START

_numbers = itertools.count(1)
Row = TypeVar("Row", bound=Base)


def _add(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row


def make_package(session: Session, **values: Any) -> Package:
    """A LAUNCH package for Linux of three fragments, without its files."""
    number = next(_numbers)
    name = values.pop("name", f"package {number}")
    fields: dict[str, Any] = {
        "id": 1_800_000_000 + number,
        "name_key": fold(name),
        "os": "linux",
        "action": "LAUNCH",
        "target": "install.sh",
        "priority": 5,
        "protocol": "HTTP",
        "size": 3000,
        "fragments": 3,
        "fragment_size": 1024,
        "digest": "be3aec7c3e6e119f2f2d89b784160b45",
        "digest_algorithm": "MD5",
        "digest_encoding": "Hexa",
        "sha256": "00" * 32,
        "options": {},
        "created_at": START,
        "created_by": "admin",
    }
    return _add(session, Package(name=name, **{**fields, **values}))


def make_activation(session: Session, package: Package | None = None, **values: Any) -> Activation:
    """An activation of ``package``, or of a new one, at addresses that nobody listens on."""
    package = package or make_package(session)
    fields = {
        "info_url": "deploy.example.org:8443/download",
        "fragment_url": "deploy.example.org:8080/download",
        "created_at": START,
    }
    return _add(session, Activation(package=package, **{**fields, **values}))


def make_computer(session: Session, **values: Any) -> Computer:
    """A Linux computer that sent an inventory; texts are folded into their keys."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "device_id": f"pc-{number}-2026-01-02-03-04-05",
        "name": f"pc-{number}",
        "os_family": "linux",
        "os": "Debian GNU/Linux 12",
        "agent": "OCS-NG_unified_unix_agent_v2.10.0",
        "created_at": START,
        "last_contact": START,
        "last_inventory": START,
        **values,
    }
    columns = Computer.__table__.columns.keys()
    for name in list(fields):
        if f"{name}_key" in columns:
            fields.setdefault(f"{name}_key", fold(fields[name]))
    return _add(session, Computer(**fields))


def make_group(
    session: Session, *members: Computer, excluded: tuple[Computer, ...] = (), **values: Any
) -> Group:
    """A static group with ``members`` put in and ``excluded`` kept out by hand."""
    name = values.pop("name", f"group {next(_numbers)}")
    fields = {"name_key": fold(name), "kind": "static", "created_at": START}
    group = _add(session, Group(name=name, **{**fields, **values}))
    kinds = [(each, "include") for each in members] + [(each, "exclude") for each in excluded]
    for computer, kind in kinds:
        row = GroupMember(group_id=group.id, computer_id=computer.id, kind=kind, added_at=START)
        _add(session, row)
    return group


def make_assignment(
    session: Session,
    computer: Computer | None = None,
    activation: Activation | None = None,
    *,
    status: str = "WAITING",
    since: datetime = START,
    **values: Any,
) -> Assignment:
    """An assignment with any status; its class follows from the status."""
    computer = computer or make_computer(session)
    activation = activation or make_activation(session)
    fields = {
        "computer_id": computer.id,
        "package_id": activation.package_id,
        "activation_id": activation.id,
        "attempt": next(_numbers),
        "status": status,
        "status_class": ResultCode.parse(status).result_class,
        "since": since,
        "assigned_at": START,
        "assigned_by": "admin",
    }
    return _add(session, Assignment(**{**fields, **values}))


def make_group_assignment(
    session: Session, group: Group, activation: Activation | None = None, **values: Any
) -> GroupAssignment:
    """A package for whoever is in ``group``."""
    activation = activation or make_activation(session)
    fields = {
        "group_id": group.id,
        "package_id": activation.package_id,
        "activation_id": activation.id,
        "attempt": next(_numbers),
        "assigned_at": START,
        "assigned_by": "admin",
    }
    return _add(session, GroupAssignment(**{**fields, **values}))


def make_user(session: Session, **values: Any) -> User:
    """A superadmin whose password hash fits no password."""
    name = values.pop("name", f"user {next(_numbers)}")
    fields = {
        "name_key": fold(name),
        "password_hash": "!",
        "role": "superadmin",
        "created_at": START,
    }
    return _add(session, User(name=name, **{**fields, **values}))

"""Rows of the server's database, with what a test does not care about filled in."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultCode
from deploy_server.domain.version import version_key
from deploy_server.storage.models import (
    Activation,
    Assignment,
    Computer,
    Group,
    GroupMember,
    Package,
)
from deploy_server.storage.types import fold
from tests.support.clock import START

LINUX_AGENT = "OCS-NG_unified_unix_agent_v2.10.0"
WINDOWS_AGENT = "OCS-NG_WINDOWS_AGENT_v2.11.0.1"
OUR_AGENT = "OCS-NG_unified_unix_agent_v2.0 Tranche/0.1"

_KEYED = ("device_id", "name", "tag", "os", "arch", "user", "workgroup", "serial", "model", "agent")


def device_id(name: str) -> str:
    """The device id of the computer called ``name``."""
    return f"{name}-2026-01-02-03-04-05"


def add_computer(session: Session, name: str, **values: Any) -> Computer:
    """A Linux computer with Debian's agent, whose inventory is an hour old."""
    row: dict[str, Any] = {
        "device_id": device_id(name),
        "name": name,
        "os_family": "linux",
        "os": "Debian GNU/Linux 12",
        "os_version": "12",
        "agent": LINUX_AGENT,
        "created_at": START,
        "last_contact": START,
        "last_inventory": START,
        **values,
    }
    for field in _KEYED:
        row[f"{field}_key"] = fold(row.get(field, ""))
    row["os_version_key"] = fold(row["os_version"])
    row["os_version_sort"] = version_key(row["os_version"])
    computer = Computer(**row)
    session.add(computer)
    session.flush()
    return computer


def add_package(session: Session, package_id: int = 1_800_000_001, **values: Any) -> Package:
    """A package of one fragment for every system."""
    row: dict[str, Any] = {
        "id": package_id,
        "name": f"package {package_id}",
        "os": "any",
        "action": "LAUNCH",
        "target": "setup.sh",
        "priority": 5,
        "protocol": "HTTP",
        "size": 100,
        "fragments": 1,
        "fragment_size": 1024,
        "digest": "0" * 32,
        "digest_algorithm": "MD5",
        "digest_encoding": "Hexa",
        "sha256": "0" * 64,
        "created_at": START,
        **values,
    }
    package = Package(**row, name_key=fold(row["name"]))
    session.add(package)
    session.flush()
    return package


def add_activation(session: Session, package: Package, site: str = "main") -> Activation:
    """Where agents find ``package``."""
    activation = Activation(
        package_id=package.id,
        info_url=f"{site}.example:8443/download",
        fragment_url=f"{site}.example:8080/download",
        created_at=START,
    )
    session.add(activation)
    session.flush()
    return activation


def add_active_package(session: Session, package_id: int = 1_800_000_001, **values: Any) -> Package:
    """A package with one activation."""
    package = add_package(session, package_id, **values)
    add_activation(session, package)
    session.refresh(package)
    return package


def add_assignment(
    session: Session, computer: Computer, package: Package, status: str = "WAITING", **values: Any
) -> Assignment:
    """How far ``package`` is on ``computer``."""
    row: dict[str, Any] = {
        "computer_id": computer.id,
        "package_id": package.id,
        "activation_id": package.activations[0].id,
        "attempt": 1_800_000_100,
        "status": status,
        "status_class": ResultCode.parse(status).result_class,
        "since": START,
        "assigned_at": START,
        "assigned_by": "somebody",
        **values,
    }
    assignment = Assignment(**row)
    session.add(assignment)
    session.flush()
    return assignment


def add_group(session: Session, name: str, *members: Computer, expression: str = "") -> Group:
    """A group: dynamic with an expression, else static with these members."""
    group = Group(
        name=name,
        name_key=fold(name),
        kind="dynamic" if expression else "static",
        expression=expression,
        created_at=START,
    )
    session.add(group)
    session.flush()
    for computer in members:
        put_into(session, group, computer)
    return group


def put_into(session: Session, group: Group, computer: Computer, kind: str = "include") -> None:
    """Put ``computer`` into ``group`` by hand, or keep it out."""
    session.add(
        GroupMember(
            group_id=group.id, computer_id=computer.id, kind=kind, added_at=START, added_by="me"
        )
    )
    session.flush()


def moment(text: str) -> datetime:
    """A time such as 2026-11-21T10:00, UTC."""
    return datetime.fromisoformat(f"{text}+00:00")

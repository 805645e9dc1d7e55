"""The groups of one computer: as the lists of the groups have it, for twenty at the cost of one."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.domain.version import version_key
from deploy_server.storage.membership import groups_of
from deploy_server.storage.models import (
    Computer,
    ComputerAddress,
    Group,
    SoftwareItem,
    SoftwareSet,
    SoftwareSetItem,
)
from deploy_server.storage.search import Searcher
from deploy_server.storage.types import fold
from tests.support.clock import START
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
)
from tests.support.statements import recorded

EXPRESSIONS = (
    "name = pc*",
    "name in (pc-1, pc-2) or os ~ windows",
    "not (os ~ windows and memory >= 8192)",
    "last_contact > 7d",
    "last_contact <= 12h or last_contact is empty",
    "software ~ fire",
    "software:firefox > 115",
    "software:firefox is empty",
    "software is empty",
    "ip = 10.0.0.*",
    "mac is empty",
    "tag in (Lyon, Paris)",
    "os_version in (12, 13.1)",
    "group = static",
    'group = "dynamic 0"',
    "package:7-zip = error",
    "package:7-zip = waiting",
    "package:7-zip = none",
)


def _describe(
    session: Session, computer: Computer, number: int, software: tuple[str, str] | None
) -> None:
    ip = f"10.0.{number // 2}.{number}"
    session.add(ComputerAddress(computer_id=computer.id, kind="ip", value=ip, value_key=ip))
    if software:
        name, version = software
        item = SoftwareItem(
            digest=name.encode(), name=name, name_key=fold(name), version=version,
            version_key=fold(version), version_sort=version_key(version), publisher="",
        )  # fmt: skip
        owned = SoftwareSet(digest=name.encode(), size=1)
        session.add_all((item, owned))
        session.flush()
        session.add(SoftwareSetItem(set_id=owned.id, item_id=item.id))
        computer.software_set_id = owned.id


@pytest.fixture
def fleet(session: Session) -> Session:
    """A few computers that differ in what the expressions ask for."""
    pieces = {"pc-1": ("firefox", "120"), "pc-2": ("Firefox ESR", "102"), "mac-1": None}
    for number, (name, software) in enumerate(pieces.items()):
        computer = make_computer(
            session,
            name=name,
            tag=("Lyon", "Rome", "")[number],
            os=("Debian 12", "Windows 11", "macOS")[number],
            memory=(4096, 16384, None)[number],
            os_version=("12", "13.1", "")[number],
            last_contact=(START, START - timedelta(days=8), None)[number],
        )
        _describe(session, computer, number, software)
    everybody = session.scalars(select(Computer).order_by(Computer.id)).all()
    activation = make_activation(session)
    activation.package.name, activation.package.name_key = "7-Zip", "7-zip"
    make_assignment(session, everybody[0], activation, status="ERR_BAD_DIGEST")
    static = make_group(session, everybody[1], name="static")
    make_group_assignment(session, static, activation)
    for number, expression in enumerate(EXPRESSIONS):
        kept_out = (everybody[0],) if number == 3 else ()
        make_group(
            session, excluded=kept_out, name=f"dynamic {number}", kind="dynamic",
            expression=expression,
        )  # fmt: skip
    make_group(session, everybody[2], name="put in", kind="dynamic", expression="name = nobody")
    session.commit()
    return session


def test_every_group_that_lists_a_computer_is_one_of_its_groups(fleet: Session) -> None:
    groups = fleet.scalars(select(Group)).all()
    listed = {
        (group.id, computer_id)
        for group in groups
        for computer_id in fleet.scalars(
            select(Computer.id).where(Searcher(fleet, START).groups.by_id([group.id]))
        )
    }
    for _ in range(2):  # the second time by the statement that was kept
        of_computers = {
            (group_id, computer_id)
            for computer_id in fleet.scalars(select(Computer.id))
            for group_id in groups_of(fleet, computer_id, START)
        }
        assert of_computers == listed
    assert len({computer_id for _, computer_id in listed}) == 3


def test_conditions_for_numbers_find_the_same(fleet: Session) -> None:
    """They do not ask for people's own words where there are none; two groups have some."""
    for group in fleet.scalars(select(Group)).all():
        acting, counting = (
            set(fleet.scalars(select(Computer.id).where(searcher.groups.by_id([group.id]))))
            for searcher in (Searcher(fleet, START), Searcher(fleet, START, counting=True))
        )
        assert counting == acting, group.expression


def test_what_durations_count_from_is_the_moment_of_the_question(fleet: Session) -> None:
    away = fleet.scalars(select(Computer).where(Computer.name == "pc-2")).one()
    old = fleet.scalars(select(Group).where(Group.expression == "last_contact > 7d")).one()
    assert old.id in groups_of(fleet, away.id, START)
    assert old.id not in groups_of(fleet, away.id, START - timedelta(days=2))


def test_twenty_dynamic_groups_cost_two_statements(session: Session) -> None:
    computer = make_computer(session)
    for number in range(20):
        make_group(session, kind="dynamic", expression=f"memory > {number} or software ~ x{number}")
    session.commit()
    groups_of(session, computer.id, START)
    with recorded(session) as statements:
        groups_of(session, computer.id, START)
    assert len(statements) == 2

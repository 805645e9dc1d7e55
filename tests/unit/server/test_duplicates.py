"""Look-alikes on both databases: found by what they share, merged without losing anything."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.duplicates import Likeness
from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import audit
from deploy_server.services.duplicates import lookalikes, merge
from deploy_server.services.settings import set_setting
from deploy_server.storage.models import (
    Assignment,
    Computer,
    ComputerAddress,
    GroupMember,
    Report,
    Setting,
)
from tests.support import factories as make
from tests.support.clock import START

WHO: dict[str, Any] = {"actor": "marie", "now": START}


def found(session: Session, likeness: Likeness, **options: Any) -> dict[str, list[str]]:
    page = lookalikes(session, likeness, **options)
    return {row.value: [each.name for each in row.computers] for row in page.rows}


def test_what_computers_share(session: Session) -> None:
    one = make.make_computer(session, name="A", serial="SN1", tag="LYON")
    two = make.make_computer(session, name="b", serial="sn1", tag="PARIS", last_contact=None)
    make.make_computer(session, name="B", serial="To be filled by O.E.M.")
    make.make_computer(session, name="c", serial="to be filled by o.e.m.")
    for computer in (one, two):
        for mac in ("02:00:00:00:00:01", "00:00:00:00:00:00"):
            session.add(
                ComputerAddress(computer_id=computer.id, kind="mac", value_key=mac, value=mac)
            )
    session.flush()
    assert found(session, Likeness.SERIAL) == {"sn1": ["A", "b"]}
    assert found(session, Likeness.MAC) == {"02:00:00:00:00:01": ["A", "b"]}
    assert set(found(session, Likeness.NAME)) == {"b"}
    assert found(session, Likeness.CHOSEN) == {}
    for likeness in Likeness:
        assert found(session, likeness, perimeter=frozenset({"LYON"})) == {}


def settings_say(session: Session, **values: str) -> None:
    for name, value in values.items():
        set_setting(session, name, value, **WHO)


def test_what_must_agree_is_a_setting(session: Session) -> None:
    for name, serial in (("a", "SN1"), ("A", "sn1"), ("b", "SN1")):
        pc = make.make_computer(session, name=name, serial=serial, model="X1", model_key="x1")
        mac = ComputerAddress(computer_id=pc.id, kind="mac", value_key="02:01", value="02:01")
        session.add(mac)
    session.flush()
    alike = {}
    for level in ("7", "3", "2", "12"):
        settings_say(session, AUTO_DUPLICATE_LVL=level)
        alike[level] = found(session, Likeness.CHOSEN)
    assert {level: list(each) for level, each in alike.items()} == {
        "7": ["a · sn1 · 02:01"],
        "3": ["a · sn1"],
        "2": ["sn1"],
        "12": ["02:01 · x1"],
    }
    assert sorted(alike["7"]["a · sn1 · 02:01"]) == ["A", "a"]
    assert len(alike["12"]["02:01 · x1"]) == 3


def test_what_says_nothing_is_a_setting(session: Session) -> None:
    for serial, mac in (("DOCK_1", "02:01"), ("SN1", "02:02")):
        for _ in range(2):
            pc = make.make_computer(session, serial=serial)
            session.add(ComputerAddress(computer_id=pc.id, kind="mac", value_key=mac, value=mac))
    session.flush()
    assert set(found(session, Likeness.SERIAL)) == {"dock_1", "sn1"}
    settings_say(session, BLACKLIST_SERIALS="# docks\ndock*\ns_1", BLACKLIST_MACADDRESSES="02:02")
    assert set(found(session, Likeness.SERIAL)) == {"sn1"}
    assert set(found(session, Likeness.MAC)) == {"02:01"}


def test_pages(session: Session) -> None:
    for number in range(5):
        make.make_computer(session, name=f"n{number}")
        make.make_computer(session, name=f"n{number}")
    page = lookalikes(session, Likeness.NAME, page=2, page_size=2)
    assert [row.value for row in page.rows] == ["n2", "n3"]
    assert (page.total, page.pages) == (5, 3)


def test_merging_keeps_all_that_was_said_and_that_happened(session: Session) -> None:
    keep = make.make_computer(session, device_id="new")
    old = make.make_computer(session, device_id="old", tag="Łódź")
    shared, only_old = (make.make_activation(session) for _ in range(2))
    make.make_assignment(session, keep, shared, status="WAITING")
    make.make_assignment(session, old, shared, status="SUCCESS")
    make.make_assignment(session, old, only_old, status="NOTIFIED")
    group = make.make_group(session, old)
    for computer, name, value in ((keep, "PROLOG_FREQ", "1"), (old, "PROLOG_FREQ", "2"),
                                  (old, "DOWNLOAD_TIMEOUT", "3")):  # fmt: skip
        session.add(Setting(scope="computer", scope_id=computer.id, name=name, value=value,
                            changed_at=START))  # fmt: skip
    session.add(Report(at=START, device_id="old", package_id=shared.package_id, code="SUCCESS",
                       result_class=int(ResultClass.SUCCESS)))  # fmt: skip
    session.flush()
    assert merge(session, keep.id, [old.id, old.id], **WHO) == 1
    row = session.scalars(select(Computer)).one()
    assert (row.device_id, row.tag, row.tag_key) == ("new", "Łódź", "łódź")
    statuses = session.execute(select(Assignment.package_id, Assignment.status))
    expected = {shared.package_id: "WAITING", only_old.package_id: "NOTIFIED"}
    assert {each[0]: each[1] for each in statuses} == expected
    member = session.execute(select(GroupMember.group_id, GroupMember.computer_id)).one()
    assert tuple(member) == (group.id, row.id)
    values = session.execute(select(Setting.scope_id, Setting.name, Setting.value))
    assert sorted(map(tuple, values)) == [
        (row.id, "DOWNLOAD_TIMEOUT", "3"),
        (row.id, "PROLOG_FREQ", "1"),
    ]
    assert session.scalars(select(Report.device_id)).all() == ["new"]
    (entry,) = audit.list_entries(session, audit.Filter()).rows
    assert (entry.action, entry.target) == ("computer.merge", "new")
    assert "old" in entry.before


def test_what_cannot_be_merged(session: Session) -> None:
    mine = make.make_computer(session, tag="LYON")
    other = make.make_computer(session, tag="PARIS")
    for gone in ([], [mine.id], [other.id, mine.id]):
        with pytest.raises(SpecError):
            merge(session, mine.id, gone, **WHO)
    with pytest.raises(NotFound):
        merge(session, mine.id, [999], **WHO)
    for pair in ((mine.id, other.id), (other.id, mine.id)):
        with pytest.raises(NotFound):
            merge(session, pair[0], [pair[1]], perimeter=frozenset({"LYON"}), **WHO)
    assert len(session.scalars(select(Computer.id)).all()) == 2

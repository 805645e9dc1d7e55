"""Many computers at once on both databases: whom it reaches, tags, settings, perimeters, audit."""

import json
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound, SpecError, SpecErrors
from deploy_server.services import fleet
from deploy_server.services.assigning import Selection
from deploy_server.storage.models import AuditEntry, Computer, Setting
from tests.support import factories as make
from tests.support.clock import START

WHO: dict[str, Any] = {"actor": "marie", "now": START}
ALL = Selection(expression="")


def tags(session: Session) -> list[tuple[str, str]]:
    session.expire_all()
    rows = session.execute(select(Computer.tag, Computer.tag_key).order_by(Computer.id))
    return [(tag, key) for tag, key in rows]


def entries(session: Session) -> list[tuple[str, str, Any, Any]]:
    rows = session.scalars(select(AuditEntry).order_by(AuditEntry.number))
    return [
        (row.action, row.target, json.loads(row.before or "null"), json.loads(row.after or "null"))
        for row in rows
    ]


def test_a_radius_counts_systems_tags_and_groups(session: Session) -> None:
    one = make.make_computer(session, name="a", tag="Lyon", os_family="windows")
    two = make.make_computer(session, name="b", tag="LYON")
    make.make_computer(session, name="c")
    make.make_group(session, one, two, name="Servers")
    found = fleet.radius(session, ALL, now=START)
    assert found.computers == 3
    assert dict(found.systems) == {"linux": 2, "windows": 1}
    assert sorted(number for _, number in found.tags) == [1, 2]
    assert found.groups == (("Servers", 2),)
    assert [name for _, name in found.examples] == ["a", "b", "c"]
    few = fleet.radius(session, Selection(computer_ids=[two.id]), now=START)
    assert (few.computers, few.groups) == (1, (("Servers", 1),))


def test_a_tag_is_given_and_entered_by_what_was_before(session: Session) -> None:
    first = make.make_computer(session, tag="PARIS")
    second = make.make_computer(session)
    make.make_computer(session, tag="ŁÓDŹ")
    assert fleet.set_tag(session, ALL, "  ŁÓDŹ ", **WHO) == 2
    assert tags(session) == [("ŁÓDŹ", "łódź")] * 3
    none, paris = entries(session)
    assert none == (
        "computer.tag",
        second.device_id,
        {"tag": ""},
        {"tag": "ŁÓDŹ", "computers": 1, "device_ids": [second.device_id]},
    )
    assert (paris[1], paris[2]["tag"]) == (first.device_id, "PARIS")
    assert fleet.set_tag(session, ALL, "", **WHO) == 3
    assert tags(session) == [("", "")] * 3


@pytest.mark.parametrize("tag", ["NA", "x" * 256, "a\u202eb"])
def test_what_is_no_tag(session: Session, tag: str) -> None:
    with pytest.raises(SpecError, match="tag"):
        fleet.set_tag(session, ALL, tag, **WHO)


def test_people_with_tags_touch_and_give_their_own_only(session: Session) -> None:
    mine = make.make_computer(session, tag="Lyon")
    other = make.make_computer(session, tag="PARIS")
    lyon: Any = {**WHO, "perimeter": frozenset({"LYON", "NICE"})}
    with pytest.raises(NotFound):
        fleet.set_tag(session, Selection(computer_ids=[mine.id, other.id]), "NICE", **lyon)
    for tag in ("PARIS", ""):
        with pytest.raises(SpecError, match=r"LYON, NICE"):
            fleet.set_tag(session, ALL, tag, **lyon)
    assert fleet.set_tag(session, ALL, "nice", **lyon) == 1
    assert [tag for tag, _ in tags(session)] == ["nice", "PARIS"]
    found = fleet.device_ids(session, ALL, now=START, perimeter=lyon["perimeter"])
    assert found == [mine.device_id]


def test_settings_are_set_unset_and_left_alone(session: Session) -> None:
    ids = [make.make_computer(session).id for _ in range(3)]
    make.make_computer(session)
    few = Selection(computer_ids=ids)
    values = {"DOWNLOAD_PERIOD_LENGTH": "20", "DOWNLOAD_FRAG_LATENCY": "5"}
    assert fleet.set_values(session, few, values, **WHO) == 3
    assert fleet.set_values(session, few, {"DOWNLOAD_FRAG_LATENCY": None}, **WHO) == 3
    rows = session.execute(select(Setting.scope_id, Setting.name, Setting.value))
    assert sorted(map(tuple, rows)) == [(each, "DOWNLOAD_PERIOD_LENGTH", "20") for each in ids]
    assert [(action, target) for action, target, _, _ in entries(session)] == [
        ("setting.set", "DOWNLOAD_PERIOD_LENGTH of 3 computers"),
        ("setting.set", "DOWNLOAD_FRAG_LATENCY of 3 computers"),
        ("setting.unset", "DOWNLOAD_FRAG_LATENCY of 3 computers"),
    ]


def test_one_wrong_setting_changes_none(session: Session) -> None:
    make.make_computer(session)
    wrong = {"DOWNLOAD_PERIOD_LENGTH": "0", "PROLOG_FREQ": "12", "NO_SUCH": "1", "AUDIT_DAYS": "3"}
    with pytest.raises(SpecErrors) as caught:
        fleet.set_values(session, ALL, wrong, **WHO)
    assert set(caught.value.by_field()) == {"DOWNLOAD_PERIOD_LENGTH", "NO_SUCH", "AUDIT_DAYS"}
    assert session.scalars(select(Setting.name)).all() == []


def test_a_group_is_no_selection_of_computers(session: Session) -> None:
    with pytest.raises(SpecError, match="group"):
        fleet.radius(session, Selection(group="Servers"), now=START)

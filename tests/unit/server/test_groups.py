import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, Forbidden, NotFound, SpecError
from deploy_server.services import groups
from deploy_server.storage.models import (
    Assignment,
    Computer,
    Group,
    GroupAssignment,
    GroupMember,
    Setting,
)
from tests.support.clock import START
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
)

LYON = frozenset({"lyon"})
WHO = {"actor": "admin", "now": START}


def _ids(session: Session, name: str, **values: object) -> set[str]:
    page = groups.group_members(session, name, now=START, **values)  # type: ignore[arg-type]
    assert page.total == len(page.rows)
    return {row.device_id for row in page.rows}


def test_a_static_group_has_whom_was_put_into_it(session: Session) -> None:
    one, two = make_computer(session), make_computer(session)
    made = groups.add_group(session, " Büro ", description="third floor", actor="a", now=START)
    assert (made.name, made.kind, made.members, made.created_by) == ("Büro", "static", 0, "a")
    ids = [one.device_id, two.device_id, one.device_id]
    assert groups.include(session, "BÜRO", ids, **WHO) == 2
    assert groups.include(session, "büro", ids, **WHO) == 0
    assert groups.get_group(session, "büro", now=START).members == 2
    assert groups.exclude(session, "büro", [one.device_id], **WHO) == 1
    assert _ids(session, "büro") == {two.device_id}
    assert groups.reset(session, "büro", ids, now=START) == 2
    assert _ids(session, "büro") == set()


def test_a_dynamic_group_has_whoever_matches_with_exceptions_by_hand(session: Session) -> None:
    match, other = make_computer(session, name="pc-a"), make_computer(session, name="srv-a")
    made = groups.add_group(session, "PCs", expression="name = pc-*", **WHO)
    assert (made.kind, made.members) == ("dynamic", 1)
    groups.include(session, "PCs", [other.device_id], **WHO)
    groups.exclude(session, "PCs", [match.device_id], **WHO)
    assert _ids(session, "PCs") == {other.device_id}
    groups.reset(session, "PCs", [match.device_id, other.device_id], now=START)
    assert _ids(session, "PCs") == {match.device_id}
    later = make_computer(session, name="pc-later")
    assert _ids(session, "PCs") == {match.device_id, later.device_id}


def test_lists_count_what_the_member_pages_show(session: Session) -> None:
    mine = make_computer(session, name="pc-1", tag="LYON")
    other = make_computer(session, name="pc-2", tag="PARIS")
    make_group(session, mine, other, name="both", visible=True)
    make_group(session, other, excluded=(mine,), name="one")
    make_group(session, name="every", kind="dynamic", expression="name = pc-*")
    for perimeter in (None, LYON):
        listed = groups.list_groups(session, now=START, perimeter=perimeter)
        assert [row.name for row in listed] == ["both", "every", "one"]
        for row in listed:
            assert row.members == len(_ids(session, row.name, perimeter=perimeter))
    assert [row.name for row in groups.list_groups(session, now=START, visible_only=True)] == [
        "both"
    ]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "a", "description": "x" * 1001}, "description"),
        ({"name": "a", "description": "a\0"}, "description"),
        ({"name": "a", "expression": " "}, "expression"),
        ({"name": "a", "expression": "os ="}, "expression"),
        ({"name": "a", "expression": "group = a"}, "expression"),
        ({"name": "a", "expression": "os = *", "visible": True}, "visible"),
    ],
)
def test_wrong_values_name_their_field_and_make_nothing(
    session: Session, values: dict[str, str], field: str
) -> None:
    with pytest.raises(SpecError) as caught:
        groups.add_group(session, **values, **WHO)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert session.scalar(select(func.count()).select_from(Group)) == 0


def test_groups_that_refer_to_each_other_in_a_ring_are_refused(session: Session) -> None:
    groups.add_group(session, "a", expression="os = *", **WHO)
    groups.add_group(session, "b", expression="group = a", **WHO)
    with pytest.raises(SpecError, match="refers to itself"):
        groups.edit_group(session, "a", expression="group = b", now=START)
    session.expire_all()
    assert groups.get_group(session, "a", now=START).expression == "os = *"


def test_names_are_unique_without_case(session: Session) -> None:
    groups.add_group(session, "Servers", **WHO)
    groups.add_group(session, "Desks", **WHO)
    with pytest.raises(Conflict, match="already"):
        groups.add_group(session, "SERVERS", **WHO)
    with pytest.raises(Conflict):
        groups.edit_group(session, "desks", new_name="servers", now=START)
    assert groups.edit_group(session, "desks", new_name="DESKS", now=START).name == "DESKS"


def test_editing_changes_what_is_named_and_nothing_else(session: Session) -> None:
    groups.add_group(session, "a", description="d", **WHO)
    row = groups.edit_group(session, "a", visible=True, now=START)
    assert (row.name, row.description, row.visible) == ("a", "d", True)
    with pytest.raises(SpecError) as caught:
        groups.edit_group(session, "a", expression="os = *", now=START)
    assert caught.value.field == "expression"
    with pytest.raises(NotFound, match="no group 'b'"):
        groups.edit_group(session, "b", visible=True, now=START)


def test_a_perimeter_reaches_visible_groups_and_own_computers(session: Session) -> None:
    mine = make_computer(session, tag="LYON")
    other = make_computer(session, tag="PARIS")
    make_group(session, name="open", visible=True)
    make_group(session, name="closed")
    assert groups.include(session, "open", [mine.device_id], perimeter=LYON, **WHO) == 1
    with pytest.raises(NotFound):
        groups.include(session, "open", [mine.device_id, other.device_id], perimeter=LYON, **WHO)
    for change in (groups.include, groups.exclude):
        with pytest.raises(Forbidden):
            change(session, "closed", [mine.device_id], perimeter=LYON, **WHO)
    with pytest.raises(Forbidden):
        groups.reset(session, "closed", [mine.device_id], now=START, perimeter=LYON)


def test_leaving_before_the_offer_takes_the_package_back(session: Session) -> None:
    waits, told = make_computer(session), make_computer(session)
    group = make_group(session, waits, told)
    activation = make_activation(session)
    make_group_assignment(session, group, activation)
    make_assignment(session, waits, activation, group_id=group.id)
    make_assignment(session, told, activation, status="NOTIFIED", group_id=group.id)
    own = make_assignment(session, waits)
    groups.exclude(session, group.name, [waits.device_id, told.device_id], **WHO)
    rows = session.scalars(select(Assignment).order_by(Assignment.id)).all()
    assert [(row.computer_id, row.status) for row in rows] == [
        (told.id, "NOTIFIED"),
        (own.computer_id, "WAITING"),
    ]


def test_deleting_a_group_leaves_its_computers_alone(session: Session) -> None:
    computer = make_computer(session)
    group = make_group(session, computer)
    activation = make_activation(session)
    make_group_assignment(session, group, activation)
    make_assignment(session, computer, activation, status="SUCCESS", group_id=group.id)
    setting = {"scope": "group", "scope_id": group.id, "name": "DOWNLOAD", "value": "0"}
    session.add(Setting(**setting, changed_at=START))
    session.flush()
    groups.delete_group(session, group.name, now=START)
    counts = {
        model.__name__: session.scalar(select(func.count()).select_from(model))
        for model in (Group, GroupMember, GroupAssignment, Setting, Computer, Assignment)
    }
    assert counts == {
        "Group": 0,
        "GroupMember": 0,
        "GroupAssignment": 0,
        "Setting": 0,
        "Computer": 1,
        "Assignment": 1,
    }
    with pytest.raises(NotFound):
        groups.delete_group(session, group.name, now=START)

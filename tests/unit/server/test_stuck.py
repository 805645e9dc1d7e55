"""What is stuck: counted by why, listed with the reason, inside the tags."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from deploy_server.services import stuck
from deploy_server.services.stuck import Kind
from tests.support.clock import START
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)

#: name: (status, days in it, days since the last contact)
CASES = {
    "fresh": ("WAITING", 1, 9),
    "waits": ("WAITING", 9, 9),
    "never seen": ("WAITING", 9, None),
    "comes": ("WAITING", 9, 1),
    "told and gone": ("NOTIFIED", 9, 9),
    "told and silent": ("NOTIFIED", 9, 0),
    "told lately": ("NOTIFIED", 2, 0),
    "done": ("SUCCESS", 9, 9),
    "failed": ("ERR_X", 9, 9),
}
EXPECTED = {
    Kind.OUT_OF_REACH: {"waits", "never seen"},
    Kind.LOST: {"told and gone"},
    Kind.SILENT: {"told and silent"},
}


@pytest.fixture
def fleet(session: Session) -> Session:
    activation = make_activation(session)
    for tag in ("LYON", "PARIS"):
        for name, (status, days, contact) in CASES.items():
            seen = None if contact is None else START - timedelta(days=contact)
            computer = make_computer(session, name=name, tag=tag, last_contact=seen)
            since = START - timedelta(days=days)
            make_assignment(session, computer, activation, status=status, since=since)
    cleared = make_computer(session, name="waits", last_contact=None)
    make_assignment(session, cleared, activation, since=START - timedelta(days=9), cleared_at=START)
    session.commit()
    return session


@pytest.mark.parametrize("perimeter", [None, frozenset({"Lyon"})])
def test_every_count_is_the_length_of_its_list(
    fleet: Session, perimeter: frozenset[str] | None
) -> None:
    counts = stuck.stuck_counts(fleet, now=START, perimeter=perimeter)
    towns = 2 if perimeter is None else 1
    assert counts == {kind: len(names) * towns for kind, names in EXPECTED.items()}
    for kind, names in EXPECTED.items():
        page = stuck.stuck_page(fleet, kind, now=START, perimeter=perimeter, page_size=100)
        assert page.total == len(page.rows) == counts[kind]
        assert {row.computer_name for row in page.rows} == names
        assert all(row.reason for row in page.rows)


def test_nothing_is_stuck_where_nothing_is(session: Session) -> None:
    assert stuck.stuck_counts(session, now=START) == {}
    assert stuck.stuck_page(session, Kind.LOST, now=START).pages == 1


def test_members_who_never_came_wait_for_what_their_groups_were_given(session: Session) -> None:
    activation = make_activation(session)
    long_ago, lately = START - timedelta(days=9), START - timedelta(days=1)
    seen = {"pc-never": None, "pc-away": long_ago, "pc-comes": lately}
    members = [make_computer(session, name=name, last_contact=at) for name, at in seen.items()]
    dynamic = {"kind": "dynamic", "expression": "name = pc*"}
    groups = [make_group(session, *members), make_group(session, **dynamic)]
    make_group_assignment(session, groups[0], activation, assigned_at=long_ago)
    make_group_assignment(session, groups[1], activation, assigned_at=long_ago)
    make_group_assignment(session, groups[1], make_activation(session), assigned_at=lately)
    windows = make_activation(session, package=make_package(session, os="windows"))
    make_group_assignment(session, groups[0], windows, assigned_at=long_ago)
    session.commit()
    assert stuck.stuck_counts(session, now=START) == {Kind.OUT_OF_REACH: 2}
    page = stuck.stuck_page(session, Kind.OUT_OF_REACH, now=START)
    found = {(row.computer_name, row.package_id, row.status) for row in page.rows}
    assert found == {(name, activation.package_id, "WAITING") for name in ("pc-never", "pc-away")}
    assert all(row.reason and row.since == long_ago for row in page.rows)


def test_the_pages_together_are_the_whole_list(session: Session) -> None:
    activation = make_activation(session)
    computers = [make_computer(session, name=f"pc-{n}", last_contact=None) for n in range(6)]
    for days, computer in zip((9, 8, 8, 5, 4), computers, strict=False):
        make_assignment(session, computer, activation, since=START - timedelta(days=days))
    given = make_activation(session)
    group = make_group(session, *computers)
    make_group_assignment(session, group, given, assigned_at=START - timedelta(days=6))
    session.commit()
    whole = stuck.stuck_page(session, Kind.OUT_OF_REACH, now=START, page_size=100)
    assert len(whole.rows) == whole.total == 11
    assert [row.since for row in whole.rows] == sorted(row.since for row in whole.rows)
    for size in (1, 2, 3, 4):
        pages = [
            stuck.stuck_page(session, Kind.OUT_OF_REACH, now=START, page=page, page_size=size)
            for page in range(1, -(-11 // size) + 2)
        ]
        assert tuple(row for page in pages for row in page.rows) == whole.rows

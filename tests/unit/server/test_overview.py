"""What the overview counts, on both databases; the pages are in web/test_overview.py."""

from datetime import timedelta

from sqlalchemy.orm import Session

from deploy_server.services import overview
from deploy_server.services.computers import count_computers
from deploy_server.services.settings import set_setting
from deploy_server.storage.models import Counter
from tests.support.clock import START
from tests.support.factories import make_activation, make_assignment, make_computer, make_package

WEEK_AGO = START - timedelta(days=7)


def test_overdue_follows_the_period_of_contact(session: Session) -> None:
    for hours in (5, 7, 80):
        make_computer(session, last_contact=START - timedelta(hours=hours))
    make_computer(session, last_contact=None)
    found = overview.contacts(session, now=START)
    assert (found.in_contact.count, found.overdue.count, found.never.count) == (2, 1, 1)
    set_setting(session, "PROLOG_FREQ", "2", actor="x", now=START)
    found = overview.contacts(session, now=START)
    assert (found.in_contact.count, found.overdue.count, found.hours) == (1, 2, 6)
    for each in (found.in_contact, found.overdue, found.never):
        assert each.count == count_computers(session, each.expression, now=START)


def test_a_package_is_under_way_while_one_row_is_open(session: Session) -> None:
    first, second, third = (make_activation(session) for _ in range(3))
    make_assignment(session, activation=first, status="NOTIFIED")
    make_assignment(session, make_computer(session, tag="LYON"), second)
    make_assignment(session, activation=third, status="ERR_X")
    make_assignment(session, activation=third, cleared_at=START)
    ids = [second.package_id, first.package_id]
    assert overview.packages_in_progress(session) == ids
    assert overview.packages_in_progress(session, limit=1) == ids[:1]
    lyon = frozenset({"lyon"})
    assert overview.packages_in_progress(session, perimeter=lyon) == ids[:1]
    assert overview.packages_in_progress(session, perimeter=frozenset({"none"})) == []


def test_failures_are_the_rows_that_were_counted(session: Session) -> None:
    package = make_package(session, name="Tool")
    activation = make_activation(session, package)
    for number, code in enumerate(("ERR_A", "ERR_B", "ERR_A", "ERR_OLD", "SUCCESS")):
        tag = "LYON" if code == "ERR_A" else "PARIS"
        since = START - timedelta(days=9 if code == "ERR_OLD" else 1, minutes=number)
        computer = make_computer(session, tag=tag)
        make_assignment(session, computer, activation, status=code, since=since)
    counted = overview.failures_by_code(session, since=WEEK_AGO)
    assert [(each.code, each.count) for each in counted] == [("ERR_A", 2), ("ERR_B", 1)]
    for each in counted:
        page = overview.failures(session, since=WEEK_AGO, code=each.code)
        assert (page.total, len(page.rows)) == (each.count, each.count)
        assert {row.code for row in page.rows} == {each.code}
    everything = overview.failures(session, since=WEEK_AGO, page_size=2)
    assert (everything.total, len(everything.rows), everything.pages) == (3, 2, 2)
    assert everything.rows[0].since > everything.rows[1].since
    assert everything.rows[0].package_name == "Tool"
    lyon = overview.failures(session, since=WEEK_AGO, perimeter=frozenset({"LYON"}))
    assert lyon.total == 2
    assert overview.failures(session, since=START).pages == 1


def test_only_counters_that_counted_are_told(session: Session) -> None:
    session.add_all([Counter(name="some", value=3), Counter(name="none", value=0)])
    session.flush()
    found = overview.counters(session, ["some", "none", "never"])
    assert {name: row.value for name, row in found.items()} == {"some": 3}

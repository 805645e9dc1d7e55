"""The way back from clearing: exactly those who were cleared, and only where that is the truth."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, NotFound
from deploy_server.services import assigning, status
from deploy_server.services.assigning import Selection
from deploy_server.storage.models import Activation, Assignment, AuditEntry, GroupAssignment
from tests.support.clock import START
from tests.support.factories import (
    make_activation,
    make_assignment,
    make_computer,
    make_group,
    make_group_assignment,
    make_package,
)

LATER = START + timedelta(minutes=5)


@pytest.fixture
def site(session: Session) -> Activation:
    """A package in every state in two towns, and a group with two members that have no row."""
    activation = make_activation(session, make_package(session, os="any"))
    for tag in ("LYON", "PARIS"):
        for code in ("WAITING", "NOTIFIED", "SUCCESS", "ERR_X"):
            make_assignment(
                session, make_computer(session, tag=tag), activation, status=code,
                force=True, schedule="2026/12/01 10:00",
            )  # fmt: skip
    group = make_group(session, make_computer(session), make_computer(session))
    make_group_assignment(session, group, activation)
    session.commit()
    return activation


def counts(session: Session, site: Activation) -> dict[str, int]:
    return status.package_status(session, site.package_id, now=LATER).by_status


def rows(session: Session) -> list[tuple[object, ...]]:
    columns = (Assignment.computer_id, Assignment.attempt, Assignment.force, Assignment.schedule,
               Assignment.status, Assignment.cleared_at)  # fmt: skip
    return [tuple(each) for each in session.execute(select(*columns).order_by(Assignment.id))]


def clear(session: Session, site: Activation, what: status.Validation) -> int:
    return status.validate(session, site.package_id, what, actor="ann", now=START)


def bring_back(
    session: Session, site: Activation, what: assigning.Cleared = "waiting", rows: int = 4
) -> int:
    return assigning.bring_back(
        session, site.package_id, START, what, rows=rows, actor="ann", now=LATER
    )


@pytest.mark.parametrize(("cleared", "what", "number"), [
    ("not_notified", "waiting", 4), ("success", "success", 2),
])  # fmt: skip
def test_the_counts_are_what_they_were(
    session: Session,
    site: Activation,
    cleared: status.Validation,
    what: assigning.Cleared,
    number: int,
) -> None:
    before, mine = counts(session, site), rows(session)
    assert clear(session, site, cleared) == number
    assert counts(session, site) != before
    assert bring_back(session, site, what) == number
    assert counts(session, site) == before
    assert rows(session)[: len(mine)] == mine
    entry = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc())).first()
    assert entry is not None
    assert (entry.action, entry.actor) == ("package.bring_back", "ann")
    with pytest.raises(Conflict):
        bring_back(session, site, what)


def test_who_was_told_stays_cleared(session: Session, site: Activation) -> None:
    clear(session, site, "all")
    assert bring_back(session, site) == 4
    assert bring_back(session, site, "success") == 2
    assert counts(session, site) == {"WAITING": 4, "SUCCESS": 2}


def test_only_that_moment_and_only_inside_the_tags(session: Session, site: Activation) -> None:
    for computer in session.scalars(select(Assignment.computer_id)).all()[:1]:
        assigning.unassign(
            session, str(site.package_id), Selection(computer_ids=[computer]), actor="x", now=LATER
        )
    clear(session, site, "not_notified")
    about: dict[str, Any] = {
        "rows": 4,
        "actor": "lea",
        "now": LATER,
        "perimeter": frozenset({"lyon"}),
    }
    with pytest.raises(Conflict):
        assigning.bring_back(session, site.package_id, START, "waiting", **about)
    about["perimeter"] = frozenset({"paris"})
    assert assigning.bring_back(session, site.package_id, START, "waiting", **about) == 1
    assert bring_back(session, site) == 2
    with pytest.raises(NotFound):
        assigning.bring_back(session, 7, START, "waiting", rows=4, actor="x", now=LATER)


def test_two_acts_of_one_second_do_not_come_back_together(
    session: Session, site: Activation
) -> None:
    lyon, paris = frozenset({"LYON"}), frozenset({"PARIS"})
    for town in (lyon, paris):
        cleared = status.validate(
            session, site.package_id, "not_notified", actor="x", now=START, perimeter=town
        )
        assert cleared == 1
    before = rows(session)
    with pytest.raises(Conflict, match=r"more than that .* in the same second"):
        bring_back(session, site, rows=1)
    assert rows(session) == before
    about: dict[str, Any] = {"rows": 1, "actor": "lea", "now": LATER, "perimeter": lyon}
    assert assigning.bring_back(session, site.package_id, START, "waiting", **about) == 1
    # What is left is the other act's.
    assert bring_back(session, site, rows=1) == 1


def test_who_was_deployed_to_again_is_left_alone(session: Session, site: Activation) -> None:
    clear(session, site, "not_notified")
    everybody = Selection(expression="")
    assigning.assign(session, f"A{site.id}", everybody, actor="x", now=LATER)
    before = rows(session)
    with pytest.raises(Conflict, match="deployed again"):
        bring_back(session, site)
    assert rows(session) == before


def test_what_nobody_would_be_offered_does_not_wait(session: Session, site: Activation) -> None:
    clear(session, site, "not_notified")
    session.delete(session.scalars(select(GroupAssignment)).one())
    session.flush()
    assert bring_back(session, site) == 2
    clear(session, site, "not_notified")
    session.execute(update(Activation).values(ended_at=LATER))
    with pytest.raises(Conflict):
        bring_back(session, site)

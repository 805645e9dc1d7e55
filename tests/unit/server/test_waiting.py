"""Why it is not done yet, on both databases: what goes first, when the computer is expected."""

from datetime import timedelta

from sqlalchemy.orm import Session

from deploy_server.services.status import computer_deployments, contact_rhythm
from tests.support import factories as make
from tests.support.apps import OURS
from tests.support.clock import START


def reasons(session: Session, computer_id: int) -> dict[str, str]:
    found = computer_deployments(session, computer_id, now=START)
    return {each.name: each.reason for each in found}


def test_a_priority_0_package_is_named_by_those_behind_it(session: Session) -> None:
    computer = make.make_computer(session)
    for name, priority, schedule in (("first", 0, ""), ("then", 5, ""), ("also 0", 0, "")):
        package = make.make_package(session, name=name, priority=priority)
        activation = make.make_activation(session, package)
        status = {"status": "WAITING" if name == "also 0" else "NOTIFIED", "schedule": schedule}
        make.make_assignment(session, computer, activation, **status)  # type: ignore[arg-type]
    found = reasons(session, computer.id)
    assert found["then"] == "Behind first, which has priority 0 and goes first"
    assert found["first"].startswith("Offered")
    assert found["also 0"].startswith("Waits for the computer's next contact")


def test_one_that_waits_for_its_time_holds_nobody_back(session: Session) -> None:
    computer = make.make_computer(session)
    first = make.make_activation(session, make.make_package(session, priority=0))
    then = make.make_activation(session, make.make_package(session, name="then"))
    later = "2027/01/01 10:00"
    make.make_assignment(session, computer, first, status="NOTIFIED", schedule=later)
    make.make_assignment(session, computer, then, status="NOTIFIED")
    assert reasons(session, computer.id)["then"].startswith("Offered")


def test_when_a_computer_is_expected(session: Session) -> None:
    ours = make.make_computer(session, agent=OURS, last_contact=START - timedelta(minutes=30))
    legacy = make.make_computer(session, last_contact=START - timedelta(hours=100))
    never = make.make_computer(session, last_contact=None)
    found = contact_rhythm(session, ours.id, now=START)
    assert found is not None
    assert (found.every, found.overdue) == (timedelta(hours=1), False)
    assert found.due == START + timedelta(minutes=30)
    found = contact_rhythm(session, legacy.id, now=START)
    assert found is not None
    assert (found.every, found.overdue) == (timedelta(hours=24), True)
    found = contact_rhythm(session, never.id, now=START)
    assert found is not None
    assert (found.due, found.overdue) == (None, False)
    assert contact_rhythm(session, 999, now=START) is None

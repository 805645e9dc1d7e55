"""INSERT that meets a row already there."""

from sqlalchemy import literal, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import WAITING
from deploy_server.storage.models import Assignment, Computer
from deploy_server.storage.upsert import insert_or_update_from
from tests.support.clock import START
from tests.support.factories import make_activation, make_assignment, make_computer


def test_a_row_that_came_meanwhile_is_updated_all_the_same(session: Session) -> None:
    """Somebody looked, found none, and a contact wrote one before the rows were inserted."""
    activation = make_activation(session)
    there, new = make_computer(session, name="there"), make_computer(session, name="new")
    make_assignment(session, there, activation, status="ERR_BAD_DIGEST")
    session.flush()
    row = {"package_id": activation.package_id, "activation_id": activation.id, "attempt": 7}
    row |= {"status": WAITING, "status_class": 0, "force": False, "schedule": "", "postcmd": ""}
    row |= {"since": START, "assigned_at": START, "assigned_by": "marie"}
    types = Assignment.__table__.columns
    values = [literal(value, types[name].type).label(name) for name, value in row.items()]
    rows = select(Computer.id.label("computer_id"), *values).where(Computer.id > 0)
    changed = insert_or_update_from(
        session, Assignment, rows, ("computer_id", "package_id"), ["attempt", "status"],
        likely_new=True,
    )  # fmt: skip
    session.commit()
    found = session.execute(select(Assignment.computer_id, Assignment.attempt, Assignment.status))
    assert changed == 2
    assert sorted(found.all()) == sorted([(there.id, 7, WAITING), (new.id, 7, WAITING)])

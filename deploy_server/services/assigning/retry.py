"""A computer asks for another attempt at a package that failed on it."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_agent.wire.terms import PACKAGE_ID_MAX
from deploy_server.domain.errors import Conflict, NotFound
from deploy_server.services.activity import Activity, Caller
from deploy_server.services.assigning.assign import assign_again
from deploy_server.services.audit import act_for
from deploy_server.storage.models import Assignment, Computer


def retry(
    session: Session, device_id: str, package_id: int, *, now: datetime, caller: Caller
) -> int:
    """Let a package that ended in an error wait again on the computer that asks; its new attempt.

    Args:
        session: not committed here.
        device_id: of the computer.
        package_id: which package.
        now: UTC.
        caller: who asks.

    Raises:
        NotFound: it is not assigned to this computer.
        Conflict: it did not end in an error, or its activation has ended.
    """
    found = session.execute(
        select(Assignment.computer_id, Assignment.status, Assignment.status_class)
        .join(Computer, Computer.id == Assignment.computer_id)
        .where(
            Computer.device_id == device_id,
            Assignment.package_id == min(package_id, PACKAGE_ID_MAX + 1),
            Assignment.cleared_at.is_(None),
        )
    ).first()
    if found is None:
        raise NotFound(
            f"package {package_id} is not assigned to this computer",
            "Ask an administrator to assign it",
        )
    if found.status_class != ResultClass.ERROR:
        raise Conflict(
            f"package {package_id} did not end in an error here: {found.status}",
            "Wait for its end, or ask an administrator to assign it again",
        )
    actor = f"its computer {device_id}"
    act_for(actor, caller.remote)
    if not assign_again(session, package_id, [found.computer_id], actor=actor, now=now):
        raise Conflict(
            f"the activation of package {package_id} has ended",
            "Ask an administrator to activate it and to assign it again",
        )
    caller.note(Activity.RETRIED, f"{package_id}")
    attempt = session.scalar(
        select(Assignment.attempt).where(
            Assignment.computer_id == found.computer_id, Assignment.package_id == package_id
        )
    )
    assert attempt is not None
    return attempt

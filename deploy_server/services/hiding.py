"""Which packages only administrators see; what it means for a session is storage/hidden.py's."""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from deploy_server.services import audit
from deploy_server.services.packages import get_package

log = logging.getLogger(__name__)


def set_hidden(
    session: Session, package_ids: Sequence[int], hidden: bool, *, now: datetime, actor: str
) -> list[int]:
    """Hide packages from operators and viewers, or show them again; computers notice nothing.

    Returns:
        Those that were not so before.

    Raises:
        NotFound: one of them does not exist or was deleted; nothing has changed then.
    """
    packages = [get_package(session, each) for each in dict.fromkeys(package_ids)]
    changed = [each for each in packages if (each.hidden_at is not None) != hidden]
    for package in changed:
        package.hidden_at = now if hidden else None
        act = "package.hide" if hidden else "package.show"
        audit.record(
            session, act, str(package.id), now=now, actor=actor, after={"name": package.name}
        )
    ids = [each.id for each in changed]
    log.info("%s %s packages %s", actor, "hid" if hidden else "showed", ids)
    return ids

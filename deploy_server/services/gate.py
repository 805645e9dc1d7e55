"""Which agents may speak to the server: by their User-Agent, and over plain HTTP or not."""

import re
from datetime import datetime

from sqlalchemy.orm import Session

from deploy_server.domain.agents import fits, lines_of
from deploy_server.services.settings import everybody
from deploy_server.storage.upsert import count

#: What the overview calls agents that were refused because they came over plain HTTP.
REFUSED_HTTP = "agents_over_http_refused"

# OCS's in any version (and ours, which calls itself one of them), FusionInventory, GLPI.
_KNOWN = re.compile(r"OCS-NG_|FusionInventory|GLPI", re.IGNORECASE)


def is_known_agent(session: Session, user_agent: str) -> bool:
    """Return whether an agent that calls itself so is answered."""
    if _KNOWN.match(user_agent):
        return True
    patterns = lines_of(everybody(session).values["AGENTS_ALLOWED"])
    return any(fits(pattern, user_agent) for pattern in patterns)


def is_http_allowed(session: Session) -> bool:
    """Return whether agents may report over plain HTTP."""
    return everybody(session).is_on("AGENTS_OVER_HTTP")


def count_refused(session: Session, now: datetime) -> None:
    """Count a contact that was refused because it came over plain HTTP."""
    count(session, REFUSED_HTTP, now)

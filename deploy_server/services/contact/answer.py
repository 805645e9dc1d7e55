"""Which message it is, and who answers it."""

from datetime import datetime

from sqlalchemy.orm import Session

from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, Request
from deploy_server.services.activity import Caller
from deploy_server.services.contact.prolog import answer_prolog
from deploy_server.services.contact.report import take_report
from deploy_server.services.inventory import take_inventory


def answer(
    session: Session, request: Request, *, now: datetime, user_agent: str, remote: str
) -> bytes:
    """Do what a message asks and return the XML of the reply; b"" is an empty reply.

    Args:
        session: not committed here; what the reply says holds once it is.
        request: as the agent sent it.
        now: UTC.
        user_agent: as the agent names itself.
        remote: the address it came from.
    """
    now = now.replace(microsecond=0)
    caller = Caller(request.device_id, remote, user_agent)
    match request:
        case Prolog():
            return answer_prolog(session, request, now=now, caller=caller).to_bytes()
        case Inventory():
            return take_inventory(session, request, now=now, caller=caller).to_bytes()
        case DownloadReport():
            take_report(session, request, now=now, caller=caller)
            return b""

"""Which message it is, and who answers it."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, Request
from deploy_agent.wire.replies import PrologReply
from deploy_server.services.activity import Caller
from deploy_server.services.contact.prolog import answer_prolog, look_at_prolog
from deploy_server.services.contact.report import take_report
from deploy_server.services.inventory import take_inventory


@dataclass(frozen=True, slots=True)
class Quick:
    """The reply to a message that changes nothing but when the computer was seen.

    Attributes:
        xml: of the reply.
        computer_id: the row of whoever was seen, None where there is none.
    """

    xml: bytes
    computer_id: int | None


def look(
    session: Session, request: Request, *, now: datetime, user_agent: str, remote: str
) -> Quick | None:
    """Answer a message that changes nothing, and None to any other: that is for `answer`.

    Args:
        session: only reads.
        request: as the agent sent it.
        now: UTC.
        user_agent: as the agent names itself.
        remote: the address it came from.
    """
    if not isinstance(request, Prolog):
        return None
    caller = Caller(request.device_id, remote, user_agent)
    looked = look_at_prolog(session, request, now=now.replace(microsecond=0), caller=caller)
    if looked is None:
        return None
    reply = looked.reply
    return Quick(reply.to_bytes() if reply.offers else _same_for_many(reply), looked.computer_id)


# Whoever gets no package gets what thousands of others get.
@lru_cache(maxsize=256)
def _same_for_many(reply: PrologReply) -> bytes:
    return reply.to_bytes()


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

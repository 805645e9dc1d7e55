"""Talking to deploy_server.services.contact as an agent would, without a web server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, Request
from deploy_agent.wire.replies import InventoryReply, PrologReply
from deploy_agent.wire.sections import Section
from deploy_server.services.contact import answer, look
from deploy_server.services.contact.answer import Quick
from deploy_server.services.settings import EVERYBODY, Scope, set_setting
from deploy_server.storage.models import Activation, Assignment, Computer, DownloadHistory, Report
from tests.support.clock import START, FakeClock
from tests.support.statements import recorded

UNIX = "OCS-NG_unified_unix_agent_v2.10.0"
WINDOWS = "OCS-NG_WINDOWS_AGENT_v2.11.0.1"
OURS = "OCS-NG_unified_unix_agent_v2.0 Tranche/0.1.0"


@contextmanager
def changing_nothing(session: Session) -> Iterator[None]:
    """Fail where a statement writes or locks."""
    with recorded(session) as statements:
        yield
    for each in statements:
        assert each.startswith(("SELECT", "BEGIN", "WITH")), each
        assert " FOR " not in each, each


@dataclass
class Wire:
    """A database, a clock, and messages into it.

    Attributes:
        session: of the database.
        clock: of the server.
        looked: what the last message was answered without writing, None where it had to write.
    """

    session: Session
    clock: FakeClock = field(default_factory=FakeClock)
    looked: Quick | None = None

    def say(self, request: Request, user_agent: str = UNIX) -> bytes:
        """The reply to a message, as XML; committed as the face would.

        Every message is looked at first: whatever is answered without writing is the same.
        """
        self.session.flush()
        who = {"now": self.clock(), "user_agent": user_agent, "remote": "192.0.2.7"}
        with changing_nothing(self.session):
            self.looked = look(self.session, request, **who)
        reply = answer(self.session, request, **who)
        self.session.commit()
        self.session.expire_all()
        assert self.looked is None or self.looked.xml == reply
        return reply

    def prolog(self, computer: Computer | str, user_agent: str = UNIX) -> PrologReply:
        device_id = computer if isinstance(computer, str) else computer.device_id
        return PrologReply.parse(self.say(Prolog(device_id), user_agent))

    def offered(self, computer: Computer, user_agent: str = UNIX) -> list[int]:
        """The ids of the packages that a computer is offered."""
        return [int(each.package_id) for each in self.prolog(computer, user_agent).offers]

    def report(
        self,
        computer: Computer | str,
        activation: Activation | int,
        code: str,
        attempt: int | None = None,
    ) -> None:
        device_id = computer if isinstance(computer, str) else computer.device_id
        package_id = activation if isinstance(activation, int) else activation.package_id
        agent = UNIX if attempt is None else OURS
        assert self.say(DownloadReport(device_id, str(package_id), code, attempt), agent) == b""

    def inventory(self, device_id: str, *sections: Section, **fields: Any) -> InventoryReply:
        agent = fields.pop("user_agent", UNIX)
        message = Inventory(device_id, sections, **fields)
        return InventoryReply.parse(self.say(message, agent))

    def set(self, scope: Scope = EVERYBODY, /, **values: str) -> None:
        for name, value in values.items():
            set_setting(self.session, name, value, scope, actor="test", now=START)

    def done(self, computer: Computer, *package_ids: int) -> None:
        """Put packages into the history that the computer's agent keeps."""
        for package_id in package_ids:
            self.session.add(DownloadHistory(computer_id=computer.id, package_id=package_id))
        self.session.flush()

    def row(self, computer: Computer, activation: Activation) -> Assignment | None:
        return self.session.scalar(
            select(Assignment).where(
                Assignment.computer_id == computer.id,
                Assignment.package_id == activation.package_id,
            )
        )

    def status(self, computer: Computer, activation: Activation) -> str | None:
        row = self.row(computer, activation)
        return None if row is None else row.status

    def reports(self) -> list[Report]:
        return list(self.session.scalars(select(Report).order_by(Report.id)))


def section(name: str, **values: str) -> Section:
    """A section of an inventory: ``section("BIOS", SSN="x")``."""
    return Section(name, tuple(values.items()))

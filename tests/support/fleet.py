"""A fleet in one process: agents that speak the real protocol and have our agent's states.

No process, no disk, no clock of their own: each is a generator of messages that gets the answers.
The order of their moves is that of a simulated clock, with jitter; how long a move takes is the
server's doing.
"""

import hashlib
import json
import random
import uuid
import zlib
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deploy_agent.domain.state import Event, State, next_state
from deploy_agent.wire.events import EVENTS_PATH, PackageEvent, write_events
from deploy_agent.wire.fragment import fragment_name
from deploy_agent.wire.info import InfoFile, parse_info
from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog
from deploy_agent.wire.replies import PackageOffer, PrologReply
from deploy_agent.wire.sections import Section

PLACE = "/ocsinventory"


@dataclass(frozen=True)
class Ask:
    """One request of an agent; `wait_s` on the simulated clock before it."""

    method: str
    path: str
    body: bytes = b""
    secure: bool = True
    wait_s: float = 0.0
    kind: str = ""


@dataclass(frozen=True)
class Told:
    """What was answered."""

    status: int
    body: bytes


Moves = Generator[Ask, Told, None]


@dataclass
class Fleet:
    """The agents of a fleet.

    Attributes:
        count: of agents.
        seed: of everything that is random.
        interval_s: between two contacts of one agent, on the simulated clock.
        contacts: of each agent.
        failing: the share of packages whose action fails.
        ended: (agent's number, package id): result, of everything that the server was told.
    """

    count: int
    seed: int = 1
    interval_s: float = 3600.0
    contacts: int = 2
    failing: float = 0.1
    ended: dict[tuple[int, str], str] = field(default_factory=dict)

    def device_id(self, number: int) -> str:
        return f"sim-{number}-2026-01-02-03-04-05"

    def life(self, number: int) -> Moves:
        """All that one agent says: contacts, and between them what it was offered."""
        own = random.Random(f"{self.seed}:{number}")
        ended: set[tuple[str, int | None]] = set()
        # Everybody is switched on within some minutes, as on a Monday morning.
        wait = own.uniform(0, 300)
        for _ in range(self.contacts):
            reply = PrologReply.parse((yield from self._say(Prolog(self.device_id(number)), wait)))
            if reply.send_inventory:
                yield from self._say(self._inventory(number, own), own.uniform(0, 5))
            for offer in reply.offers:
                if (offer.package_id, offer.attempt) not in ended:
                    yield from self._package(number, offer, own)
                    ended.add((offer.package_id, offer.attempt))
            wait = self.interval_s * own.uniform(0.9, 1.1)

    def _say(
        self, message: Prolog | Inventory | DownloadReport, wait_s: float
    ) -> Generator[Ask, Told, bytes]:
        kind = type(message).__name__
        told = yield Ask("POST", PLACE, zlib.compress(message.to_bytes()), wait_s=wait_s, kind=kind)
        assert told.status == 200, (kind, told)
        return zlib.decompress(told.body) if told.body else b""

    def _inventory(self, number: int, own: random.Random) -> Inventory:
        hardware = (
            ("NAME", f"sim-{number}"),
            ("OSNAME", "Debian GNU/Linux 12"),
            ("CHECKSUM", "131071"),
        )
        shared = random.Random(own.randrange(50))  # lists of software that computers share
        software = [
            Section("SOFTWARES", (("NAME", f"tool-{shared.randrange(2000)}"), ("VERSION", "1.0")))
            for _ in range(60)
        ]
        return Inventory(self.device_id(number), (Section("HARDWARE", hardware), *software))

    def _package(self, number: int, offer: PackageOffer, own: random.Random) -> Moves:
        """Do one package as our agent does: info, fragments, check, act, report; events between."""
        state = State.OFFERED
        info = parse_info(
            (yield Ask("GET", f"/download/{offer.package_id}/info", kind="info")).body
        )
        state = next_state(state, Event.INFO_READ)
        yield from self._tell(number, offer, state)
        pieces = []
        for index in range(1, info.fragments + 1):
            name = fragment_name(offer.package_id, index)
            path = f"/download/{offer.package_id}/{name}"
            told = yield Ask("GET", path, secure=False, wait_s=own.uniform(5, 15), kind="fragment")
            assert told.status == 200, (path, told.status)
            pieces.append(told.body)
        for event in (Event.LAST_FRAGMENT, Event.CHECKED, Event.TREE_READY, Event.BEGIN, Event.END):
            state = next_state(state, event)
        code = self._result(info, b"".join(pieces), own)
        yield from self._tell(number, offer, state)
        report = DownloadReport(self.device_id(number), offer.package_id, code, offer.attempt)
        yield from self._say(report, own.uniform(0, 30))
        next_state(state, Event.ACKNOWLEDGED)
        self.ended[number, offer.package_id] = code

    def _result(self, info: InfoFile, data: bytes, own: random.Random) -> str:
        if hashlib.sha256(data).digest() != info.sha256:
            return "ERR_BAD_DIGEST"
        return f"ERR_EXIT_CODE_{own.randrange(1, 4)}" if own.random() < self.failing else "SUCCESS"

    def _tell(self, number: int, offer: PackageOffer, state: State) -> Moves:
        event = PackageEvent(
            event_id=str(uuid.uuid4()), package=offer.package_id, attempt=offer.attempt,
            at=datetime.now(UTC), state=state,
        )  # fmt: skip
        body = json.dumps(write_events(self.device_id(number), [event])).encode()
        told = yield Ask("POST", EVENTS_PATH, body, kind="events")
        assert told.status == 200, told

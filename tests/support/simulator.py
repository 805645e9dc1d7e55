"""A deployment server and a computer in memory: what the agent's services see of the world.

``ServerSimulator`` is a Transport: it reads and answers real messages, as our server does or as
OCS's, and serves files; what it gives instead can be set for each URL. ``FakeRunner`` runs actions
by counting them. Both outlive an agent that is killed.
"""

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy_agent.domain.errors import (
    HttpRefusal,
    OutcomeUnknown,
    ServerUnreachable,
    TooLong,
)
from deploy_agent.domain.outcome import Outcome
from deploy_agent.machine.runner import Job
from deploy_agent.machine.runner.job import JOB, WAITING, withdraw_job
from deploy_agent.machine.transport import Sink
from deploy_agent.wire import messages
from deploy_agent.wire.digest import Digest, DigestAlgorithm
from deploy_agent.wire.events import EVENTS_PATH, PackageEvent, parse_events
from deploy_agent.wire.fragment import FragmentPlan, fragment_lines, fragment_name
from deploy_agent.wire.info import InfoFile, parse_info, write_info
from deploy_agent.wire.messages import DownloadReport, Inventory
from deploy_agent.wire.replies import (
    DownloadSettings,
    InventoryReply,
    PackageOffer,
    PrologReply,
    TrancheOption,
)
from deploy_agent.wire.result import ResultCode
from deploy_agent.wire.terms import Action

QUICK = DownloadSettings(frag_latency_s=0, cycle_latency_s=0, period_latency_s=0)
INFO_HOST = "info.example.org/download"
FRAGMENT_HOST = "mirror.example.org/download"

#: What happens instead of an answer: an error, other bytes, or whatever it does.
Fault = Exception | bytes | Callable[[], bytes]


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar.gz in memory."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


CONTENT = archive({"run.sh": b"#!/bin/sh\n", "data": bytes(range(256)) * 4})


@dataclass
class Assigned:
    """A package that a computer is to get."""

    offer: PackageOffer
    status: str = "WAITING"


@dataclass
class ServerSimulator:
    """The server.

    Attributes:
        ours: answer as our server does; else as OCS's.
        files: what is served, by URL.
        faults: by URL, what to give instead, in order; the last one stays.
        requests: every URL asked for, in order.
        fresh: those that were asked for past every cache.
        reports: every result that arrived, in order.
        inventories: every inventory that arrived.
        events: every event that arrived, once, in order.
        event_messages: how many events each message had.
        events_fault: what is answered to events instead.
        reachable: what stands between: None, or the error of every message.
    """

    ours: bool = True
    settings: DownloadSettings | None = QUICK
    assigned: dict[str, Assigned] = field(default_factory=dict)
    cancels: tuple[tuple[str, int], ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    prologs: int = 0
    reports: list[DownloadReport] = field(default_factory=list)
    inventories: list[Inventory] = field(default_factory=list)
    events: list[PackageEvent] = field(default_factory=list)
    event_messages: list[int] = field(default_factory=list)
    events_fault: Exception | tuple[int, Any] | None = None
    wants_inventory: bool = False
    account: dict[str, str] | None = None
    attempt: int = 1_795_000_000
    reachable: Exception | None = None
    report_fault: Exception | None = None
    lose_acknowledgements: int = 0
    prolog_reply: bytes | None = None

    # What an administrator does.

    def publish(
        self,
        package_id: str = "1800000001",
        *,
        content: bytes = CONTENT,
        fragments: int = 3,
        foreign: bool = False,
        **fields: Any,
    ) -> str:
        """Serve a package; ``foreign`` leaves out what OCS's servers do not have."""
        plan = FragmentPlan.by_count(len(content) if fragments else 0, max(1, fragments))
        pieces = [
            content[i * plan.fragment_size :][: plan.fragment_size] for i in range(plan.count)
        ]
        listed = b"".join(fragment_lines(package_id, [hashlib.sha256(p).digest() for p in pieces]))
        info = InfoFile(
            package_id=package_id,
            priority=1,
            action=Action.LAUNCH if pieces else Action.EXECUTE,
            target="run.sh" if pieces else "true",
            fragments=plan.count,
            revision=1,
        )
        if pieces:
            info = replace(
                info,
                digest=Digest(DigestAlgorithm.MD5, hashlib.md5(content).digest()),
                sha256=hashlib.sha256(content).digest(),
                fragments_sha256=hashlib.sha256(listed).digest(),
                fragment_size=plan.fragment_size,
            )
            self.files[self.url(package_id, "fragments.sha256")] = listed
        if foreign:
            info = replace(
                info, sha256=None, fragments_sha256=None, fragment_size=None, revision=None
            )
        for number, piece in enumerate(pieces, 1):
            self.files[self.url(package_id, fragment_name(package_id, number))] = piece
        self.set_info(replace(info, **fields))
        return package_id

    def set_info(self, info: InfoFile) -> None:
        self.files[self.url(info.package_id)] = write_info(info)

    def info(self, package_id: str = "1800000001") -> InfoFile:
        return parse_info(self.files[self.url(package_id)])

    def assign(self, package_id: str = "1800000001", **offer: Any) -> Assigned:
        """Give the package to the computer, once more if it had it."""
        self.attempt += 1
        made = PackageOffer(package_id, INFO_HOST, FRAGMENT_HOST)
        if self.ours:
            made = replace(made, revision=1, attempt=self.attempt)
        self.assigned[package_id] = Assigned(replace(made, **offer))
        return self.assigned[package_id]

    def offer(self, package_id: str = "1800000001", **offer: Any) -> None:
        """Change what is offered without a new assignment."""
        row = self.assigned[package_id]
        row.offer = replace(row.offer, **offer)

    def status(self, package_id: str = "1800000001") -> str:
        return self.assigned[package_id].status

    @property
    def codes(self) -> list[str]:
        """The codes that arrived, in order."""
        return [each.code for each in self.reports]

    def url(self, package_id: str, name: str = "info") -> str:
        host = f"https://{INFO_HOST}" if name == "info" else f"http://{FRAGMENT_HOST}"
        return f"{host}/{package_id}/{name}"

    def fail(self, name: str, *faults: Fault, package_id: str = "1800000001") -> None:
        """Give ``faults`` instead of a file, the last one for ever."""
        self.faults[self.url(package_id, name)] = list(faults)

    @property
    def told(self) -> list[tuple[str, str]]:
        """State and reason of every event that arrived, in order."""
        return [(each.state, each.reason) for each in self.events]

    def asked(self, package_id: str = "1800000001") -> Counter[str]:
        """How often each file of the package was asked for."""
        part = f"/{package_id}/"
        return Counter(url.rpartition("/")[2] for url in self.requests if part in url)

    # What the agent asks.

    def post(self, message: bytes) -> bytes:
        if self.reachable is not None:
            raise self.reachable
        request = messages.parse_request(message)
        if isinstance(request, Inventory):
            self.inventories.append(request)
            return InventoryReply(self.account).to_bytes()
        if isinstance(request, DownloadReport):
            return self._report(request)
        return self._prolog()

    def read(self, url: str, *, limit: int, no_cache: bool = False) -> bytes:
        data = self._get(url, no_cache=no_cache)
        if len(data) > limit:
            raise TooLong(f"{url} is too long")
        return data

    def fetch(self, url: str, sink: Sink, *, limit: int | None, no_cache: bool = False) -> int:
        data = self._get(url, no_cache=no_cache)
        if limit is not None and len(data) > limit:
            raise TooLong(f"{url} is too long")
        sink.write(data)
        return len(data)

    def post_json(self, path: str, value: Any) -> tuple[int, Any]:
        if self.reachable is not None:
            raise self.reachable
        if self.events_fault is not None:
            if isinstance(self.events_fault, Exception):
                raise self.events_fault
            return self.events_fault
        if path != EVENTS_PATH or not self.ours:
            return 404, None
        _, events = parse_events(json.dumps(value).encode())
        self.event_messages.append(len(events))
        known = {each.event_id for each in self.events}
        self.events += [each for each in events if each.event_id not in known]
        return 200, {"accepted": [each.event_id for each in events]}

    def _prolog(self) -> bytes:
        self.prologs += 1
        if self.prolog_reply is not None:
            return self.prolog_reply
        rows = [row for row in self.assigned.values() if row.status in ("WAITING", "NOTIFIED")]
        for row in rows:
            row.status = "NOTIFIED"
        settings = self.settings
        reply = PrologReply(
            send_inventory=self.wants_inventory,
            settings=settings,
            offers=tuple(row.offer for row in rows) if settings and settings.on else (),
            tranche=TrancheOption(cancels=self.cancels) if self.ours else None,
        )
        return reply.to_bytes()

    def _report(self, report: DownloadReport) -> bytes:
        if self.report_fault is not None:
            raise self.report_fault
        self.reports.append(report)
        row = self.assigned.get(report.package_id)
        if row is not None and report.attempt == row.offer.attempt:
            row.status = report.code
        if self.lose_acknowledgements:
            self.lose_acknowledgements -= 1
            raise ServerUnreachable("the connection broke off")
        return b""

    def _get(self, url: str, *, no_cache: bool) -> bytes:
        self.requests.append(url)
        if no_cache:
            self.fresh.append(url)
        faults = self.faults.get(url)
        if faults:
            fault = faults.pop(0) if len(faults) > 1 else faults[0]
            if isinstance(fault, Exception):
                raise fault
            return fault if isinstance(fault, bytes) else fault()
        if url not in self.files:
            raise HttpRefusal(f"GET {url}: 404 Not Found", status=404)
        return self.files[url]


@dataclass
class FakeRunner:
    """Runs every action at once; what was run is not forgotten when an agent dies.

    Attributes:
        exit_codes: how the actions end, in order; the last one stays.
        started: what was run, in order.
        vanish: an action that is started and leaves nothing, as after a power cut.
        stillborn: so many runners end before they take their job.
        running: actions do not end until this is False.
    """

    exit_codes: list[int] = field(default_factory=lambda: [0])
    started: list[Job] = field(default_factory=list)
    outcomes: dict[Path, Outcome] = field(default_factory=dict)
    vanish: int = 0
    stillborn: int = 0
    running: bool = False
    failure: Exception | None = None
    waits: list[float | None] = field(default_factory=list)

    def prepare(self, job: Job, folder: Path) -> None:
        (folder / WAITING).write_text("{}")

    def withdraw(self, folder: Path) -> bool:
        return withdraw_job(folder)

    def start(self, job: Job, folder: Path) -> None:
        if self.failure is not None:
            raise self.failure
        if self.stillborn:
            self.stillborn -= 1
            return
        (folder / WAITING).rename(folder / JOB)
        self.started.append(job)
        if self.vanish:
            self.vanish -= 1
            return
        code = self.exit_codes.pop(0) if len(self.exit_codes) > 1 else self.exit_codes[0]
        now = datetime(2026, 11, 21, 10, tzinfo=UTC)
        self.outcomes[folder] = Outcome(True, now, now, exit_code=code, output=f"exit {code}")

    def outcome(self, folder: Path) -> Outcome | None:
        return None if self.running else self.outcomes.get(folder)

    def wait(self, folder: Path, timeout_s: float | None = None) -> Outcome | None:
        self.waits.append(timeout_s)
        if self.running and folder in self.outcomes:
            return None
        if folder not in self.outcomes:
            raise OutcomeUnknown("the action was started, and nothing says how it ended")
        return self.outcomes[folder]


def is_success(code: str) -> bool:
    return ResultCode.parse(code).result_class.name == "SUCCESS"

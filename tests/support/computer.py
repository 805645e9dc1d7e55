"""A computer with our agent: real state on the disk, everything else made of fakes.

``Computer.agent()`` is a new life of the agent on the same disk, as after a restart.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from deploy_agent.domain.record import PackageRecord
from deploy_agent.domain.state import State
from deploy_agent.machine.disk import Disk
from deploy_agent.machine.history import History
from deploy_agent.machine.identity import IdentityFile
from deploy_agent.machine.memory import MemoryFile
from deploy_agent.machine.spool import Spool
from deploy_agent.machine.store import PackageStore
from deploy_agent.machine.transport import Transport
from deploy_agent.services.agent import Agent
from deploy_agent.services.asking import Asking
from deploy_agent.services.contact import Contact
from deploy_agent.services.ending import Endings
from deploy_agent.services.events import Events
from deploy_agent.services.fetching import Fetcher
from deploy_agent.services.installing import Installer, Runner, Trees
from deploy_agent.services.once import Once, run_once
from deploy_agent.services.packages import Packages
from deploy_agent.services.post import PostCommands
from deploy_agent.services.reporting import Reporter
from deploy_agent.services.setup import RealTrees
from deploy_agent.services.waiting import Patience
from deploy_agent.wire.sections import Section
from tests.support.clock import FakeClock
from tests.support.dialogs import FakePower, ScriptedDialog
from tests.support.simulator import FakeRunner, ServerSimulator

HARDWARE = Section("HARDWARE", (("NAME", "pc7"), ("CHECKSUM", "1")))
ONCE = Patience(silences=3)
AT_ONCE = Patience(latencies=False, silences=3)


class QuickDisk(Disk):
    """Writes as the real one does, but waits for no disk: these tests pull no plug."""

    def sync(self, file: BinaryIO) -> None:
        file.flush()

    def sync_folder(self, path: Path) -> None:
        """The names may stay in memory."""


@dataclass
class Computer:
    """The computer and the server that it knows; ``transport`` leads there, where there is one."""

    folder: Path
    server: ServerSimulator = field(default_factory=ServerSimulator)
    runner: FakeRunner = field(default_factory=FakeRunner)
    clock: FakeClock = field(default_factory=FakeClock)
    disk: Disk = field(default_factory=QuickDisk)
    trees: Trees = field(default_factory=RealTrees)
    transport: Transport | None = None
    tag: str | None = None
    max_exec_tries: int = 1
    dialog: ScriptedDialog = field(default_factory=ScriptedDialog)
    power: FakePower = field(default_factory=FakePower)

    @property
    def store(self) -> PackageStore:
        return PackageStore(self.folder / "packages", self.disk)

    @property
    def history(self) -> History:
        return History(self.folder / "history", self.disk)

    @property
    def spool(self) -> Spool:
        return Spool(self.folder / "events.jsonl", self.disk)

    def collect(self) -> Sequence[Section]:
        return [HARDWARE]

    @property
    def network(self) -> Transport:
        return self.transport or self.server

    def agent(self, patience: Patience = ONCE, runner: Runner | None = None) -> Agent:
        """A new life of the agent."""
        events = Events(
            self.spool,
            self.network,
            self.clock,
            wanted=lambda: contact.memory.ours,
            device_id=lambda: contact.known_device_id(),
        )
        packages = Packages(self.store, events)
        history = self.history
        fetcher = Fetcher(self.network, self.clock, wait=patience.latencies, jitter=lambda: 1.0)
        installer = Installer(
            runner or self.runner,
            self.trees,
            fetcher,
            self.clock,
            install_path=self.folder,
            max_exec_tries=self.max_exec_tries,
        )
        contact = Contact(
            self.network,
            packages,
            history,
            self.clock,
            self.collect,
            events,
            identity_file=IdentityFile(self.folder / "identity.json", self.disk),
            memory_file=MemoryFile(self.folder / "server.json", self.disk),
            tag=self.tag,
        )
        reporter = Reporter(self.network, history, installer, contact.known_device_id, events)
        post = PostCommands(
            runner or self.runner,
            self.power,
            self.power.boot_id,
            history,
            self.clock,
            install_path=self.folder,
        )
        asking = Asking(
            self.dialog,
            packages,
            self.clock,
            stands_s=patience.user_s,
            monotonic=lambda: self.clock.now().timestamp(),
        )
        agent = Agent(
            packages,
            contact,
            fetcher,
            installer,
            Endings(packages, reporter, post, self.clock, patience=patience, jitter=lambda: 1.0),
            asking,
            events,
            self.clock,
            to_utc=lambda naive: naive.replace(tzinfo=UTC),
            patience=patience,
        )
        agent.start()
        return agent

    def once(self, *, wait: bool = False) -> Once:
        """``deploy-agent once``, by default with --no-wait."""
        agent = self.agent(ONCE if wait else AT_ONCE)
        return run_once(agent, self.clock, wait=wait)

    def files(self, package_id: str = "1800000001") -> set[str]:
        """The names in the package's folder; empty when there is none."""
        folder = self.store.folder(package_id)
        return {each.name for each in folder.iterdir()} if folder.is_dir() else set()

    def codes_in_history(self) -> list[str]:
        return [str(each["result"]["code"]) for each in self.history.read_all()]


def at(hour: int, minute: int = 0) -> datetime:
    """A time of the day on which tests begin."""
    return datetime(2026, 11, 21, hour, minute, tzinfo=UTC)


def bring_to(pc: Computer, state: State) -> None:
    """Let an agent die as soon as its package is in ``state``."""

    class Dead(BaseException):
        pass

    agent = pc.agent()
    save = agent.packages.store.save

    def dying(record: PackageRecord) -> None:
        save(record)
        if record.state is state:
            raise Dead

    agent.packages.store.save = dying  # type: ignore[method-assign]
    with suppress(Dead):
        run_once(agent, pc.clock, wait=False)
    pc.server.requests.clear()

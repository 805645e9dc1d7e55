"""Puts an agent together from its configuration: the real disk, network, clock and runner.

What takes long to import and is not always needed is imported where it is used.

Shape of the state folder: lock, identity.json, server.json, events.jsonl, packages/, history/.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy_agent.config import AgentConfig
from deploy_agent.domain.state import State
from deploy_agent.machine import runner
from deploy_agent.machine.boot import SystemPower, boot_id
from deploy_agent.machine.clock import Clock, SystemClock, local_to_utc
from deploy_agent.machine.dialogs import system_dialog, system_sessions
from deploy_agent.machine.dialogs.places import AnswerPlace, answer_place
from deploy_agent.machine.history import History
from deploy_agent.machine.identity import IdentityFile
from deploy_agent.machine.lock import InstanceLock
from deploy_agent.machine.memory import MemoryFile
from deploy_agent.machine.spool import Spool
from deploy_agent.machine.store import PackageStore
from deploy_agent.machine.transport import Access, HttpTransport
from deploy_agent.machine.trees import empty_tree
from deploy_agent.machine.unpack import unpack
from deploy_agent.services.agent import Agent
from deploy_agent.services.asking import Asking
from deploy_agent.services.contact import Contact
from deploy_agent.services.ending import Endings
from deploy_agent.services.events import Events
from deploy_agent.services.fetching import Fetcher
from deploy_agent.services.installing import Installer
from deploy_agent.services.packages import Packages
from deploy_agent.services.post import PostCommands
from deploy_agent.services.reporting import Reporter
from deploy_agent.services.waiting import PATIENT, Patience
from deploy_agent.wire.sections import Section

_ON_THEIR_WAY = (State.OFFERED, State.DOWNLOADING)


@dataclass(frozen=True)
class StateFiles:
    """Where things are in a state folder."""

    folder: Path

    def lock(self) -> InstanceLock:
        """Return the lock that every writer holds."""
        return InstanceLock(self.lock_file)

    @property
    def lock_file(self) -> Path:
        """Where the lock is."""
        return self.folder / "lock"

    def identity(self) -> IdentityFile:
        """Return where the device id is."""
        return IdentityFile(self.folder / "identity.json")

    def memory(self) -> MemoryFile:
        """Return where the server's words are."""
        return MemoryFile(self.folder / "server.json")

    def packages(self) -> PackageStore:
        """Return where the packages are."""
        return PackageStore(self.folder / "packages")

    def history(self) -> History:
        """Return what ended."""
        return History(self.folder / "history")

    def spool(self) -> Spool:
        """Return the events that the server does not have yet."""
        return Spool(self.folder / "events.jsonl")

    def answers(self) -> AnswerPlace:
        """Return where users on terminals answer, and by which words."""
        return answer_place(self.folder)


class RealTrees:
    """Unpacks on the disk."""

    def unpack(self, archive: Path, tree: Path) -> None:
        """Make `tree` hold what `archive` holds."""
        unpack(archive, tree)

    def empty_tree(self, tree: Path) -> None:
        """Make `tree` an empty folder."""
        empty_tree(tree)


def make_transport(config: AgentConfig, clock: Clock) -> HttpTransport:
    """Return the way to the server.

    Raises:
        ConfigError: ca_file or basic_auth_file cannot be used.
    """
    access = Access(
        server=config.server,
        ca_file=config.ca_file,
        proxy=config.proxy,
        credentials=config.credentials(),
        max_rate=config.max_rate,
    )
    return HttpTransport(access, clock)


def make_agent(config: AgentConfig, patience: Patience = PATIENT) -> Agent:
    """Return an agent that works on `config.state`, whose lock has to be held.

    Raises:
        ConfigError: ca_file or basic_auth_file cannot be used.
        StoreError: the state cannot be written.
    """
    clock = SystemClock()
    files = StateFiles(config.state)
    transport = make_transport(config, clock)
    events = Events(
        files.spool(),
        transport,
        clock,
        wanted=lambda: contact.memory.ours and config.server.startswith("https://"),
        device_id=lambda: contact.known_device_id(),
    )
    packages = Packages(files.packages(), events)
    history = files.history()
    fetcher = Fetcher(
        transport,
        clock,
        wait=patience.latencies,
        in_a_hurry=lambda: config.max_rate is None and _is_next_in_a_row(agent),
    )
    installer = Installer(
        runner,
        RealTrees(),
        fetcher,
        clock,
        install_path=config.state,
        max_exec_tries=config.max_exec_tries,
    )
    contact = _make_contact(config, transport, packages, history, clock, events)
    reporter = Reporter(transport, history, installer, contact.known_device_id, events)
    post = PostCommands(runner, SystemPower(), boot_id, history, clock, install_path=config.state)
    agent = Agent(
        packages,
        contact,
        fetcher,
        installer,
        Endings(packages, reporter, post, clock, patience=patience),
        Asking(system_dialog(files.answers()), packages, clock, stands_s=patience.user_s),
        events,
        clock,
        to_utc=local_to_utc,
        patience=patience,
    )
    agent.start()
    return agent


def _make_contact(
    config: AgentConfig,
    transport: HttpTransport,
    packages: Packages,
    history: History,
    clock: Clock,
    events: Events,
) -> Contact:
    files = StateFiles(config.state)
    return Contact(
        transport,
        packages,
        history,
        clock,
        collect_inventory,
        events,
        identity_file=files.identity(),
        memory_file=files.memory(),
        tag=config.tag,
        server=config.server,
    )


def _is_next_in_a_row(agent: Agent) -> bool:
    """Whether the next fragment of a package is sure to be fetched at once after this one."""
    settings = agent.settings()
    if settings.frag_latency_s or settings.cycle_latency_s or settings.period_latency_s:
        return False
    return len(agent.packages.of(*_ON_THEIR_WAY)) == 1  # with a second one they take turns


def collect_inventory() -> Sequence[Section]:
    """Return the description of this computer."""
    from deploy_agent.machine.inventory import collect

    return collect()


def somebody_is_logged_in() -> bool:
    """Whether a user has a session on this computer, on a screen or a terminal."""
    return bool(system_sessions())

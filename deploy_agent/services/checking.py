"""Looks for what keeps the agent from working: what `deploy-agent check` says.

Every finding that is not good says what to do. Nothing is changed but one file in the state folder,
which is written and removed. Works beside a daemon.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from deploy_agent.config import AgentConfig
from deploy_agent.domain.asking import Kind
from deploy_agent.domain.errors import AgentError, StoreError
from deploy_agent.domain.record import UnreadableRecord
from deploy_agent.domain.state import State
from deploy_agent.machine.certificates import Certificate, describe
from deploy_agent.machine.clock import SystemClock
from deploy_agent.machine.disk import Disk, writing_state
from deploy_agent.machine.lock import check_owner, holder, is_locked
from deploy_agent.machine.memory import Memory
from deploy_agent.machine.owners import check_believable
from deploy_agent.machine.service import Service
from deploy_agent.machine.tls import read_certificates
from deploy_agent.services.setup import StateFiles, make_transport

SPACE_MIN = 100 * 1024 * 1024  # bytes below which hardly any package fits
SPACE_LOW = 1024 * 1024 * 1024
FILES_MIN = 1000  # of the file system's
CA_SOON = timedelta(days=30)
CLOCK_OFF = timedelta(minutes=5)
CLOCK_BAD = timedelta(minutes=1)
DIALOG_TOOLS = ("zenity", "kdialog")
SILENT = timedelta(hours=48)  # without contact, whatever the interval is


class Level(StrEnum):
    """How a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: its name.
        level: how it is.
        detail: what was found, and what to do.
    """

    what: str
    level: Level
    detail: str


class Warn(AgentError):
    """Something works and is not as it should be."""


Look = Callable[[], str]


def findings(config: AgentConfig, file: Path) -> Iterator[Finding]:
    """Look at everything, in the order in which one thing needs another.

    Args:
        config: what the agent goes by.
        file: where most of it stands.
    """
    now = SystemClock().now()
    files = StateFiles(config.state)
    server = _Server(config)
    looks: list[tuple[str, Look]] = [
        ("configuration", lambda: _believed(config, file)),
        ("ca_file", lambda: _certificates(config.ca_file, now)),
        ("state", lambda: _state(config.state)),
        ("disk", lambda: _space(config.state)),
        ("device id", lambda: _device_id(files)),
        ("agent", lambda: _agent(files)),
        ("server", server.answer),
        ("clock", server.clock),
        ("last contact", lambda: _last_contact(files.memory().load(), config, now)),
        ("results", lambda: _results(files, now)),
        ("dialogs", _dialogs),
    ]
    if config.basic_auth_file is not None:
        looks.insert(2, ("basic_auth_file", lambda: _credentials(config)))
    for what, look in looks:
        yield _looked(what, look)


def _looked(what: str, look: Look) -> Finding:
    try:
        return Finding(what, Level.OK, look())
    except Warn as warning:
        return Finding(what, Level.WARNING, str(warning))
    except AgentError as error:
        return Finding(what, Level.FAILED, str(error))


# What the configuration names.


def _believed(config: AgentConfig, file: Path) -> str:
    for what, path in config.believed(file):
        check_believable(path, what)
    return f"{file}, for {config.server}"


def _certificates(ca_file: Path, now: datetime) -> str:
    found = [describe(each) for each in read_certificates(ca_file)]
    good = [each for each in found if each.begins <= now < each.ends]
    hint = "Copy the new one there; on the server 'deploy-server cert show --ca' prints it"
    if not good:
        late = all(now >= each.ends for each in found)
        said = _said(max(found, key=lambda each: each.ends))
        if late:
            raise AgentError(f"nothing in '{ca_file}' is valid any more: {said}", hint)
        raise AgentError(f"nothing in '{ca_file}' is valid yet: {said}", "Look at the clock")
    ending = [each for each in good if each.ends - now < CA_SOON]
    if ending:
        raise Warn(f"{_said(ending[0])}, which is soon", hint)
    return "; ".join(map(_said, good))


def _said(each: Certificate) -> str:
    return f"{each.kind} '{each.name}' until {each.ends:%Y-%m-%d}"


def _credentials(config: AgentConfig) -> str:
    config.credentials()
    path = config.basic_auth_file
    assert path is not None
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise Warn(f"other users may read '{path}'", f"Hide it from them: chmod 600 '{path}'")
    return f"{path} can be read"


# The state.


def _state(folder: Path) -> str:
    """Write, sync and remove a file, as every step of the agent does."""
    probe = folder / "check"
    with writing_state(probe):
        Disk().make_folder(folder)
        check_owner(folder)
        Disk().replace(probe, b"")
        Disk().remove(probe)
    return f"{folder} can be written and synced"


def _space(folder: Path) -> str:
    place = next(each for each in (folder, *folder.parents) if each.is_dir())
    _allows_programs(place)
    free = shutil.disk_usage(place).free
    said = f"{free // (1024 * 1024)} MiB free at {place}"
    hint = "Free some space; a package needs about three times its size while it is installed"
    if free < SPACE_MIN:
        raise StoreError(said, hint)
    if free < SPACE_LOW:
        raise Warn(said, hint)
    return said


def _allows_programs(place: Path) -> None:
    if os.name != "posix":
        return
    status = os.statvfs(place)
    if status.f_flag & getattr(os, "ST_NOEXEC", 0):
        raise StoreError(
            f"the file system of '{place}' is mounted noexec, so no program of a package can start",
            f"Mount it without noexec, or set 'state' to a folder elsewhere: findmnt -T '{place}'",
        )
    if status.f_files and status.f_favail < FILES_MIN:
        raise StoreError(
            f"the file system of '{place}' has room for {status.f_favail} more files",
            "Remove what is not needed",
        )


def _device_id(files: StateFiles) -> str:
    identity = files.identity().peek()
    return identity.device_id if identity else "made at the first contact"


def _agent(files: StateFiles) -> str:
    if is_locked(files.lock_file):
        number = holder(files.lock_file)
        return "at work" + (f", process {number}" if number else "")
    if Service().unit.exists():
        raise AgentError(
            "the service is installed and does not run",
            "Look why: systemctl status deploy-agent; then: systemctl restart deploy-agent",
        )
    return "none runs at the moment; 'deploy-agent install' makes it a service"


# The server.


class _Server:
    """One answer of the server, looked at twice."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._date: datetime | None = None
        self._asked_at = datetime.now(UTC)

    def answer(self) -> str:
        transport = make_transport(self._config, SystemClock())
        try:
            self._asked_at = datetime.now(UTC)
            status, self._date = transport.reach()
        finally:
            transport.close()
        return self._judge(status)

    def _judge(self, status: int) -> str:
        url = self._config.server
        if status in (400, 405):  # what our server and OCS's say to a question without message
            return f"{url} answers as a deployment server does"
        problems = {
            401: ("it wants a user and a password", "Write them into a file for basic_auth_file"),
            403: ("it refuses this computer", "Over http:// it may want https://; see its log"),
            404: ("it has no such page", "Look at the URL; as a rule it ends with /ocsinventory"),
            407: ("the proxy wants a user and a password", "Write them into 'proxy'"),
        }
        if status in problems or status >= 500:
            why, hint = problems.get(status, ("it has a fault", "Look at the server's log"))
            raise AgentError(f"{url} answers with status {status}: {why}", hint)
        raise Warn(
            f"{url} answers with status {status}, as a web page does and no deployment server",
            "Look at the URL; as a rule it ends with /ocsinventory",
        )

    def clock(self) -> str:
        if self._date is None:
            return "not compared, since the server said no time"
        off = self._asked_at - self._date
        said = f"{abs(off.total_seconds()):.0f} s {'ahead of' if off > timedelta(0) else 'behind'}"
        hint = "Set the clock: timedatectl set-ntp true"
        if abs(off) > CLOCK_OFF:
            raise AgentError(f"this computer is {said} the server", hint)
        if abs(off) > CLOCK_BAD:
            raise Warn(f"this computer is {said} the server", hint)
        return "as the server's"


# What was.


def _last_contact(memory: Memory, config: AgentConfig, now: datetime) -> str:
    if memory.contacted_at is None:
        raise AgentError("never", "Run: deploy-agent once")
    age = now - memory.contacted_at
    minutes = memory.contact_minutes or (memory.prolog_freq_h or 0) * 60
    interval = timedelta(minutes=minutes or config.contact_interval_min)
    said = f"{_ago(age)} ago, and every {_ago(interval)} is usual"
    hint = "Look whether a daemon runs (agent) and reaches the server (server)"
    if age < timedelta(0):
        raise Warn("in the future by this computer's clock", "Look at the clock")
    if age > max(2 * interval, SILENT):
        raise AgentError(said, hint)
    if age > 2 * interval:
        raise Warn(said, hint)
    return f"{_ago(age)} ago"


def _results(files: StateFiles, now: datetime) -> str:
    store = files.packages()
    waiting: list[tuple[datetime, str]] = []
    for package_id in store.ids():
        try:
            record = store.read(package_id)
        except UnreadableRecord as error:
            raise AgentError(
                f"the record of package {package_id} cannot be read: {error}",
                "The next start of the agent ends it with ERR_DONE_FAILED; assign it again then",
            ) from error
        if record and record.state is State.DONE and record.result and not record.orphan:
            waiting.append((record.result.ended_at, package_id))
    if not waiting:
        return "the server has all"
    ended_at, package_id = min(waiting)
    said = f"{len(waiting)} not told to the server yet, the oldest, of {package_id}, is "
    said += f"{_ago(now - ended_at)} old"
    if now - ended_at > timedelta(hours=1):
        raise AgentError(said, "They are kept and told as soon as the server can be reached")
    return said


def _dialogs() -> str:
    if sys.platform == "win32":
        return "the system's own"
    from deploy_agent.machine.dialogs.sessions import find_sessions

    tools = [name for name in DIALOG_TOOLS if shutil.which(name)]
    if tools:
        return f"by {tools[0]}"
    if any(each.kind is Kind.SCREEN for each in find_sessions()):
        raise Warn(
            f"somebody is logged in on a screen, and neither {' nor '.join(DIALOG_TOOLS)} is there "
            "to ask them; packages that ask would wait",
            "Install one of them",
        )
    return "nobody is logged in on a screen; on terminals nothing is needed"


def _ago(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 else f"{minutes // (24 * 60)} days"

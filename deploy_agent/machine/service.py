"""Makes the agent a service of systemd, and ends that; what systemd is told goes through systemctl.

Where systemd is installed and does not run (an image in the making, a container), the unit is
written and enabled for the next boot.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy_agent.domain.errors import AgentError, ConfigError
from deploy_agent.machine.disk import Disk
from deploy_agent.machine.owners import is_root, weak_spot
from deploy_agent.machine.unit import FOLDER, NAME, unit_text

RUNNING = Path("/run/systemd/system")  # there where systemd is the init. Source: sd_booted(3)
READABLE = 0o644
SYSTEMCTL_S = 90


@dataclass(frozen=True, slots=True)
class Service:
    """The agent's service below a root folder.

    Attributes:
        root: / , or where an image is made.
    """

    root: Path = Path("/")

    @property
    def unit(self) -> Path:
        """Where the unit is."""
        return self.root / FOLDER / NAME

    @property
    def live(self) -> bool:
        """Whether systemd runs and can be told."""
        return self.root == Path("/") and RUNNING.is_dir()

    def install(self, command: Sequence[str]) -> Iterator[str]:
        """Make `command` a service that starts with the computer; say what was done.

        Args:
            command: the program, absolute, and its arguments.

        Raises:
            AgentError: there is no systemd, or it refuses.
        """
        changed = self._write(unit_text(command))
        yield f"The unit {self.unit} is {'written' if changed else 'as it should be'}."
        if not self.live:
            self._systemctl("--root", str(self.root), "enable", NAME)
            yield "systemd does not run here; it starts the agent at the next boot."
            return
        self._systemctl("daemon-reload")
        self._systemctl("enable", NAME)
        was_active = self._is_active()
        if changed or not was_active:
            self._systemctl("restart", NAME)
        yield f"The agent is enabled and {'was restarted' if was_active and changed else 'runs'}."

    def uninstall(self) -> Iterator[str]:
        """Stop, disable and remove the service; say what was done. Nothing else is touched.

        Raises:
            AgentError: systemd refuses.
        """
        if not self.unit.exists():
            yield f"There is no unit {self.unit}, so there is nothing to remove."
            return
        if self.live:
            self._systemctl("disable", "--now", NAME)
        try:
            # What 'enable' made; there may be no systemctl any more that could take it back.
            (self.unit.parent / "multi-user.target.wants" / NAME).unlink(missing_ok=True)
            self.unit.unlink()
        except OSError as error:
            raise _refused(self.unit, error) from error
        if self.live:
            self._systemctl("daemon-reload")
        yield f"The agent is stopped and the unit {self.unit} is removed."

    def _write(self, text: str) -> bool:
        """Make `text` the unit; whether it was another."""
        try:
            if self.unit.read_text("utf-8") == text:
                return False
        except (OSError, UnicodeError):
            pass  # it is not there, or damaged
        try:
            self.unit.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            Disk().replace(self.unit, text.encode())
            self.unit.chmod(READABLE)
        except OSError as error:
            raise _refused(self.unit, error) from error
        return True

    def _is_active(self) -> bool:
        return _run("is-active", "--quiet", NAME).returncode == 0

    def _systemctl(self, *arguments: str) -> None:
        done = _run(*arguments)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise AgentError(
                f"'systemctl {' '.join(arguments)}' failed: {said}",
                f"Look at: systemctl status {NAME}, journalctl -u {NAME}",
            )


def require_systemd(command: Sequence[str]) -> None:
    """Refuse where there is no systemd to be told.

    Args:
        command: what has to run; the message names it.

    Raises:
        AgentError: there is none.
    """
    if sys.platform == "linux" and shutil.which("systemctl") is not None:
        return
    how, words = "as root", shlex.join(command)
    if sys.platform == "win32":
        how = "as SYSTEM, for instance by schtasks /Create /SC ONSTART /RU SYSTEM /TN deploy-agent"
        words = subprocess.list2cmdline(command)
    raise AgentError(
        "this computer has no systemd, and 'install' knows no other way",
        f"Let its own means start this with the computer, {how}: {words}",
    )


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["systemctl", *arguments],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SYSTEMCTL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AgentError(f"systemd cannot be told: {error}", "Look at: systemctl status") from error


def require_root() -> None:
    """Refuse to everybody but root.

    Raises:
        AgentError: this is not root.
    """
    if not is_root():
        raise AgentError(
            "only root may make or remove a service of the system",
            "Type it again with sudo, or with --root FOLDER to look at what it would do",
        )


def own_program() -> Path:
    """Return the `deploy-agent` of this installation.

    Raises:
        ConfigError: there is none.
    """
    suffix = ".exe" if sys.platform == "win32" else ""
    program = Path(sys.executable).with_name(f"deploy-agent{suffix}")
    if not program.exists():
        raise ConfigError(
            f"there is no program '{program}', which the service would run",
            "Install Tranche with pip into an environment of its own, such as /opt/tranche",
        )
    return program


def check_program(program: Path) -> None:
    """Refuse, as root, a program that others can change: the service would run theirs as root.

    Raises:
        ConfigError: they can change it, its Python or this package.
    """
    for path in (program, Path(sys.executable), Path(__file__).absolute()):
        spot = weak_spot(path) if is_root() else None
        if spot is not None:
            raise ConfigError(
                f"the service would run '{path}' as root, and '{spot.path}' {spot.why}",
                "Install Tranche as root where only root can write, such as /opt/tranche",
            )


def _refused(path: Path, error: OSError) -> AgentError:
    return AgentError(f"'{path}' cannot be changed: {error.strerror}", "Type it again as root")

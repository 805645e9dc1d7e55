"""Which run of the system this is, and how to ask for another one."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from deploy_agent.domain.errors import AgentError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DELAY_MIN = 2  # until users lose what they did not save
ANSWER_S = 30.0  # how long the system may take to say that it will

# Where a system has no name for its run, the time of its start stands in. It is computed from
# the clock, and so moves a little when that is set.
_TIME = "time:"
_SAME_S = 600
_BOOT_KEY = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"


class Power(Protocol):
    """Restarts the computer or switches it off, some minutes from now."""

    def restart(self, why: str) -> None:
        """Ask for a restart; `why` is told to users.

        Raises:
            PowerError: there will be none.
        """

    def shut_down(self, why: str) -> None:
        """Ask for the computer to be switched off.

        Raises:
            PowerError: it will not be.
        """


class PowerError(AgentError):
    """The system does not restart and is not switched off."""

    code = "POWER_ERROR"


class SystemPower:
    """Asks the real system.

    Every system that an agent runs on has a `shutdown` that waits, tells its users and can be
    called off by an administrator.
    """

    def __init__(
        self,
        call: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
        *,
        platform: str = sys.platform,
    ) -> None:
        self._call = call
        self._platform = platform

    def restart(self, why: str) -> None:
        """Ask for a restart."""
        self._ask("-r", why)

    def shut_down(self, why: str) -> None:
        """Ask for the computer to be switched off."""
        self._ask("-s" if self._platform == "win32" else "-h", why)

    def _ask(self, what: str, why: str) -> None:
        command = self._command(what, why)
        try:
            done = self._call(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=ANSWER_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise PowerError(f"'{command[0]}' failed: {error}") from error
        if done.returncode != 0:
            said = " ".join((done.stdout or "").split())[:200]
            raise PowerError(f"'{' '.join(command[:3])}' ended with {done.returncode}: {said}")

    def _command(self, what: str, why: str) -> Sequence[str]:
        if self._platform == "win32":
            return ["shutdown", f"/{what[1]}", "/f", "/t", str(60 * DELAY_MIN), "/c", why[:500]]
        return ["shutdown", what, f"+{DELAY_MIN}", why]


def boot_id() -> str:
    """Return what the system calls its present run; another one after each restart."""
    for name in (_linux, _macos, _windows):
        found = name()
        if found:
            return found
    import psutil

    return f"{_TIME}{int(psutil.boot_time())}"


def is_same_boot(before: str, now: str) -> bool:
    """Whether two answers of `boot_id` name one run of the system."""
    if before.startswith(_TIME) and now.startswith(_TIME):
        return abs(int(before[len(_TIME) :]) - int(now[len(_TIME) :])) < _SAME_S
    return before == now


def _linux() -> str:
    try:
        return BOOT_ID.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return ""


def _macos() -> str:
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip()
    return ""


def _windows() -> str:
    """Return the number that Windows counts its starts by, '' where it does not."""
    if sys.platform == "win32":
        import winreg

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _BOOT_KEY) as key:
            return f"boot {winreg.QueryValueEx(key, 'BootId')[0]}"
    return ""

"""Debian's ``ocsinventory-agent``, unmodified, in a folder of its own.

One run is: PROLOG, the info files it was offered, INVENTORY, and a forked child that downloads and
acts alone. The child keeps the run's standard error open: the end of that pipe is the end of both.
"""

import itertools
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import program

_numbers = itertools.count(os.getpid() % 1000 * 1000)


@dataclass
class OcsRun:
    """What one run printed."""

    log: str
    returncode: int


class OcsAgent:
    """One computer with the OCS agent on it."""

    def __init__(self, folder: Path, server: str, ca_file: Path | None = None) -> None:
        self.folder = folder / "ocs"
        self.folder.mkdir(parents=True)
        self.server = server
        self.ca_file = ca_file
        self.device_id = self._new_device_id()

    def _new_device_id(self) -> str:
        """Give it an id of its own: two agents first seen in the same second would share one."""
        number = next(_numbers)
        stamp = f"2026-{number // 86400 % 12 + 1:02}-01-{number // 3600 % 24:02}"
        stamp += f"-{number // 60 % 60:02}-{number % 60:02}"
        name = socket.gethostname().partition(".")[0]
        device_id = f"{name}-{stamp}"
        self.state.mkdir()
        (self.state / "ocsinv.conf").write_text(f"<CONF><DEVICEID>{device_id}</DEVICEID></CONF>\n")
        return device_id

    @property
    def state(self) -> Path:
        """Where it keeps what it knows about this server."""
        return self.folder / self.server.replace("/", "_")

    @property
    def download(self) -> Path:
        return self.state / "download"

    @property
    def history(self) -> list[str]:
        path = self.download / "history"
        return path.read_text().split() if path.exists() else []

    def command(self, *options: str) -> list[str]:
        trust = [f"--ca={self.ca_file}"] if self.ca_file else []
        return [
            program("ocsinventory-agent"),
            f"--server={self.server}",
            f"--basevardir={self.folder}",
            "--nolocal",
            "--debug",
            *trust,
            *(options or ("--nosoftware",)),
        ]

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin a run in a session of its own, so that it and its child end together."""
        return subprocess.Popen(
            self.command(*options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def run(self, *options: str, seconds: float = 90) -> OcsRun:
        """One whole run with its download child; killed with a reason after the deadline."""
        process = self.start(*options)
        try:
            log, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill(process)
            log, _ = process.communicate()
            raise AssertionError(f"the OCS agent still runs after {seconds} s:\n{log}") from None
        return OcsRun(log, process.returncode)

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> None:
        """End a run and its child at once."""
        os.killpg(process.pid, signal.SIGKILL)

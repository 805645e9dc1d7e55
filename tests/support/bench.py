"""One computer at which results are provoked: real agent processes, runners, disks and sockets.

Small disks and mounts live in a namespace of their own, with root or without, and end with it.
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

from deploy_agent.machine import runner
from deploy_agent.machine.runner import Job
from tests.support.computer import AT_ONCE, Computer
from tests.support.fork_server import Agents
from tests.support.processes import BIN, program
from tests.support.real_lives import ID, KILLED, Site
from tests.support.simulator import FakeRunner, ServerSimulator

MIB = 1024 * 1024


@dataclass
class Bench:
    """The computer and what belongs to it."""

    agents: Agents
    site: Site
    folder: Path

    def __post_init__(self) -> None:
        self.site.simulator = self.server = ServerSimulator()
        self.state = self.folder / "state"
        self.trace = self.folder / "trace"

    # What is deployed.

    def offer(
        self, package_id: str = ID, *, offer: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        """Publish and assign a package; without other words a script that leaves a trace."""
        self.server.publish(package_id, **fields)
        places = {
            "info_loc": f"{self.site.central.address}/download",
            "pack_loc": f"{self.site.near.address}/download",
        }
        self.server.assign(package_id, **{**places, **(offer or {})})

    def command(self, command: str, package_id: str = ID, **fields: Any) -> None:
        """Publish and assign an EXECUTE package without a file."""
        self.offer(package_id, fragments=0, target=command, **fields)

    def alter(self, **attributes: str | None) -> None:
        """Change the info file as it is served; None takes an attribute out."""
        url = self.server.url(ID)
        root = etree.fromstring(self.server.files[url])
        for name, value in attributes.items():
            if value is None:
                root.attrib.pop(name, None)
            else:
                root.set(name, value)
        self.server.files[url] = etree.tostring(root, encoding="UTF-8")

    def alter_fragment(self, change: Callable[[bytes], bytes], number: int = 2) -> None:
        url = self.server.url(ID, f"{ID}-{number}")
        self.server.files[url] = change(self.server.files[url])

    # Lives of the agent.

    def arguments(self) -> tuple[str, ...]:
        return ("--config", str(self.site.config), "--state", str(self.state), "once", "--no-wait")

    def once(self, kill_at: int | str = 0) -> None:
        """A life of the agent, to its end or to a moment."""
        moments, log = self.folder / "moments", self.folder / "log"
        status = self.agents.run(*self.arguments(), kill_at=kill_at, moments=moments, log=log)
        assert status == (KILLED if kill_at else 0), log.read_text()

    def once_within(self, before: str, after: str = "") -> None:
        """A life in a namespace of its own, between commands of a shell.

        Args:
            before: the commands, with $STATE; mounts that they make are nobody else's.
            after: more of them, with $AGENT for another life, and $status, which has to be 0.
        """
        agent = " ".join(map(_quoted, (str(BIN / "deploy-agent"), *self.arguments())))
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        script = f"set -e; {before}\nset +e; {agent}; status=$?\n{after}\nexit $status"
        done = subprocess.run(
            [program("unshare"), "--mount", *user, "/bin/sh", "-c", script],
            env={**os.environ, "STATE": str(self.state), "AGENT": agent},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr}"

    def once_on_a_small_disk(
        self, size: int = 2 * MIB, *, then: str = ":", after: str = ""
    ) -> None:
        """A life with a state folder of so many bytes, after and before more commands."""
        self.state.mkdir(exist_ok=True)
        mount = f'mount -t tmpfs -o mode=700,size={size} none "$STATE"'
        self.once_within(f"{mount}\n{then}", after)

    def in_process(self, **parts: Any) -> Computer:
        """The same computer with fakes for what no test may really do: days, users, Windows."""
        return Computer(self.folder / "pc", server=self.server, **parts)

    # What came of it.

    @property
    def package(self) -> Path:
        return self.state / "packages" / ID

    @property
    def run_folder(self) -> Path:
        return self.package / "run-1"

    def left(self) -> list[str]:
        """The packages that are still on the disk."""
        folder = self.state / "packages"
        return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


class HastyRunner(FakeRunner):
    """The real runner; its minutes are short."""

    def prepare(self, job: Job, folder: Path) -> None:
        runner.prepare(self._hasty(job), folder)

    def start(self, job: Job, folder: Path) -> None:
        self.started.append(job)
        runner.start(self._hasty(job), folder)

    @staticmethod
    def _hasty(job: Job) -> Job:
        return job._replace(timeout_s=job.timeout_s / 100, grace_s=1)

    outcome = staticmethod(runner.outcome)
    wait = staticmethod(runner.wait)
    withdraw = staticmethod(runner.withdraw)


def once(computer: Computer) -> None:
    """A life in this process."""
    agent = computer.agent(AT_ONCE)
    agent.poll()
    for _ in range(3):
        agent.step()
    agent.close()


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"

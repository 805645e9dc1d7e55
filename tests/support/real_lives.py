"""Lives of real agents: processes on a real disk, TLS and sockets, real runners; SIGKILL ends them.

Around them are a server of memory behind real sockets, and a folder in which actions leave traces.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deploy_agent.wire.events import EVENTS_PATH
from tests.support.fault_proxy import Exchange, FaultProxy, answer
from tests.support.fork_server import Agents
from tests.support.networked import simulated
from tests.support.simulator import ServerSimulator, archive
from tests.support.waiting import wait_until

ID = "1800000001"
KILLED = -9
SCRIPT = b"""#!/bin/sh
echo begin >> "$1"
sleep 0.05
echo end >> "$1"
exit "$2"
"""
CONTENT = archive({"run.sh": SCRIPT, "data": bytes(range(256)) * 40})


@dataclass(frozen=True)
class Deployment:
    """What is deployed to each computer.

    Attributes:
        package: fields of the package.
        offer: fields of its offer.
        exit_code: of its action.
        code: how it has to end.
    """

    package: dict[str, Any] = field(default_factory=dict)
    offer: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 0
    code: str = "SUCCESS"


class Site:
    """The server, behind sockets: messages and info files over TLS, fragments over HTTP."""

    def __init__(self, certificate: Path, ca_file: Path, folder: Path) -> None:
        self.simulator = ServerSimulator()
        self.central = FaultProxy(self._answer, certificate)
        self.near = FaultProxy(self._answer)
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'server = "https://{self.central.address}/ocsinventory"\nca_file = "{ca_file}"\n'
        )

    def _answer(self, exchange: Exchange) -> bytes:
        if exchange.target == EVENTS_PATH:
            status, value = self.simulator.post_json(exchange.target, json.loads(exchange.body))
            return answer(status, json.dumps(value).encode())
        return simulated(self.simulator)(exchange)

    def deploy(self, what: Deployment, traces: Path) -> ServerSimulator:
        """Serve the package anew, as a server that nobody has asked for anything."""
        self.simulator = server = ServerSimulator()
        file = {"content": CONTENT, "target": f"run.sh {traces} {what.exit_code}"}
        command = f"echo begin >> {traces}; sleep 0.05; echo end >> {traces}; exit {what.exit_code}"
        given = {"target": command} if what.package.get("fragments") == 0 else file
        server.publish(**{**given, **what.package})
        postcmd = what.offer.get("postcmd", "").format(traces=traces)
        server.assign(
            **{
                "info_loc": f"{self.central.address}/download",
                "pack_loc": f"{self.near.address}/download",
                **what.offer,
                "postcmd": postcmd,
            }
        )
        return server


@contextmanager
def running_site(certificate: Path, ca_file: Path, folder: Path) -> Iterator[Site]:
    site = Site(certificate, ca_file, folder)
    with site.central, site.near:
        yield site


@dataclass
class RealLife:
    """A computer whose agent dies at given moments, each counted from that agent's start.

    Attributes:
        outlived: actions that were not over when their agent died.
        moments: of the first agent.
        of_runner: moments of the first runner, where it was watched.
    """

    agents: Agents
    site: Site
    folder: Path
    outlived: int = 0
    moments: list[str] = field(default_factory=list)
    of_runner: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.state = self.folder / "state"
        self.traces = self.folder / "traces"
        self._kept: set[str] = set()

    def tell(self, what: Deployment, kills: tuple[int, ...], runner_dies: int = 0) -> None:
        """Deploy, kill, start again until nothing is left, and look at what came of it.

        Args:
            what: is deployed.
            kills: when agents die.
            runner_dies: when the first runner dies; 0 for one that nobody watches.
        """
        self._runner_dies = f"{self.folder / 'runner'} {runner_dies}" if runner_dies else ""
        server = self.site.deploy(what, self.traces)
        asked: Counter[str] = Counter()
        for number, kill_at in enumerate((*kills, 0)):
            status = self._run(kill_at)
            if not number:
                self.moments = self._moments()
            assert status == (KILLED if kill_at and status else 0), self._log()
            again = {name for name in self._kept if server.asked()[name] > asked[name]}
            assert not again, f"fetched again without need: {again}"
            asked = server.asked()
            if status == KILLED:
                self._look_at_the_dead()
        self._check(what, server)
        shutil.rmtree(self.folder)

    def _run(self, kill_at: int) -> int:
        options = ("--config", str(self.site.config), "--state", str(self.state))
        return self.agents.run(
            *(*options, "once", "--no-wait"),
            kill_at=kill_at,
            moments=self.folder / "moments",
            log=self.folder / "log",
            runner_dies=self._runner_dies,
        )

    def _moments(self) -> list[str]:
        return (self.folder / "moments").read_text().splitlines()

    def _log(self) -> str:
        return (self.folder / "log").read_text()

    def _look_at_the_dead(self) -> None:
        moments = self._moments()
        renamed = [each.split()[-1] for each in moments if each.startswith("after rename ")]
        self._kept |= {name for name in renamed if name.startswith(f"{ID}-")}
        if "after spawn" in moments and "end" not in self._traces():
            self.outlived += 1

    def _traces(self) -> list[str]:
        return self.traces.read_text().split() if self.traces.exists() else []

    def _check(self, what: Deployment, server: ServerSimulator) -> None:
        code, ran = self._right(what)
        assert {each.code for each in server.reports} == {code}, self._log()
        assert server.status() == code
        ends = {each.event_id for each in server.events if each.reason.startswith("ended with")}
        assert len(ends) == 1, f"told of {len(ends)} ends"
        traces = self._traces()
        assert traces[:2] == (["begin", "end"] if ran else []), traces
        self._check_post(what, traces[2:])
        left = {str(each.relative_to(self.state)) for each in self.state.rglob("*")}
        left = {each for each in left if not each.startswith("history")}
        assert left == {"identity.json", "server.json", "lock", "packages"}, left

    def _right(self, what: Deployment) -> tuple[str, bool]:
        """How it has to end, and whether the action has to have run."""
        of_runner = self.folder / "runner"
        self.of_runner = of_runner.read_text().splitlines() if of_runner.exists() else []
        died = int(self._runner_dies.rpartition(" ")[2] or 0)
        if len(self.of_runner) < died or "after rename" not in self.of_runner:
            return what.code, True  # it did not die, or had not taken its job
        if "after replace" in self.of_runner:
            return what.code, True  # its result was there
        return "ERR_DONE_FAILED", "after Popen" in self.of_runner

    def _check_post(self, what: Deployment, traces: list[str]) -> None:
        """The post command ran at most once, and history knows whether."""
        (entry,) = [json.loads(each.read_text()) for each in (self.state / "history").iterdir()]
        assert entry["result"]["code"] in (what.code, "ERR_DONE_FAILED")
        note = entry.get("post", {}).get("note", "")
        ran = note == "it ended with exit code 0"
        assert traces == (["post"] if ran else []), note
        if what.offer and entry["result"]["code"] == what.code:
            assert ran or "before it was started" in note, note


def runners_in(folder: Path) -> list[psutil.Process]:
    """The runners and actions that work somewhere below a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in each for each in process.info["cmdline"] or []):
            found.append(process)
    return found


def wait_for_no_runner(folder: Path) -> None:
    wait_until(lambda: not runners_in(folder), "no runner is left", seconds=10)

"""A package that replaces the agent which runs it and restarts its service, as upgrades do."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import deploy_agent
from tests.integration.test_agent_daemon import Server
from tests.support.agent import TrancheAgent
from tests.support.certificates import issue
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("agent_upgrade")]

LAUNCHER = """#!{python}
import sys
sys.path.insert(0, {site!r})
from deploy_agent.cli import main
main(prog_name="deploy-agent")
"""

#: What a service manager and a package do together. No systemd is needed for it here.
INSTALL = """#!/bin/sh
set -e
echo x >> {folder}/runs
rm -rf {site}/deploy_agent
cp -r {folder}/new/deploy_agent {site}/
kill $(cat {folder}/pid)
while kill -0 $(cat {folder}/pid) 2>/dev/null; do sleep 0.05; done
setsid {launcher} {options} run > {folder}/new.log 2>&1 < /dev/null &
echo $! > {folder}/pid
sleep 1
{launcher} --version
"""


class Installed:
    """An agent with files of its own, version 1, and version 9.9.9 beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site, self.launcher = folder / "site", folder / "deploy-agent"
        source = Path(deploy_agent.__file__).parent
        for place in (self.site, folder / "new"):
            shutil.copytree(
                source, place / "deploy_agent", ignore=shutil.ignore_patterns("__pycache__")
            )
        init = folder / "new/deploy_agent/__init__.py"
        init.write_text(init.read_text().replace(deploy_agent.__version__, "9.9.9"))
        self.launcher.write_text(LAUNCHER.format(python=sys.executable, site=str(self.site)))
        self.launcher.chmod(0o755)

    def start(self, agent: TrancheAgent) -> "subprocess.Popen[bytes]":
        options = " ".join(agent.arguments())
        install = self.folder / "install.sh"
        install.write_text(
            INSTALL.format(
                folder=self.folder, site=self.site, launcher=self.launcher, options=options
            )
        )
        with (self.folder / "old.log").open("wb") as log:
            process = subprocess.Popen(
                [str(self.launcher), *agent.arguments("run")], stdout=log, stderr=log
            )
        (self.folder / "pid").write_text(str(process.pid))
        return process


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    certificate = issue("server", ca=True, san=("127.0.0.1",))
    (tmp_path / "ca.pem").write_bytes(certificate.pem())
    with Server(tmp_path / "server", certificate.save(tmp_path / "server.pem")) as running:
        yield running


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    yield Installed(tmp_path)
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_an_agent_that_replaces_itself(
    server: Server, installed: Installed, tmp_path: Path
) -> None:
    agent = TrancheAgent(tmp_path / "agent", f"https://{server.address}", tmp_path / "ca.pem")
    server.publish(f"sh {tmp_path}/install.sh")
    first = installed.start(agent)
    first.wait(120)
    wait_until(lambda: server.codes, "the new agent tells the result", seconds=120)
    number = int((tmp_path / "pid").read_text())
    assert number != first.pid
    assert psutil.pid_exists(number)
    wait_until(lambda: not (agent.state / "packages/1800000001").exists(), "nothing is left")
    assert server.codes == ["SUCCESS"]
    assert (tmp_path / "runs").read_text() == "x\n"
    (entry,) = agent.json("history")
    assert (entry["code"], "9.9.9" in entry["output"]) == ("SUCCESS", True)
    assert "Traceback" not in (tmp_path / "old.log").read_text()
    assert "Traceback" not in (tmp_path / "new.log").read_text()

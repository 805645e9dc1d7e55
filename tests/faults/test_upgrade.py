"""A package that replaces the agent which carries it out and starts the new one: real processes.

There is no systemd in tests: the package stops the daemon by its number and starts it again, as a
service manager would.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.archive_bytes import tar_gz
from tests.support.fault_proxy import Exchange
from tests.support.real_lives import Site, runners_in
from tests.support.repository import ROOT
from tests.support.simulator import ServerSimulator
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

NEW = "99.0.0"
#: Run from the unpacked archive; a folder with spaces shall be no trouble.
UPGRADE = """#!/bin/sh
set -e
echo begin >> "$1/trace"
kill -s "$2" "$(cat "$1/pid")"
while grep -q '^State:.[^Z]' "/proc/$(cat "$1/pid")/status" 2>/dev/null; do sleep 0.02; done
rm -rf "$1/installed/deploy_agent"
cp -R deploy_agent "$1/installed/"
"$1/start"
echo end >> "$1/trace"
exit "$3"
"""
PROGRAM = """#!{python}
import sys
sys.path.insert(0, {installed!r})
from deploy_agent.cli import main
main()
"""
# The outer shell ends at once, so that nobody is left to wait for the daemon when it ends.
START = """#!/bin/sh
cd /
( setsid "{folder}/deploy-agent" --config "{config}" --state "{folder}/state" run \\
  >> "{folder}/log" 2>&1 < /dev/null & echo $! > "{folder}/pid" )
"""


class Installed:
    """A copy of the agent of its own, and its daemon."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder = folder
        self.site = site
        self.package = folder / "installed" / "deploy_agent"
        shutil.copytree(
            ROOT / "deploy_agent", self.package, ignore=shutil.ignore_patterns("__pycache__")
        )
        installed = str(self.package.parent)
        self._script("deploy-agent", PROGRAM.format(python=sys.executable, installed=installed))
        self._script("start", START.format(folder=folder, config=site.config))

    def _script(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def archive(self) -> bytes:
        """The new version, with what puts it in the place of this one."""
        files = {
            f"deploy_agent/{path.relative_to(self.package)}": path.read_bytes()
            for path in self.package.rglob("*.py")
        }
        files["deploy_agent/__init__.py"] = f'__version__ = "{NEW}"\n'.encode()
        return tar_gz({"upgrade.sh": UPGRADE.encode(), **files})

    def start(self) -> None:
        subprocess.run([str(self.folder / "start")], check=True, env=self.environment())

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        options = ["--config", str(self.site.config), "--state", str(self.folder / "state")]
        program = [str(self.folder / "deploy-agent"), *options, *command]
        return subprocess.run(
            program, check=True, env=self.environment(), capture_output=True, text=True, timeout=60
        )

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def wait_for_a_result(self, server: ServerSimulator) -> None:
        try:
            wait_until(lambda: server.codes, "the result is told", seconds=60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def stop(self) -> None:
        number = int((self.folder / "pid").read_text())
        with suppress(psutil.NoSuchProcess):
            psutil.Process(number).kill()
        wait_until(lambda: not lives(number), "the daemon ends")


def lives(number: int) -> bool:
    """Whether there is such a process, and it is not only waiting to be noticed by its parent."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def server(site: Site) -> ServerSimulator:
    site.simulator = ServerSimulator()
    return site.simulator


@pytest.fixture
def said_by(site: Site) -> Iterator[list[str]]:
    """Who sent each message, by its User-Agent."""
    names: list[str] = []
    upstream = site.central.upstream

    def listen(exchange: Exchange) -> bytes:
        if exchange.method == "POST":
            names.append(exchange.headers["user-agent"])
        return upstream(exchange)

    site.central.upstream = listen
    yield names
    site.central.upstream = upstream


@pytest.fixture
def installed(site: Site, tmp_path: Path) -> Iterator[Installed]:
    folder = tmp_path / "a computer"
    folder.mkdir()
    agent = Installed(folder, site)
    yield agent
    agent.stop()
    for process in runners_in(folder):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.mark.parametrize("how", ["TERM", "KILL"])
@pytest.mark.parametrize(("exit_code", "code"), [(0, "SUCCESS"), (7, "ERR_EXIT_CODE_7")])
def test_a_package_replaces_its_agent_and_ends_once(
    server: ServerSimulator,
    site: Site,
    said_by: list[str],
    installed: Installed,
    how: str,
    exit_code: int,
    code: str,
) -> None:
    server.publish(
        content=installed.archive(), target=f"upgrade.sh '{installed.folder}' {how} {exit_code}"
    )
    server.assign(
        info_loc=f"{site.central.address}/download", pack_loc=f"{site.near.address}/download"
    )
    installed.start()
    installed.wait_for_a_result(server)
    assert server.codes == [code], installed.log()
    assert "Tranche/" in said_by[0]
    assert f"Tranche/{NEW}" not in said_by[0]
    assert said_by[-1].endswith(f"Tranche/{NEW}"), "the new agent reports what the old one began"
    assert (installed.folder / "trace").read_text().split() == ["begin", "end"]
    assert NEW in installed.run("--version").stdout
    status = json.loads(installed.run("status", "--json").stdout)
    assert (status["agent"], status["packages"]) == ("working", [])
    assert [
        each["exit_code"] for each in json.loads(installed.run("history", "--json").stdout)
    ] == [exit_code]
    installed.stop()
    installed.run("once", "--no-wait")
    assert server.codes == [code]
    assert "Traceback" not in installed.log()


def test_the_new_agent_may_come_much_later(
    server: ServerSimulator, site: Site, installed: Installed
) -> None:
    """The result waits for whoever comes."""
    go_on = installed.folder / "go on"
    server.publish(
        fragments=0,
        target=f"kill -KILL $(cat '{installed.folder}/pid'); touch '{go_on}'; echo done; exit 5",
    )
    server.assign(
        info_loc=f"{site.central.address}/download", pack_loc=f"{site.near.address}/download"
    )
    installed.start()
    wait_until(go_on.exists, f"the action ran: {installed.log()}", seconds=60)
    wait_until(lambda: not runners_in(installed.folder / "state"), "it is over", seconds=60)
    assert server.codes == []
    (installed.package / "__init__.py").write_text(f'__version__ = "{NEW}"\n')
    installed.start()
    installed.wait_for_a_result(server)
    assert server.codes == ["ERR_EXIT_CODE_5"]
    assert json.loads(installed.run("history", "--json").stdout)[0]["output"] == "done\n"

"""Debian's ocsinventory-agent, unmodified, against our server over TLS: it must notice nothing.

One agent gets every package in one run, and each test looks at one of them; so the slow part, two
runs of the agent, happens once. What needs a life of its own has an agent of its own.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.archives import tar_gz, zip_file
from tests.support.ocs import OcsAgent, OcsRun
from tests.support.processes import program
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.ocs_agent, pytest.mark.slow, pytest.mark.xdist_group("ocs_agent")]

#: What breaks programs that build XML or command lines by hand.
HARD = """a & b < c > "d" 'e' Zürich 東京"""

SCRIPT = """#!/bin/sh
{ pwd; printf '%s\\n' "$#" "$@"; } > "$(cat where)/launched"
exit "${1:-0}"
"""


@pytest.fixture(autouse=True)
def _needs_the_agent() -> None:
    program("ocsinventory-agent")


@dataclass
class Deployed:
    """One agent after the run in which it got every package.

    Attributes:
        left: where the packages left their traces.
        packages: ids by what the package is.
    """

    server: RunningServer
    agent: OcsAgent
    first: OcsRun
    second: OcsRun
    left: Path
    packages: dict[str, str]

    def status(self, name: str) -> str:
        return self.server.status(self.packages[name], self.agent.device_id)


def publish_all(server: RunningServer, folder: Path, left: Path) -> dict[str, str]:
    """Build and activate one package of each kind; two of them are broken afterwards."""
    payload = os.urandom(300_000)
    files = {"install.sh": SCRIPT, "where": str(left), "payload": payload}
    archive = tar_gz(folder / "launch.tar.gz", files)
    stored = tar_gz(folder / "store.tar.gz", {"a.txt": "A", "sub/b ü.txt": "B"})
    # Two files: the agent asks tar first, whose gzip takes a zip of one file for a gzip.
    zipped = zip_file(folder / "any.zip", {"z.txt": "Z", "y.txt": "Y"})
    launch = ["--action", "launch", "--file", archive]
    packages = {
        "launch": server.publish(
            "launch", *launch, "--fragments", "20", "--command", "install.sh 0 'two words'"
        ),
        "exit 3": server.publish("exit 3", *launch, "--command", "install.sh 3"),
        "execute": server.publish(
            f"execute {HARD}", "--action", "execute", "--command", hard_command(left)
        ),
        "store": server.publish(
            "store", "--action", "store", "--file", stored, "--path", f"{left}/deep/er"
        ),
        "priority 0, https": server.publish(
            "alone",
            "--action",
            "store",
            "--file",
            stored,
            "--path",
            f"{left}/alone",
            "--priority",
            "0",
            "--protocol",
            "https",
        ),
        "base64": server.publish(
            "base64",
            "--action",
            "store",
            "--file",
            stored,
            "--path",
            f"{left}/base64",
            "--digest-encoding",
            "base64",
        ),
        "zip": str(
            server.json(
                "package",
                "build",
                "zip",
                "--os",
                "any",
                "--action",
                "store",
                "--file",
                zipped,
                "--path",
                f"{left}/zip",
            )["id"]
        ),
        "bad digest": server.publish("bad digest", *launch, "--command", "install.sh 0"),
        "no info": server.publish("no info", *launch, "--command", "install.sh 0"),
    }
    server.json("package", "activate", packages["zip"], *server.locations())
    spoil(server, packages)
    return packages


def hard_command(left: Path) -> str:
    return f"""printf '%s' 'a & b < c > "d" Zürich 東京' > '{left}/executed'; pwd >> '{left}/cwd'"""


def spoil(server: RunningServer, packages: dict[str, str]) -> None:
    bad = packages["bad digest"]
    fragment = server.package_folder(bad) / f"{bad}-1"
    data = bytearray(fragment.read_bytes())
    data[len(data) // 2] ^= 1
    fragment.write_bytes(data)
    (server.package_folder(packages["no info"]) / "info").unlink()


@pytest.fixture(scope="module")
def deployed(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    program("ocsinventory-agent")
    folder = tmp_path_factory.mktemp("ocs")
    left = folder / "left"
    left.mkdir()
    packages = publish_all(server, folder, left)
    agent = OcsAgent(folder, server.agent_url, server.ca_file)
    first = agent.run()
    for package_id in packages.values():
        server.assign(package_id, agent.device_id)
    return Deployed(server, agent, first, agent.run(), left, packages)


def test_launch_of_twenty_fragments(deployed: Deployed) -> None:
    assert deployed.status("launch") == "SUCCESS_0"
    where, *arguments = (deployed.left / "launched").read_text().splitlines()
    assert Path(where).name == "tmp"
    # Both LAUNCH packages write this file; the one that came last is either of them.
    assert arguments in (["2", "0", "two words"], ["1", "3"])
    folder = deployed.server.package_folder(deployed.packages["launch"])
    assert len(list(folder.glob("*-*"))) == 20


def test_execute_without_a_file_takes_hard_characters(deployed: Deployed) -> None:
    assert deployed.status("execute") == "SUCCESS"
    assert (deployed.left / "executed").read_text() == 'a & b < c > "d" Zürich 東京'


def test_the_name_arrives_unharmed(deployed: Deployed) -> None:
    shown = deployed.server.json("package", "show", deployed.packages["execute"])
    assert shown["name"] == f"execute {HARD}"


def test_store(deployed: Deployed) -> None:
    assert deployed.status("store") == "SUCCESS"
    assert (deployed.left / "deep/er/a.txt").read_text() == "A"
    assert (deployed.left / "deep/er/sub/b ü.txt").read_text() == "B"


@pytest.mark.parametrize(
    ("name", "trace"),
    [("priority 0, https", "alone/a.txt"), ("base64", "base64/a.txt"), ("zip", "zip/z.txt")],
)
def test_other_ways_to_store(deployed: Deployed, name: str, trace: str) -> None:
    assert deployed.status(name) == "SUCCESS"
    assert (deployed.left / trace).exists()


def test_a_wrong_digest(deployed: Deployed) -> None:
    assert deployed.status("bad digest") == "ERR_BAD_DIGEST"


def test_a_missing_info_file(deployed: Deployed) -> None:
    assert deployed.status("no info") == "ERR_DOWNLOAD_INFO"


def test_exit_code_3_of_a_launch_is_a_failure(deployed: Deployed) -> None:
    server, package_id = deployed.server, deployed.packages["exit 3"]
    assert deployed.status("exit 3") == "SUCCESS_3"
    failed = server.json("computer", "search", f"package:{package_id} = error")
    assert [each["device_id"] for each in failed] == [deployed.agent.device_id]
    assert server.json("computer", "search", f"package:{package_id} = success") == []


def test_every_package_ended(deployed: Deployed) -> None:
    left_over = [path.name for path in deployed.agent.download.iterdir() if path.is_dir()]
    # The Unix agent keeps the folder of a package whose info file it could not get.
    assert set(left_over) <= {deployed.packages["no info"]}


def test_its_log_has_no_complaint_about_us(deployed: Deployed) -> None:
    for run in (deployed.first, deployed.second):
        assert "Cannot establish communication" not in run.log
        assert run.returncode == 0


def test_the_inventory_is_found_by_search(deployed: Deployed) -> None:
    name = deployed.agent.device_id.rsplit("-", 6)[0]
    found = deployed.server.json("computer", "search", f'name = "{name}" and os ~ linux')
    assert deployed.agent.device_id in [each["device_id"] for each in found]
    shown = deployed.server.json("computer", "show", deployed.agent.device_id)
    assert shown["last_inventory"].endswith("Z")


def test_a_full_inventory_makes_software_searchable(server: RunningServer, tmp_path: Path) -> None:
    agent = OcsAgent(tmp_path, server.agent_url, server.ca_file)
    agent.run("--tag=Zürich")
    found = server.json("computer", "search", "software:perl > 5 and tag = zürich")
    assert [each["device_id"] for each in found] == [agent.device_id]


def test_a_package_is_done_once_unless_forced(server: RunningServer, tmp_path: Path) -> None:
    count = tmp_path / "count"
    command = f"echo x >> '{count}'"
    package_id = server.publish(f"once {tmp_path}", "--action", "execute", "--command", command)
    agent = OcsAgent(tmp_path, server.agent_url, server.ca_file)
    agent.run()
    server.assign(package_id, agent.device_id)
    agent.run()
    assert agent.history == [package_id]
    agent.run()  # tells the server its history
    server.assign(package_id, agent.device_id)
    agent.run()
    assert count.read_text() == "x\n"
    assert server.status(package_id, agent.device_id).startswith("SUCCESS_ALREADY_")
    server.assign(package_id, agent.device_id, "--force")
    agent.run()
    assert count.read_text() == "x\nx\n"
    assert server.status(package_id, agent.device_id) == "SUCCESS"


def test_a_killed_agent_resumes_at_the_next_fragment(server: RunningServer, tmp_path: Path) -> None:
    archive = tar_gz(tmp_path / "a.tar.gz", {"payload": os.urandom(200_000)})
    package_id = server.publish(
        f"resume {tmp_path}",
        "--action",
        "store",
        "--file",
        archive,
        "--path",
        f"{tmp_path}/stored",
        "--fragments",
        "10",
        "--priority",
        "1",
    )
    agent = OcsAgent(tmp_path, server.agent_url, server.ca_file)
    agent.run()
    server.assign(package_id, agent.device_id)
    server.cli("setting", "set", "DOWNLOAD_FRAG_LATENCY", "1", "--computer", agent.device_id)
    process = agent.start()
    task = agent.download / package_id / "task"

    # OCS's agent empties this list and writes it anew after each fragment: a kill between the two
    # makes it forget the rest, for good. That is its own; ours falls into the pause that follows.
    def left() -> list[str]:
        to_do = task.read_text().split() if task.exists() else []
        return to_do if 0 < len(to_do) <= 7 else []

    try:
        to_do = wait_until(left, "three fragments are there", seconds=60)
    finally:
        agent.kill(process)
        process.communicate()
    assert task.read_text().split() == to_do
    assert server.status(package_id, agent.device_id) == "NOTIFIED"
    server.cli("setting", "unset", "DOWNLOAD_FRAG_LATENCY", "--computer", agent.device_id)
    log = agent.run().log
    assert server.status(package_id, agent.device_id) == "SUCCESS"
    assert log.count(f"Success downloading {package_id}-") == len(to_do)
    assert (tmp_path / "stored/payload").exists()


def test_another_ca_is_refused_by_the_agent(tmp_path: Path) -> None:
    """Contacts over plain HTTP, where those are allowed: the info file still needs our CA."""
    ours = RunningServer(tmp_path / "ours", "--agents-over-http")
    other = RunningServer(tmp_path / "other")
    with ours as server:
        agent = OcsAgent(tmp_path, f"{server.http}/ocsinventory", other.ca_file)
        agent.run()
        package_id = server.publish("x", "--action", "execute", "--command", "true")
        server.assign(package_id, agent.device_id)
        agent.run()
        assert server.status(package_id, agent.device_id) == "ERR_DOWNLOAD_INFO"


def test_plain_http_is_refused_unless_allowed(server: RunningServer, tmp_path: Path) -> None:
    agent = OcsAgent(tmp_path, f"{server.http}/ocsinventory", server.ca_file)
    log = agent.run().log
    assert "403" in log
    assert server.try_cli("computer", "show", agent.device_id).status == 1


def test_a_package_older_than_its_timeout(server: RunningServer, tmp_path: Path) -> None:
    archive = tar_gz(tmp_path / "a.tar.gz", {"payload": "x"})
    package_id = server.publish(
        f"late {tmp_path}", "--action", "store", "--file", archive, "--path", f"{tmp_path}/s"
    )
    agent = OcsAgent(tmp_path, server.agent_url, server.ca_file)
    agent.run()
    server.assign(package_id, agent.device_id)
    folder = agent.download / package_id
    folder.mkdir(parents=True)
    (folder / "since").write_text(str(int(time.time()) - 31 * 86400))
    agent.run()
    assert server.status(package_id, agent.device_id) == "ERR_TIMEOUT"

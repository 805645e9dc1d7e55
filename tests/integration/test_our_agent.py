"""Our agent against our server, as processes over TLS: every action and every result of the way."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz, zip_file
from tests.support.server import RunningServer
from tests.support.tampering import alter_info, flip_a_bit, replace_content

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("our_agent")]

TEXT = """a & b < c > "d" Zürich 東京"""
SCRIPT = """#!/bin/sh
{ pwd; printf '%s\\n' "$#" "$@"; } > "$(cat where)/$1"
exit "$2"
"""


@dataclass
class Deployed:
    """One agent after the run in which it got every package."""

    server: RunningServer
    agent: TrancheAgent
    left: Path
    packages: dict[str, str]
    output: str

    def status(self, name: str) -> str:
        return self.server.status(self.packages[name], self.agent.device_id)


Spoil = Callable[[Path], None]

#: What is done to a sound LAUNCH package, and how it has to end.
SPOILED: dict[str, tuple[str, Spoil]] = {
    "no info": ("ERR_DOWNLOAD_INFO", lambda folder: (folder / "info").unlink()),
    "other id": ("ERR_BAD_ID", lambda folder: alter_info(folder, ID="1700000000")),
    "priority 11": ("ERR_BAD_PARAM", lambda folder: alter_info(folder, PRI="11")),
    "no action": ("ERR_BAD_PARAM", lambda folder: alter_info(folder, ACT="DELETE")),
    "no name": ("ERR_EXECUTE_PACK", lambda folder: alter_info(folder, NAME=None)),
    "missing file": ("ERR_EXECUTE", lambda folder: alter_info(folder, NAME="absent.sh 0")),
    "no fragment 2": ("ERR_DOWNLOAD_PACK", lambda folder: (folder / f"{folder.name}-2").unlink()),
    "wrong fragment": ("ERR_BAD_DIGEST", lambda folder: flip_a_bit(folder / f"{folder.name}-2")),
    "wrong sha256": ("ERR_BAD_DIGEST", lambda folder: alter_info(folder, X_SHA256="0" * 64)),
    "wrong md5": ("ERR_BAD_DIGEST", lambda folder: alter_info(folder, DIGEST="0" * 32)),
    "wrong list": ("ERR_BAD_DIGEST", lambda folder: flip_a_bit(folder / "fragments.sha256")),
    "no archive": ("ERR_UNZIP", lambda folder: replace_content(folder, b"no archive at all")),
    "huge": (
        "ERR_OUT_OF_SPACE",
        lambda folder: alter_info(folder, X_FRAGMENT_SIZE=str(10**12 - 1), X_SHA256=None),
    ),
}


def publish_sound(server: RunningServer, folder: Path, left: Path) -> dict[str, str]:
    files = {"run.sh": SCRIPT, "where": str(left), "payload": os.urandom(200_000)}
    archive = tar_gz(folder / "launch.tar.gz", files)
    stored = tar_gz(folder / "store.tar.gz", {"a.txt": "A", "sub/b ü.txt": "B", ".dot": "D"})
    zipped = zip_file(folder / "any.zip", {"z.txt": "Z"})
    launch = ["--action", "launch", "--file", archive]
    store = ["--action", "store", "--file", stored]
    execute = ["--action", "execute", "--command"]
    packages = {
        "launch": server.publish(
            "ours launch", *launch, "--fragments", "20", "--command", "run.sh 'a b' 0"
        ),
        "exit 3": server.publish("ours 3", *launch, "--command", "run.sh three 3"),
        "reboot": server.publish(
            "ours reboot", *launch, "--command", "run.sh reboot 7", "--reboot-code", "7"
        ),
        "success 4": server.publish(
            "ours four", *launch, "--command", "run.sh four 4", "--success-code", "4"
        ),
        "execute": server.publish(
            f"ours {TEXT}", *execute, f"""printf '%s' '{TEXT}' > '{left}/executed'"""
        ),
        "store": server.publish("ours store", *store, "--path", f"{left}/deep/er"),
        "https, sha1": server.publish(
            "ours https",
            *store,
            "--path",
            f"{left}/https",
            "--protocol",
            "https",
            "--digest",
            "sha1",
            "--digest-encoding",
            "base64",
            "--priority",
            "0",
        ),
        "zip": str(
            server.json(
                "package",
                "build",
                "ours zip",
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
    }
    server.json("package", "activate", packages["zip"], *server.locations())
    for name, (_, spoil) in SPOILED.items():
        packages[name] = server.publish(
            f"spoiled {name}", *launch, "--fragments", "3", "--command", "run.sh never 0"
        )
        spoil(server.package_folder(packages[name]))
    return packages


@pytest.fixture(scope="module")
def deployed(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    folder = tmp_path_factory.mktemp("ours")
    left = folder / "left"
    left.mkdir()
    packages = publish_sound(server, folder, left)
    agent = TrancheAgent(folder / "agent", server.https, server.ca_file, "--tag", "Zürich")
    agent.once()
    for package_id in packages.values():
        server.assign(package_id, agent.device_id)
    return Deployed(server, agent, left, packages, agent.once().stdout)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("launch", "SUCCESS"),
        ("exit 3", "ERR_EXIT_CODE_3"),
        ("reboot", "SUCCESS_REBOOT_REQUIRED"),
        ("success 4", "SUCCESS"),
        ("execute", "SUCCESS"),
        ("store", "SUCCESS"),
        ("https, sha1", "SUCCESS"),
        ("zip", "SUCCESS"),
        *((name, status) for name, (status, _) in SPOILED.items()),
    ],
)
def test_each_package_ends_as_it_must(deployed: Deployed, name: str, status: str) -> None:
    assert deployed.status(name) == status


def test_launch_gets_its_arguments_in_the_unpacked_tree(deployed: Deployed) -> None:
    where, *arguments = (deployed.left / "a b").read_text().splitlines()
    assert arguments == ["2", "a b", "0"]
    assert Path(where).is_relative_to(deployed.agent.state)


def test_execute_takes_hard_characters(deployed: Deployed) -> None:
    assert (deployed.left / "executed").read_text() == TEXT


def test_store_brings_dot_files_too(deployed: Deployed) -> None:
    stored = deployed.left / "deep/er"
    files = {str(p.relative_to(stored)): p.read_text() for p in stored.rglob("*") if p.is_file()}
    assert files == {"a.txt": "A", "sub/b ü.txt": "B", ".dot": "D"}


def test_what_must_not_run_did_not(deployed: Deployed) -> None:
    assert not (deployed.left / "never").exists()


def test_nothing_of_a_finished_package_stays(deployed: Deployed) -> None:
    names = {path.name for path in deployed.agent.state.rglob("*")}
    assert not names & set(deployed.packages.values())


def test_the_history_has_every_end_once(deployed: Deployed) -> None:
    ended = [each["package"] for each in deployed.agent.json("history")]
    assert sorted(ended) == sorted(deployed.packages.values())


def test_the_inventory_is_found_by_search(deployed: Deployed) -> None:
    found = deployed.server.json("computer", "search", "tag = zürich and os ~ linux")
    assert [each["device_id"] for each in found] == [deployed.agent.device_id]


def test_the_activity_log_tells_all_of_it(deployed: Deployed) -> None:
    days = sorted((deployed.server.data / "log").glob("activity-*.log"))
    lines = [line.split(";") for day in days for line in day.read_text().splitlines()]
    own = [(code, comment) for _, _, code, device_id, *_, comment in lines
           if device_id == deployed.agent.device_id]  # fmt: skip
    assert [code for code, _ in own[:3]] == ["101", "104", "103"]
    assert "100" in [code for code, _ in own]
    for name, package_id in deployed.packages.items():
        assert ("2000", package_id) in own, name
    assert ("2001", f"{deployed.packages['launch']} SUCCESS") in own
    assert ("2001", f"{deployed.packages['exit 3']} ERR_EXIT_CODE_3") in own


def test_the_same_package_again_is_already_there(deployed: Deployed) -> None:
    server, agent = deployed.server, deployed.agent
    again = server.publish(
        "again", "--action", "execute", "--command", f"echo x >> {agent.folder}/n"
    )
    server.assign(again, agent.device_id)
    agent.once()
    server.assign(again, agent.device_id)
    agent.once()
    assert server.status(again, agent.device_id) == "ERR_ALREADY_SETUP"
    assert (agent.folder / "n").read_text() == "x\n"
    server.assign(again, agent.device_id, "--force")
    agent.once()
    assert server.status(again, agent.device_id) == "SUCCESS"
    assert (agent.folder / "n").read_text() == "x\nx\n"


def test_another_ca_is_refused_with_its_reason(server: RunningServer, tmp_path: Path) -> None:
    other = RunningServer(tmp_path / "other")
    agent = TrancheAgent(tmp_path / "agent", server.https, other.ca_file)
    refused = agent.once(expect=1)
    assert "certificate" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert str(other.ca_file) in refused.stderr


def test_a_certificate_for_another_name_is_refused(server: RunningServer, tmp_path: Path) -> None:
    elsewhere = f"https://127.0.0.2:{server.https_port}"
    agent = TrancheAgent(tmp_path / "agent", elsewhere, server.ca_file)
    refused = agent.once(expect=1)
    assert "127.0.0.2" in refused.stderr


def test_a_server_that_is_not_there(server: RunningServer, tmp_path: Path) -> None:
    agent = TrancheAgent(tmp_path / "agent", "https://127.0.0.1:9", server.ca_file)
    refused = agent.once(expect=1)
    assert "127.0.0.1:9" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_key_nobody_knows_is_a_configuration_error(server: RunningServer, tmp_path: Path) -> None:
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    with agent.config.open("a") as config:
        config.write("verify = false\n")
    refused = agent.once(expect=2)
    assert "verify" in refused.stderr


def test_a_state_that_cannot_be_written(server: RunningServer, tmp_path: Path) -> None:
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    shutil.rmtree(agent.state, ignore_errors=True)
    agent.state.write_text("a file where the folder should be")
    refused = agent.once(expect=4)
    assert str(agent.state) in refused.stderr
    assert "Traceback" not in refused.stderr

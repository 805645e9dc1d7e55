"""Our agent against our server, as processes over TLS: every action and every result of the way."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz, zip_file
from tests.support.server import RunningServer
from tests.support.tampering import alter_info, flip_a_bit, replace_content
from tests.support.waiting import wait_until
from tests.support.webfolder import PlainWebServer

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


# A mirror is any web server with a copy of the folder.


@pytest.fixture
def registered(server: RunningServer, tmp_path: Path) -> TrancheAgent:
    """An agent that the server knows, with its system."""
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    agent.once()
    return agent


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[PlainWebServer]:
    folder = tmp_path / "mirror"
    folder.mkdir()
    with PlainWebServer(folder) as running:
        yield running


def build(server: RunningServer, folder: Path, *options: str, size: int = 100_000) -> str:
    """A STORE package of ``size`` random bytes, not activated; its id."""
    archive = tar_gz(folder / f"{len(list(folder.iterdir()))}.tar.gz", {"p": os.urandom(size)})
    made = server.json(
        "package",
        "build",
        f"{folder} {archive.name}",
        "--os",
        "linux",
        "--action",
        "store",
        "--file",
        archive,
        "--path",
        str(folder / "stored"),
        *options,
    )
    return str(made["id"])


def activate_on(server: RunningServer, mirror: PlainWebServer, package_id: str) -> None:
    where = mirror.publish(server.package_folder(package_id))
    info = f"localhost:{server.https_port}/download"
    server.json("package", "activate", package_id, "--info-url", info, "--fragment-url", where)


def test_a_copied_folder_is_a_mirror(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "5")
    activate_on(server, mirror, package_id)
    mirror.requests.clear()  # the check of the activation
    server.assign(package_id, registered.device_id)
    registered.once()
    assert server.status(package_id, registered.device_id) == "SUCCESS"
    names = [f"{package_id}-{n}" for n in range(1, 6)] + ["fragments.sha256"]
    assert mirror.counts == {f"/download/{package_id}/{name}": 1 for name in names}


def test_info_and_fragments_from_a_plain_server_with_tls(
    server: RunningServer, registered: TrancheAgent, workshop: Path, tmp_path: Path
) -> None:
    """Nothing of ours serves here: the folder, a certificate of the CA, any web server."""
    folder = tmp_path / "site"
    folder.mkdir()
    with PlainWebServer(folder, certificate=server.certificate) as site:
        package_id = build(server, workshop, "--protocol", "https")
        where = site.publish(server.package_folder(package_id))
        server.json(
            "package",
            "activate",
            package_id,
            "--info-url",
            where,
            "--fragment-url",
            where,
            "--no-check",
        )
        server.assign(package_id, registered.device_id)
        registered.once()
        assert server.status(package_id, registered.device_id) == "SUCCESS"
        assert site.counts[f"/download/{package_id}/info"] == 1


def test_a_bad_fragment_is_fetched_again_alone(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "4")
    activate_on(server, mirror, package_id)
    path = f"/download/{package_id}/{package_id}-2"
    sound = (server.package_folder(package_id) / f"{package_id}-2").read_bytes()

    def lie_once(handler: BaseHTTPRequestHandler) -> None:
        mirror.faults[path] = sound
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(sound)))
        handler.end_headers()
        handler.wfile.write(bytes(len(sound)))

    mirror.faults[path] = lie_once
    mirror.requests.clear()
    server.assign(package_id, registered.device_id)
    registered.once()
    assert server.status(package_id, registered.device_id) == "SUCCESS"
    counts = mirror.counts
    assert counts.pop(path) == 2
    assert set(counts.values()) == {1}


def test_a_mirror_that_is_down_ends_nothing(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "2")
    activate_on(server, mirror, package_id)
    for number in (1, 2):
        mirror.faults[f"/download/{package_id}/{package_id}-{number}"] = 503
    server.assign(package_id, registered.device_id)
    waiting = registered.once(expect=3)
    assert package_id in waiting.stdout + waiting.stderr
    assert server.status(package_id, registered.device_id) == "NOTIFIED"
    mirror.faults.clear()
    registered.once()
    assert server.status(package_id, registered.device_id) == "SUCCESS"


def test_killed_between_fragments_it_resumes(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "8", "--priority", "1")
    activate_on(server, mirror, package_id)
    mirror.requests.clear()
    device_id = registered.device_id
    server.assign(package_id, device_id)
    server.cli("setting", "set", "DOWNLOAD_FRAG_LATENCY", "2", "--computer", device_id)
    process = registered.start("once")

    def fragments_on_disk() -> list[Path]:
        return [p for p in registered.state.rglob(f"{package_id}-*") if p.suffix != ".part"]

    try:
        wait_until(lambda: len(fragments_on_disk()) >= 3, "three fragments are there", seconds=60)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = len(fragments_on_disk())
    assert before < 8
    assert server.status(package_id, device_id) == "NOTIFIED"
    registered.once()
    assert server.status(package_id, device_id) == "SUCCESS"
    # Killed in a pause: every fragment was fetched once, by the first life or by the second.
    fragments = {path: n for path, n in mirror.counts.items() if "fragments" not in path}
    assert fragments == {f"/download/{package_id}/{package_id}-{n}": 1 for n in range(1, 9)}


def expected_order(packages: dict[str, tuple[int, int]], length: int = 10) -> list[str]:
    """The fragments in the order of contract.md 4, Moves: (priority, id) within a cycle."""
    done = dict.fromkeys(packages, 0)
    order: list[str] = []
    cycle = 0
    while any(done[each] <= count for each, (_, count) in packages.items()):
        cycle = cycle % length + 1
        alive = [each for each, (_, count) in packages.items() if done[each] <= count]
        alone = [each for each in alive if packages[each][0] == 0]
        moving = alone or [each for each in alive if cycle % packages[each][0] == 0]
        for each in sorted(moving, key=lambda each: (packages[each][0], each)):
            done[each] += 1
            if done[each] <= packages[each][1]:
                order.append(f"{each}-{done[each]}")
    return order


def test_the_order_of_moves_is_the_rule(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    packages = {}
    for priority, count in ((10, 2), (5, 3), (1, 7), (0, 3), (5, 2), (0, 2)):
        options = ("--fragments", str(count), "--priority", str(priority))
        package_id = build(server, workshop, *options)
        packages[package_id] = (priority, count)
        activate_on(server, mirror, package_id)
        server.assign(package_id, registered.device_id)
    mirror.requests.clear()
    registered.once()
    asked = [path.rpartition("/")[2] for path in mirror.requests]
    assert [name for name in asked if name != "fragments.sha256"] == expected_order(packages)


# What the outside sees when something is wrong.


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


def test_two_at_once_are_refused(
    server: RunningServer, registered: TrancheAgent, mirror: PlainWebServer, workshop: Path
) -> None:
    package_id = build(server, workshop, "--fragments", "4", "--priority", "1")
    activate_on(server, mirror, package_id)
    device_id = registered.device_id
    server.assign(package_id, device_id)
    server.cli("setting", "set", "DOWNLOAD_FRAG_LATENCY", "30", "--computer", device_id)
    process = registered.start("once")
    try:
        wait_until(lambda: mirror.requests, "the first one works", seconds=60)
        registered.once(expect=75)
    finally:
        process.kill()
        process.communicate()


def test_a_state_that_cannot_be_written(server: RunningServer, tmp_path: Path) -> None:
    agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
    shutil.rmtree(agent.state, ignore_errors=True)
    agent.state.write_text("a file where the folder should be")
    refused = agent.once(expect=4)
    assert str(agent.state) in refused.stderr
    assert "Traceback" not in refused.stderr

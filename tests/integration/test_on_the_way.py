"""What an administrator changes while a package is on its way, seen through real processes."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.processes import kill_tree
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("on_the_way")]

PIECES = 6


@pytest.fixture
def package(server: RunningServer, workshop: Path) -> str:
    """A package of some fragments that writes its first argument into a file."""
    script = f"#!/bin/sh\necho $1 >> {workshop}/ran\n"
    files = {"run.sh": script, "data": os.urandom(20_000)}
    archive = tar_gz(workshop / "a.tar.gz", files)
    return server.publish(
        f"on the way in {workshop}", "--action", "launch", "--file", archive,
        "--fragments", str(PIECES), "--command", "run.sh one",
    )  # fmt: skip


def reason(server: RunningServer, agent: TrancheAgent, package_id: str) -> str:
    shown = server.json("computer", "show", agent.device_id)
    (found,) = (each for each in shown["deployments"] if each["package"] == package_id)
    return str(found["reason"])


def in_mid_download(server: RunningServer, agent: TrancheAgent, package_id: str) -> None:
    """Assign it and let the agent fetch one fragment; then the plug is pulled."""
    computer = ("--computer", agent.device_id)
    server.cli("setting", "set", "DOWNLOAD_FRAG_LATENCY", "3600", *computer)
    server.assign(package_id, agent.device_id)
    folder = agent.state / "packages" / package_id
    process = agent.start("once")
    try:
        wait_until((folder / f"{package_id}-1").exists, "the first fragment is there")
    finally:
        kill_tree(process)
        process.communicate()
    server.cli("setting", "unset", "DOWNLOAD_FRAG_LATENCY", *computer)


def waiting(agent: TrancheAgent) -> str:
    """Why the only package waits, as `status` says it."""
    (package,) = agent.json("status")["packages"]
    return str(package["why"])


def test_an_edited_package_runs_as_it_was_edited(
    server: RunningServer, registered: TrancheAgent, package: str, workshop: Path
) -> None:
    in_mid_download(server, registered, package)
    done = server.try_cli("package", "edit", package, "--command", "run.sh two")
    assert done.status == 0
    assert "1 computer was told of the package before" in done.err
    registered.once()
    assert (workshop / "ran").read_text() == "two\n"
    assert server.status(package, registered.device_id) == "SUCCESS"
    (entry,) = [each for each in registered.json("history") if each["package"] == package]
    assert entry["revision"] == 2


def test_a_new_file_is_fetched_anew(
    server: RunningServer, registered: TrancheAgent, package: str, workshop: Path
) -> None:
    in_mid_download(server, registered, package)
    files = {"run.sh": f"#!/bin/sh\necho new $1 >> {workshop}/ran\n", "data": os.urandom(20_000)}
    server.cli("package", "edit", package, "--file", tar_gz(workshop / "b.tar.gz", files))
    registered.once()
    assert (workshop / "ran").read_text() == "new one\n"
    assert server.status(package, registered.device_id) == "SUCCESS"


def test_an_info_file_that_is_changed_on_the_computer_is_not_gone_by(
    server: RunningServer, registered: TrancheAgent, package: str, workshop: Path
) -> None:
    in_mid_download(server, registered, package)
    info = registered.state / "packages" / package / "info"
    served = info.read_bytes()
    info.write_bytes(served.replace(b"run.sh one", b"run.sh two"))
    assert info.read_bytes() != served
    registered.once()
    assert (workshop / "ran").read_text() == "one\n"
    assert server.status(package, registered.device_id) == "SUCCESS"


def test_switched_off_in_mid_download_waits_and_goes_on(
    server: RunningServer, registered: TrancheAgent, package: str, workshop: Path
) -> None:
    in_mid_download(server, registered, package)
    computer = ("--computer", registered.device_id)
    server.cli("setting", "set", "DOWNLOAD", "0", *computer)
    done = registered.once(expect=3)
    assert "deployment is switched off" in done.stdout
    assert "deployment is switched off" in waiting(registered)
    assert "switched off" in reason(server, registered, package)
    assert not (workshop / "ran").exists()
    server.cli("setting", "unset", "DOWNLOAD", *computer)
    registered.once()
    assert (workshop / "ran").read_text() == "one\n"


def test_a_priority_above_the_period_length_waits_for_a_longer_one(
    server: RunningServer, registered: TrancheAgent
) -> None:
    package_id = server.publish(
        "slow one", "--action", "execute", "--command", "true", "--priority", "10"
    )
    computer = ("--computer", registered.device_id)
    server.cli("setting", "set", "DOWNLOAD_PERIOD_LENGTH", "5", *computer)
    server.assign(package_id, registered.device_id)
    registered.once(expect=3)
    assert "priority 10 is above the period's length of 5 cycles" in waiting(registered)
    assert "priority 10 is above the period length 5" in reason(server, registered, package_id)
    server.cli("setting", "unset", "DOWNLOAD_PERIOD_LENGTH", *computer)
    registered.once()
    assert server.status(package_id, registered.device_id) == "SUCCESS"


def test_what_is_not_ready_in_time_ends_and_says_why(
    server: RunningServer, registered: TrancheAgent, package: str, workshop: Path
) -> None:
    in_mid_download(server, registered, package)
    server.cli("setting", "set", "DOWNLOAD_TIMEOUT", "2", "--computer", registered.device_id)
    record = registered.state / "packages" / package / "record.json"
    saved = json.loads(record.read_text())
    offered = datetime.now(UTC) - timedelta(days=2, minutes=1)
    record.write_text(json.dumps({**saved, "since": offered.isoformat()}))
    registered.once()
    assert server.status(package, registered.device_id) == "ERR_TIMEOUT"
    assert "offered more than 2 days ago" in reason(server, registered, package)
    assert not (workshop / "ran").exists()

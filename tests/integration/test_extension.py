"""What only our server and our agent say to each other, as processes over TLS."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.processes import kill_tree
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("extension")]


def deployment(server: RunningServer, agent: TrancheAgent, package_id: str) -> dict[str, Any]:
    shown = server.json("computer", "show", agent.device_id)
    (found,) = (each for each in shown["deployments"] if each["package"] == package_id)
    return dict(found)


def withdrawn(server: RunningServer, agent: TrancheAgent) -> list[tuple[str, str]]:
    shown = server.json("computer", "show", agent.device_id)
    return [(each["package"], each["word"]) for each in shown["withdrawn"]]


def reports(server: RunningServer, package_id: str) -> list[str]:
    """Every result of a package that the server ever took, in order."""
    with sqlite3.connect(server.data / "tranche.db") as database:
        rows = database.execute(
            "SELECT code FROM report WHERE package_id = ? ORDER BY id", [int(package_id)]
        ).fetchall()
    database.close()
    return [code for (code,) in rows]


def execute(server: RunningServer, name: str, command: str, *options: str) -> str:
    return server.publish(name, "--action", "execute", "--command", command, *options)


@contextmanager
def working(agent: TrancheAgent, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``deploy-agent once``, killed at the end where it has not ended."""
    process = agent.start("once", *options)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_tree(process)
        process.communicate()


def test_an_output_reaches_the_server(server: RunningServer, registered: TrancheAgent) -> None:
    command = "echo 'Zürich <b>'; echo no room >&2; exit 3"
    package_id = execute(server, "fails with words", command)
    server.assign(package_id, registered.device_id)
    registered.once()
    found = deployment(server, registered, package_id)
    assert (found["status"], found["state"], found["exit_code"]) == ("ERR_EXIT_CODE_3", "DONE", 3)
    assert found["output"] == "Zürich <b>\nno room\n"
    assert not found["truncated"]
    (entry,) = [each for each in registered.json("history") if each["package"] == package_id]
    assert entry["output"] == found["output"]
    assert "no room" in registered.run("history", package_id).stdout
    assert not (registered.state / "events.jsonl").exists()


def test_of_a_long_output_the_end_reaches_the_server(
    server: RunningServer, registered: TrancheAgent
) -> None:
    command = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    package_id = execute(server, "talks a lot", command)
    server.assign(package_id, registered.device_id)
    registered.once()
    found = deployment(server, registered, package_id)
    assert found["status"] == "SUCCESS"
    assert found["output"].endswith("line 19998\nline 19999\n")
    assert 60_000 < len(found["output"].encode()) <= 65_536
    assert found["truncated"]


def test_a_package_taken_back_in_mid_download_is_dropped_for_good(
    server: RunningServer, registered: TrancheAgent, workshop: Path
) -> None:
    ran = workshop / "ran"
    files = {"run.sh": f"#!/bin/sh\ntouch {ran}\n", "data": os.urandom(50_000)}
    archive = tar_gz(workshop / "a.tar.gz", files)
    package_id = server.publish(
        "taken back", "--action", "launch", "--file", archive, "--fragments", "20",
        "--command", "run.sh",
    )  # fmt: skip
    computer = ("--computer", registered.device_id)
    server.cli("setting", "set", "DOWNLOAD_FRAG_LATENCY", "3600", *computer)
    server.assign(package_id, registered.device_id)
    with working(registered):
        wait_until(
            lambda: "Downloading, 1 of 20" in deployment(server, registered, package_id)["reason"],
            "the server knows that a fragment is there",
        )
        assert "19" in json.dumps(registered.json("status")["packages"])
    server.cli("unassign", package_id, *computer)
    assert withdrawn(server, registered) == [(package_id, "")]
    registered.once()
    assert withdrawn(server, registered) == [(package_id, "stopped")]
    assert registered.json("status")["packages"] == []
    assert list((registered.state / "packages").iterdir()) == []
    registered.once()
    assert not ran.exists()
    assert reports(server, package_id) == []
    assert [each["code"] for each in registered.json("history")] == ["CANCELLED"]
    server.cli("setting", "unset", "DOWNLOAD_FRAG_LATENCY", *computer)
    server.assign(package_id, registered.device_id)
    registered.once()
    assert ran.exists()
    assert reports(server, package_id) == ["SUCCESS"]


def test_what_runs_when_it_is_taken_back_finishes(
    server: RunningServer, registered: TrancheAgent, workshop: Path
) -> None:
    begun, go = workshop / "begun", workshop / "go"
    package_id = execute(
        server, "runs on", f"touch {begun}; while [ ! -e {go} ]; do sleep 0.1; done"
    )
    server.assign(package_id, registered.device_id)
    with working(registered, "--no-wait") as process:
        wait_until(begun.exists, "the action runs")
        server.cli("unassign", package_id, "--computer", registered.device_id)
        assert withdrawn(server, registered) == [(package_id, "")]
        go.touch()
        assert process.wait(60) == 0
    assert withdrawn(server, registered) == [(package_id, "finished")]
    assert reports(server, package_id) == ["SUCCESS"]


def test_a_deleted_package_is_dropped(
    server: RunningServer, registered: TrancheAgent, workshop: Path
) -> None:
    ran = workshop / "ran"
    package_id = execute(server, "deleted", f"touch {ran}")
    options = ("--schedule", "2099/01/01 00:00")
    server.assign(package_id, registered.device_id, *options)
    registered.once(expect=3)
    found = deployment(server, registered, package_id)
    assert "scheduled for 2099/01/01 00:00" in found["reason"]
    assert "scheduled for 2099/01/01 00:00" in registered.run("status").stdout
    server.cli("package", "delete", package_id)
    registered.once()
    assert (package_id, "stopped") in withdrawn(server, registered)
    assert not ran.exists()


def test_another_attempt_at_what_failed_succeeds_once(
    server: RunningServer, registered: TrancheAgent, workshop: Path
) -> None:
    runs, repaired = workshop / "runs", workshop / "repaired"
    package_id = execute(server, "fails once", f"echo run >> {runs}; test -e {repaired}")
    server.assign(package_id, registered.device_id)
    refused = registered.run("retry", package_id)
    assert (refused.returncode, "did not end in an error" in refused.stderr) == (1, True)
    registered.once()
    before = deployment(server, registered, package_id)
    assert before["status"] == "ERR_EXIT_CODE_1"
    repaired.touch()
    done = registered.run("retry", package_id)
    assert done.returncode == 0, done.stderr
    waiting = deployment(server, registered, package_id)
    assert waiting["status"] == "WAITING"
    assert waiting["attempt"] > before["attempt"]
    assert str(waiting["attempt"]) in done.stdout
    registered.once()
    registered.once()
    assert deployment(server, registered, package_id)["status"] == "SUCCESS"
    assert reports(server, package_id) == ["ERR_EXIT_CODE_1", "SUCCESS"]
    assert runs.read_text() == "run\n" * 2
    again = registered.run("retry", package_id)
    assert (again.returncode, "did not end in an error" in again.stderr) == (1, True)
    nobody = registered.run("retry", "1799999999")
    assert (nobody.returncode, "is not assigned" in nobody.stderr) == (1, True)

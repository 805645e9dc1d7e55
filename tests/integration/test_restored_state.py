"""A state folder that comes back from a backup, with real processes: nothing runs a second time."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.processes import stop
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("restored_state")]

NOW, LATER = "UTC0", "XXX-14"  # by a local time that is 14 hours ahead every schedule has passed


@contextmanager
def daemon(agent: TrancheAgent) -> Iterator[None]:
    """``deploy-agent run``, until the block ends."""
    process = agent.start("run")
    try:
        yield
    finally:
        stop(process)
        process.communicate()


def ready(
    server: RunningServer, agent: TrancheAgent, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A package of which everything is done but the action, which waits for tonight."""
    monkeypatch.setenv("TZ", NOW)
    package_id = server.publish(
        f"for tonight on {agent.device_id}",
        "--action",
        "execute",
        "--command",
        f"echo ran >> {ran}",
    )
    tonight = datetime.now(UTC) + timedelta(hours=7)
    server.assign(package_id, agent.device_id, "--schedule", tonight.strftime("%Y/%m/%d %H:%M"))
    agent.once(expect=3)
    assert "scheduled for" in agent.run("status").stdout
    return package_id


@pytest.mark.parametrize("program", ["once", "run"])
def test_what_ended_before_is_dropped_with_a_reason(
    server: RunningServer,
    registered: TrancheAgent,
    workshop: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    ran, backup = workshop / "ran", workshop / "backup"
    package_id = ready(server, registered, ran, monkeypatch)
    shutil.copytree(registered.state, backup)
    monkeypatch.setenv("TZ", LATER)
    registered.once()
    assert (ran.read_text(), server.status(package_id, registered.device_id)) == (
        "ran\n",
        "SUCCESS",
    )

    shutil.rmtree(registered.state)
    backup.rename(registered.state)
    assert registered.json("status")["packages"], "it is there again, and due"
    if program == "once":
        registered.once()
    else:
        with daemon(registered):
            wait_until(
                lambda: not registered.json("status")["packages"], "it is dropped", seconds=60
            )
    (entry,) = registered.json("history")
    assert (entry["package"], entry["code"]) == (package_id, "CANCELLED")
    assert "knows its end" in entry["detail"]
    registered.once()
    assert (ran.read_text(), server.status(package_id, registered.device_id)) == (
        "ran\n",
        "SUCCESS",
    )


def test_what_was_not_over_runs_all_the_same(
    server: RunningServer,
    registered: TrancheAgent,
    workshop: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran, backup = workshop / "ran", workshop / "backup"
    package_id = ready(server, registered, ran, monkeypatch)
    shutil.copytree(registered.state, backup)
    shutil.rmtree(registered.state)
    backup.rename(registered.state)
    monkeypatch.setenv("TZ", LATER)
    registered.once()
    assert (ran.read_text(), server.status(package_id, registered.device_id)) == (
        "ran\n",
        "SUCCESS",
    )


def test_without_a_server_scheduled_work_is_done_as_ever(
    server: RunningServer,
    registered: TrancheAgent,
    workshop: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = workshop / "ran"
    package_id = ready(server, registered, ran, monkeypatch)
    config = registered.config.read_text("utf-8")
    registered.config.write_text(config.replace(server.https, "https://127.0.0.1:1"), "utf-8")
    monkeypatch.setenv("TZ", LATER)
    with daemon(registered):
        wait_until(ran.exists, "it runs on time", seconds=60)
    registered.config.write_text(config, "utf-8")
    registered.once()
    assert (ran.read_text(), server.status(package_id, registered.device_id)) == (
        "ran\n",
        "SUCCESS",
    )

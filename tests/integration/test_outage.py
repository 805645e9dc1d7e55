"""The server goes away while a package runs: its result waits until the server is back."""

from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("outage")]


def test_a_result_is_told_when_the_server_is_back(tmp_path: Path) -> None:
    ran, begun, go = (tmp_path / name for name in ("ran", "begun", "go"))
    command = (
        f"echo x >> '{ran}'; touch '{begun}'; until [ -e '{go}' ]; do sleep 0.05; done; exit 3"
    )
    server = RunningServer(tmp_path / "server")
    with server:
        agent = TrancheAgent(tmp_path / "agent", server.https, server.ca_file)
        agent.once()
        package_id = server.publish("x", "--action", "execute", "--command", command)
        server.assign(package_id, agent.device_id)
        working = agent.start("once", "--no-wait")
        try:
            wait_until(begun.exists, "the package runs", seconds=60)
            server.stop()
        finally:
            go.touch()
            output, _ = working.communicate(timeout=120)
    assert working.returncode == 1, output
    assert package_id in output
    assert server.status(package_id, agent.device_id) == "NOTIFIED"
    agent.once(expect=1)
    with server:
        agent.once()
    assert server.status(package_id, agent.device_id) == "ERR_EXIT_CODE_3"
    assert ran.read_text() == "x\n"

"""`deploy-agent run` as a process: what signals, kills and a second one do to it."""

import json
import signal
import subprocess
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest

from deploy_agent.wire.info import InfoFile, write_info
from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog, parse_request
from deploy_agent.wire.replies import (
    DownloadSettings,
    InventoryReply,
    PackageOffer,
    PrologReply,
    TrancheOption,
)
from deploy_agent.wire.terms import Action
from tests.support.agent import TrancheAgent
from tests.support.certificates import issue
from tests.support.processes import kill_tree, stop
from tests.support.waiting import wait_until
from tests.support.webfolder import PlainWebServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("agent_daemon")]

ID = "1800000001"


class Server(PlainWebServer):
    """Offers one EXECUTE package without a file, and keeps what agents say."""

    def __init__(self, folder: Path, certificate: Path) -> None:
        super().__init__(folder, certificate=certificate)
        self.reports: list[DownloadReport] = []
        self.prologs = 0
        self.command = "true"

    def publish(self, command: str) -> None:  # type: ignore[override]
        folder = self.folder / "download" / ID
        folder.mkdir(parents=True, exist_ok=True)
        info = InfoFile(ID, priority=1, action=Action.EXECUTE, target=command)
        (folder / "info").write_bytes(write_info(info))

    def answer_post(self, path: str, body: bytes) -> bytes | None:
        match parse_request(zlib.decompress(body)):
            case Prolog():
                self.prologs += 1
                location = f"{self.address}/download"
                offer = PackageOffer(ID, location, location, attempt=7, revision=1)
                reply = PrologReply(
                    send_inventory=False,
                    settings=DownloadSettings(cycle_latency_s=0, frag_latency_s=0),
                    offers=() if self.reports else (offer,),
                    tranche=TrancheOption(),
                )
                return zlib.compress(reply.to_bytes())
            case Inventory():
                return zlib.compress(InventoryReply().to_bytes())
            case DownloadReport() as report:
                self.reports.append(report)
        return b""

    @property
    def codes(self) -> list[str]:
        return [report.code for report in self.reports]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    certificate = issue("server", ca=True, san=("127.0.0.1",))
    (tmp_path / "ca.pem").write_bytes(certificate.pem())
    with Server(tmp_path / "server", certificate.save(tmp_path / "server.pem")) as running:
        yield running


@pytest.fixture
def agent(server: Server, tmp_path: Path) -> TrancheAgent:
    return TrancheAgent(tmp_path / "agent", f"https://{server.address}", tmp_path / "ca.pem")


@pytest.fixture
def daemons(agent: TrancheAgent) -> Iterator[list[subprocess.Popen[str]]]:
    """Daemons that a test starts; none survives it."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        kill_tree(process)
        if process.stdout is not None:
            process.stdout.close()


def start(agent: TrancheAgent, daemons: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    daemons.append(agent.start("run"))
    return daemons[-1]


def wait_for(path: Path) -> None:
    wait_until(path.exists, f"{path.name} is there", seconds=60)


def test_it_contacts_at_once_works_and_ends_with_0_on_sigterm(
    server: Server, agent: TrancheAgent, daemons: list[subprocess.Popen[str]]
) -> None:
    server.publish("true")
    process = start(agent, daemons)
    wait_until(lambda: server.codes, "the result is told", seconds=60)
    assert server.codes == ["SUCCESS"]
    assert agent.run("once").returncode == 75
    assert agent.json("status")["agent"] == "working"
    assert psutil.Process(process.pid).memory_info().rss < 60 * 2**20
    assert stop(process, seconds=5) == 0
    assert agent.json("status")["agent"] == "not running"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_action_outlives_its_daemon_and_is_reported_once(
    server: Server,
    agent: TrancheAgent,
    daemons: list[subprocess.Popen[str]],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    begun, go_on, runs = (tmp_path / name for name in ("begun", "go_on", "runs"))
    server.publish(
        f"echo x >> {runs}; touch {begun}; while [ ! -e {go_on} ]; do sleep 0.05; done; exit 7"
    )
    first = start(agent, daemons)
    wait_for(begun)
    first.send_signal(number)
    first.wait(10)
    second = start(agent, daemons)
    wait_until(lambda: server.prologs >= 2, "the second daemon is at work", seconds=60)
    assert server.codes == []
    go_on.touch()
    wait_until(lambda: server.codes, "the result is told", seconds=60)
    assert stop(second, seconds=5) == 0
    assert server.codes == ["ERR_EXIT_CODE_7"]
    assert runs.read_text() == "x\n"
    assert [entry["exit_code"] for entry in agent.json("history")] == [7]


def test_an_action_that_ends_while_no_daemon_lives_is_reported(
    server: Server, agent: TrancheAgent, daemons: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    server.publish(f"touch {begun}; while [ ! -e {go_on} ]; do sleep 0.05; done; echo done")
    first = start(agent, daemons)
    wait_for(begun)
    kill_tree(first)  # its children too, as far as they are still its children
    go_on.touch()
    result = agent.state / "packages" / ID / "run-1" / "result.json"
    wait_until(result.exists, "the action ended", seconds=60)
    start(agent, daemons)
    wait_until(lambda: server.codes, "the result is told", seconds=60)
    assert server.codes == ["SUCCESS"]
    assert agent.json("history")[0]["output"] == "done\n"


def test_stopped_in_mid_answer_it_ends_at_once(
    server: Server, agent: TrancheAgent, daemons: list[subprocess.Popen[str]]
) -> None:
    """Not even a server that sends nothing keeps it."""

    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(1)  # until the other side is gone

    server.faults["/ocsinventory"] = hang
    process = start(agent, daemons)
    wait_until(lambda: server.posts, "it has asked", seconds=60)
    assert stop(process, seconds=5) == 0


def test_a_state_that_becomes_unwritable_ends_it_with_4(
    server: Server, agent: TrancheAgent, daemons: list[subprocess.Popen[str]]
) -> None:
    agent.state.mkdir(parents=True)
    (agent.state / "server.json.part").mkdir()
    (agent.state / "server.json.part" / "x").mkdir()
    server.publish("true")
    process = start(agent, daemons)
    assert process.wait(60) == 4
    output = process.communicate()[0]
    assert "cannot be written" in output
    assert "Traceback" not in output


def test_the_record_is_json_for_people(
    server: Server, agent: TrancheAgent, daemons: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    server.publish(f"touch {begun}; sleep 5")
    start(agent, daemons)
    wait_for(begun)
    record = json.loads((agent.state / "packages" / ID / "record.json").read_text())
    assert (record["schema"], record["state"], record["exec_tries"]) == (1, "RUNNING", 1)
    (package,) = agent.json("status")["packages"]
    assert package["why"] == "its action runs"

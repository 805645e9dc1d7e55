"""Commands of a real `deploy-agent` on a real line: `check` by what is wrong, and Ctrl-C."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.certificates import Issued, issue
from tests.support.processes import BIN, kill_tree
from tests.support.server import RunningServer
from tests.support.waiting import wait_until
from tests.support.webfolder import PlainWebServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("agent_commands")]

HERE = ("127.0.0.1",)


def found(agent: TrancheAgent, *, status: int) -> dict[str, tuple[str, str]]:
    done = agent.run("check", "--json")
    assert done.returncode == status, done.stdout + done.stderr
    return {each["what"]: (each["level"], each["detail"]) for each in json.loads(done.stdout)}


# check


def test_a_computer_where_all_is_well(registered: TrancheAgent) -> None:
    seen = found(registered, status=0)
    assert "failed" not in {level for level, _ in seen.values()}
    assert seen["server"][1].endswith("answers as a deployment server does")
    assert seen["clock"][1] == "as the server's"
    assert "CA 'Tranche CA" in seen["ca_file"][1]


class Site:
    """A web server with a certificate, and an agent that is to believe it."""

    def __init__(self, folder: Path, certificate: Issued, trusted: Issued) -> None:
        (folder / "web").mkdir()
        self.web = PlainWebServer(folder / "web", certificate=certificate.save(folder / "key.pem"))
        (folder / "ca.pem").write_bytes(trusted.pem())
        address = f"https://{self.web.address}"
        self.agent = TrancheAgent(folder / "agent", address, folder / "ca.pem")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    running: list[Site] = []

    def make(certificate: Issued, trusted: Issued | None = None) -> Site:
        made = Site(tmp_path, certificate, trusted or certificate)
        made.web.__enter__()
        running.append(made)
        return made

    yield make
    for each in running:
        each.web.__exit__(None, None, None)


def by_ca(**options: timedelta | tuple[str, ...]) -> tuple[Issued, Issued]:
    root = issue("root", ca=True, ends=timedelta(days=400))
    return issue("server", by=root, **options), root  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: by_ca(san=("other.example.org",)), "not for '127.0.0.1'"),
        (lambda: by_ca(), "in its CN"),
        (lambda: by_ca(san=HERE, ends=timedelta(hours=-1)), "has expired"),
        (lambda: by_ca(san=HERE, begins=timedelta(days=1)), "not yet valid"),
        (lambda: (issue("x", san=HERE), issue("root", ca=True)), "not from a CA in"),
    ],
    ids=["wrong name", "no name", "expired", "not yet", "unknown CA"],
)
def test_why_tls_is_refused(
    site: Callable[..., Site], made: Callable[[], tuple[Issued, Issued]], words: str
) -> None:
    seen = found(site(*made()).agent, status=1)
    assert seen["server"][0] == "failed"
    assert words in seen["server"][1]


def test_a_port_without_tls(server: RunningServer, tmp_path: Path) -> None:
    address = f"https://localhost:{server.http_port}"
    agent = TrancheAgent(tmp_path / "agent", address, server.ca_file)
    assert "plain HTTP" in found(agent, status=1)["server"][1]


def test_a_clock_that_is_wrong(site: Callable[..., Site]) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(405)
        handler.send_header("Date", "Sat, 01 Jan 2000 00:00:00 GMT")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    made = site(issue("server", san=HERE, ends=timedelta(days=400)))
    made.web.faults["/ocsinventory"] = answer
    level, text = found(made.agent, status=1)["clock"]
    assert (level, "ahead of the server" in text) == ("failed", True)


# Ctrl-C


def test_ctrl_c_leaves_the_action_to_the_next_agent(
    server: RunningServer, registered: TrancheAgent, tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    command = f"touch {begun}; while [ ! -e {go_on} ]; do sleep 0.05; done; exit 6"
    execute = ["--action", "execute", "--command", command, "--priority", "1"]
    package_id = server.publish("interrupted", *execute)
    server.assign(package_id, registered.device_id)
    process = registered.start("once")
    try:
        wait_until(begun.exists, "the action began", seconds=60)
        os.kill(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    finally:
        kill_tree(process)
    assert process.returncode == 130, said
    lines = said.splitlines()
    assert "Stopped by Ctrl-C; nothing is lost." in lines
    assert f"{package_id}: its action goes on; the agent that runs next reports its result" in lines
    assert "Traceback" not in said
    assert "Aborted" not in said
    go_on.touch()
    registered.once()
    assert server.status(package_id, registered.device_id) == "ERR_EXIT_CODE_6"


# The journal


def test_under_systemd_lines_have_a_level_and_no_time(registered: TrancheAgent) -> None:
    reader, writer = os.pipe()
    status = os.fstat(writer)
    environ = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    command = [str(BIN / "deploy-agent"), *registered.arguments("once", "--no-wait")]
    done = subprocess.run(command, stderr=writer, env=environ, check=False)
    os.close(writer)
    with os.fdopen(reader) as stream:
        lines = stream.read().splitlines()
    assert done.returncode == 0
    assert lines
    assert all(line.startswith("<6>") and "INFO" not in line for line in lines), lines

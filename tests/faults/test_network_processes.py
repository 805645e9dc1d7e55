"""The same network, with a real server process, a real agent process, and a proxy in between."""

import base64
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.certificates import issue
from tests.support.fault_proxy import Exchange, Fault, FaultProxy, answer, server_at
from tests.support.faults import changed, cut, flipped, page, status
from tests.support.forward_proxy import ForwardProxy
from tests.support.processes import kill_tree
from tests.support.server import RunningServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("network")]

SIZE = 400_000
FRAGMENTS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("server")
    with RunningServer(folder, DEPLOY_SERVER_FETCH_ALLOW="127.0.0.1") as running:
        yield running.without_latencies()


@pytest.fixture
def central(server: RunningServer) -> Iterator[FaultProxy]:
    """Messages and info files."""
    upstream = server_at(f"localhost:{server.https_port}", server.ca_file)
    with FaultProxy(upstream, server.certificate) as proxy:
        yield proxy


@pytest.fixture
def site(server: RunningServer) -> Iterator[FaultProxy]:
    """Fragments."""
    with FaultProxy(server_at(f"localhost:{server.http_port}")) as proxy:
        yield proxy


@pytest.fixture
def agent(server: RunningServer, central: FaultProxy, tmp_path: Path) -> TrancheAgent:
    made = TrancheAgent(tmp_path / "agent", f"https://{central.address}", server.ca_file)
    made.once()
    return made


@pytest.fixture
def package(
    server: RunningServer,
    central: FaultProxy,
    site: FaultProxy,
    agent: TrancheAgent,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> str:
    """A package that stores a file, assigned, its files behind the proxies."""
    archive = tar_gz(tmp_path / "content.tar.gz", {"content": os.urandom(SIZE)})
    package_id = server.publish(
        request.node.name,
        *("--action", "store", "--file", archive, "--path", tmp_path / "stored"),
        *("--fragments", str(FRAGMENTS), "--priority", "1"),
        activate=(
            *("--info-url", f"{central.address}/download"),
            *("--fragment-url", f"{site.address}/download"),
        ),
    )
    server.assign(package_id, agent.device_id)
    for proxy in (central, site):
        proxy.requests.clear()
    return package_id


def configure(agent: TrancheAgent, **values: str) -> None:
    lines = [f"{name} = '{text}'" for name, text in values.items()]
    agent.config.write_text("\n".join([agent.config.read_text(), *lines, ""]))


# Faults on the way.


@pytest.mark.parametrize(
    "fault",
    [cut("headers"), cut("body"), cut("last", politely=True), status(503), changed(flipped)],
    ids=["headers", "body", "last byte", "503", "changed bit"],
)
def test_a_fault_that_passes_ends_in_success(
    server: RunningServer, site: FaultProxy, agent: TrancheAgent, package: str, fault: Fault
) -> None:
    site.fail(f"{package}-2", fault, fault, None)
    agent.once()
    assert server.status(package, agent.device_id) == "SUCCESS"
    asked = [site.asked(f"{package}-{number}") for number in range(1, FRAGMENTS + 1)]
    assert asked == [1, 3, 1, 1]


def test_bytes_that_stay_wrong_end_it(
    server: RunningServer, site: FaultProxy, agent: TrancheAgent, package: str, tmp_path: Path
) -> None:
    site.fail(f"{package}-2", changed(flipped))
    agent.once()
    assert server.status(package, agent.device_id) == "ERR_BAD_DIGEST"
    assert site.asked(f"{package}-2") == 5
    assert not (tmp_path / "stored").exists()


def test_a_site_that_is_gone_makes_it_wait(
    server: RunningServer, site: FaultProxy, agent: TrancheAgent, package: str
) -> None:
    site.go_away()
    done = agent.once(expect=3)
    assert "connection refused" in done.stdout
    assert "the port is the right one" in done.stderr
    assert server.status(package, agent.device_id) == "NOTIFIED"
    site.come_back()
    agent.once()
    assert server.status(package, agent.device_id) == "SUCCESS"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (page(), "makes no sense"),
        (status(302, Location="https://elsewhere.example.org/"), "elsewhere.example.org"),
        (cut("nothing"), "closed the connection|broke off|reset"),
        (status(503), "503"),
    ],
    ids=["page", "redirect", "cut", "503"],
)
def test_a_contact_without_an_answer_says_why(
    central: FaultProxy, agent: TrancheAgent, fault: Fault, words: str
) -> None:
    central.fail("/ocsinventory", fault)
    done = agent.once(expect=1)
    assert re.search(words, done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr


def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    ca = issue("CA", ca=True)
    day = timedelta(days=1)
    expired = issue("server", by=ca, san=("127.0.0.1",), begins=-9 * day, ends=-day)
    (tmp_path / "ca.pem").write_bytes(ca.pem())
    with FaultProxy(lambda exchange: answer(), expired.save(tmp_path / "expired.pem")) as impostor:
        url = f"https://{impostor.address}"
        agent = TrancheAgent(tmp_path / "careful", url, tmp_path / "ca.pem")
        done = agent.once(expect=1)
        assert "has expired" in done.stderr
        assert "deploy-server cert renew" in done.stderr
        assert impostor.requests == []


def test_what_our_server_says_about_plain_http_is_told(
    server: RunningServer, tmp_path: Path
) -> None:
    agent = TrancheAgent(tmp_path / "plain", server.http, server.ca_file)
    done = agent.once(expect=1)
    assert "agents may not report over plain HTTP here" in done.stderr
    assert "AGENTS_OVER_HTTP" in done.stderr


# Outages while a daemon works, and a daemon that has to stop.


def test_a_daemon_sits_an_outage_out(
    server: RunningServer, site: FaultProxy, agent: TrancheAgent, package: str
) -> None:
    def vanish(exchange: Exchange) -> None:
        site.go_away()

    site.fail(f"{package}-2", vanish, None)
    process = agent.start("run")
    try:
        wait_until(lambda: site.asked(f"{package}-2") > 0, "it asks for the second fragment")
        site.come_back()
        wait_until(lambda: server.status(package, agent.device_id) == "SUCCESS", "SUCCESS")
    finally:
        kill_tree(process)
        assert process.stdout is not None
        process.stdout.close()
    assert site.asked(f"{package}-1") == 1


def test_a_capped_download_stops_at_once_and_goes_on_later(
    server: RunningServer, site: FaultProxy, agent: TrancheAgent, package: str
) -> None:
    """At this rate the package takes 80 s; nobody has to wait for a piece, a sleep or a file."""
    configure(agent, max_rate="00:00-24:00 5K")
    process = agent.start("run")
    assert process.stdout is not None
    wait_until(lambda: site.asked(f"{package}-1") > 0, "it fetches the first fragment")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert time.monotonic() - began < 5
    process.stdout.close()
    agent.config.write_text(agent.config.read_text().replace("5K", "500M"))
    agent.once()
    assert server.status(package, agent.device_id) == "SUCCESS"


def test_a_cap_is_kept(server: RunningServer, agent: TrancheAgent, package: str) -> None:
    configure(agent, max_rate="00:00-12:00 200K, else 200K")
    began = time.monotonic()
    agent.once()
    assert time.monotonic() - began > 0.8 * SIZE / 200_000
    assert server.status(package, agent.device_id) == "SUCCESS"


# Ways to the server.


def test_a_web_server_that_wants_a_user(
    central: FaultProxy, agent: TrancheAgent, tmp_path: Path
) -> None:
    wanted = "Basic " + base64.b64encode(b"pc:p:w").decode()

    def guard(exchange: Exchange) -> bool:
        known = exchange.headers.get("authorization") == wanted
        exchange.send(exchange.honest if known else answer(401, WWW_Authenticate="Basic"))
        return True

    central.fail("/ocsinventory", guard)
    refused = agent.once(expect=1)
    assert "basic_auth_file" in refused.stderr
    (tmp_path / "auth").write_text("pc:p:w\n")
    configure(agent, basic_auth_file=str(tmp_path / "auth"))
    done = agent.once()
    assert "p:w" not in done.stderr + done.stdout + agent.run("config", "show").stdout


def test_a_proxy_with_a_password_that_nobody_gets_to_see(
    central: FaultProxy, agent: TrancheAgent, tmp_path: Path
) -> None:
    log = tmp_path / "agent.log"
    with ForwardProxy(central.address, user="me", password="s3cr3t/") as proxy:
        configure(agent, proxy=f"http://me:s3cr3t%2F@{proxy.address}", log_file=str(log))
        good = agent.once()
        assert len(proxy.requests) == 1
        text = agent.config.read_text().replace("s3cr3t", "wr0ng")
        agent.config.write_text(text)
        bad = agent.once(expect=1)
        assert "407" in bad.stderr
        shown = agent.run("config", "show").stdout
    told = good.stderr + good.stdout + bad.stderr + shown + log.read_text()
    assert "s3cr3t" not in told
    assert "wr0ng" not in told
    assert "http://me:...@" in shown

"""examples/production as it stands there: nginx before two servers on one PostgreSQL."""

import os
import re
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path

import pytest

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.ports import free_ports
from tests.support.processes import BIN, program, stop
from tests.support.production import EXAMPLES, configured
from tests.support.server import PASSWORD, RunningServer
from tests.support.waiting import wait_until


@dataclass
class Site:
    """Two servers behind nginx.

    Attributes:
        server: the first one, for commands.
        second: the data directory of the other one.
        http, https: the ports of nginx.
        behind: the HTTPS ports of the two.
        shared: where packages lie.
    """

    server: RunningServer
    second: Path
    http: int
    https: int
    behind: tuple[int, int]
    shared: Path

    def ask(self, port: int, method: str, path: str, **headers: str) -> HTTPResponse:
        if port in (self.https, *self.behind):
            context = ssl.create_default_context(cafile=str(self.server.ca_file))
            connection: HTTPConnection = HTTPSConnection("localhost", port, context=context)
        else:
            connection = HTTPConnection("localhost", port)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        connection.close()
        return response


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    databases = request.getfixturevalue("postgres_databases")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="production-")))
        url = stack.enter_context(databases.fresh(folder))
        nginx = program("nginx")
        http, https, http1, https1, http2, https2 = free_ports(6)
        trusted = {"DEPLOY_SERVER_TRUSTED_PROXIES": "127.0.0.1", "DEPLOY_SERVER_DATABASE_URL": url}
        server = RunningServer(folder, **trusted)
        server.http_port, server.https_port = http1, https1
        second, shared = folder / "second", folder / "shared"
        site = Site(server, second, http, https, (https1, https2), shared)
        for _ in range(2):
            layout = [str(EXAMPLES / "layout.sh"), str(server.data), str(shared), str(second)]
            subprocess.run(["sh", *layout], check=True)
        ports = {"8443": https1, "8444": https2, "8080": http1, "8081": http2}
        ports |= {"443": https, "80": http}
        log = f"access_log {folder}/access.log;"
        main = configured(folder, server.data, shared, ports, log)
        stack.enter_context(server.without_latencies())
        server.set(
            DOWNLOAD_URI_INFO=f"localhost:{https}/download",
            DOWNLOAD_URI_FRAG=f"localhost:{http}/download",
        )
        options = ["--http-port", str(http2), "--https-port", str(https2), "--bind", "127.0.0.1"]
        log = stack.enter_context((folder / "second.log").open("wb"))
        processes = [
            subprocess.Popen(
                [BIN / "deploy-server", "run", "--data", second, *options],
                env={**os.environ, **trusted},
                stdout=log,
                stderr=log,
            ),
            subprocess.Popen([nginx, "-c", str(main), "-e", str(folder / "errors.log")]),
        ]
        for process in processes:
            stack.callback(stop, process)
        for port in (https2, https):
            wait_until(lambda port=port: listens(port), f"{port} is answered", seconds=60)  # type: ignore[misc]
        yield site


@pytest.fixture
def package(site: Site, tmp_path: Path) -> str:
    """A package that is activated where nginx is."""
    tree = tar_gz(tmp_path / "tree.tar.gz", {"setup.sh": "#!/bin/sh\n", "f": os.urandom(50_000)})
    name = tmp_path.name
    options = ["--action", "launch", "--command", "setup.sh", "--file", tree, "--fragments", "3"]
    return site.server.publish(name, *options, activate=("--no-check",))


def requests(site: Site, port: int, kind: str) -> float:
    """What one of the servers counted."""
    text = site.ask(port, "GET", "/metrics").body.decode()  # type: ignore[attr-defined]
    found = re.findall(rf'tranche_requests_total{{kind="{kind}",status="200"}} (\S+)', text)
    return sum(map(float, found))


def test_an_agent_deploys_through_nginx(site: Site, package: str, tmp_path: Path) -> None:
    url = f"https://localhost:{site.https}"
    agents = [TrancheAgent(tmp_path / name, url, site.server.ca_file) for name in ("a", "b", "c")]
    for agent in agents:
        agent.once()
        site.server.assign(package, agent.device_id)
        agent.once()
        assert site.server.status(package, agent.device_id) == "SUCCESS"
    for port in site.behind:
        assert requests(site, port, "prolog") > 0, "both servers answer"
        assert requests(site, port, "fragment") == 0, "nginx sends packages itself"
        assert requests(site, port, "info") == 0
    shown = site.server.json("computer", "show", agents[0].device_id)
    assert shown["device_id"] == agents[0].device_id


def test_files_are_sent_as_agents_need_them(site: Site, package: str) -> None:
    fragment = f"/download/{package}/{package}-1"
    whole = site.ask(site.http, "GET", fragment)
    assert whole.status == 200
    assert int(whole.headers["Content-Length"]) == len(whole.body)  # type: ignore[attr-defined]
    assert whole.headers["Cache-Control"] == "max-age=3600"
    assert "ETag" not in whole.headers
    assert "Last-Modified" not in whole.headers
    later = {"If-Modified-Since": "Fri, 01 Jan 2038 00:00:00 GMT", "If-None-Match": "*"}
    assert site.ask(site.http, "GET", fragment, **later).status == 200
    part = site.ask(site.https, "GET", fragment, Range="bytes=10-19")
    assert (part.status, part.body) == (206, whole.body[10:20])  # type: ignore[attr-defined]
    listed = site.ask(site.https, "GET", f"/download/{package}/fragments.sha256")
    assert listed.headers["Content-Type"].startswith("text/plain")
    info = site.ask(site.https, "GET", f"/download/{package}/info")
    assert (info.status, info.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/login",
        "/metrics",
        "/healthz",
        "/download/1800000001/info",
        "/download/",
        "/server.toml",
    ],
)
def test_plain_http_has_fragments_only(site: Site, path: str) -> None:
    assert site.ask(site.http, "GET", path).status == 404


def test_nobody_reads_metrics_through_nginx(site: Site) -> None:
    assert site.ask(site.https, "GET", "/metrics").status == 404
    assert site.ask(site.https, "GET", "/download/../secret_key").status in (400, 404)
    assert site.ask(site.https, "GET", "/readyz").status == 200


def test_a_session_is_good_at_both_servers(site: Site) -> None:
    """Whoever logs in is logged in, whichever server is asked next."""
    import requests as web

    with web.Session() as person:
        person.trust_env = False  # a CA bundle of the environment would win
        person.verify = str(site.server.ca_file)
        page = person.get(f"https://localhost:{site.https}/login")
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        assert token is not None
        form = {"csrf_token": token[1], "name": "admin", "password": PASSWORD}
        here = {"Referer": page.url}
        assert person.post(page.url, data=form, headers=here).status_code == 200
        for _ in range(6):
            answer = person.get(f"https://localhost:{site.https}/packages", allow_redirects=False)
            assert answer.status_code == 200


def test_the_second_server_is_refused_without_postgresql(tmp_path: Path) -> None:
    server = RunningServer(tmp_path)
    done = subprocess.run(
        ["sh", EXAMPLES / "layout.sh", server.data, tmp_path / "s", tmp_path / "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "two servers need PostgreSQL" in done.stderr


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "deploy-server@1.service"
    text = (EXAMPLES / "deploy-server@.service").read_text()
    unit.write_text(text.replace("/opt/tranche/bin/", f"{BIN}/"))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "deploy-server" in line] == []
    assert done.returncode == 0

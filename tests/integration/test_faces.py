"""Three processes, one face each, on one database with a replica: build, contact, fetch, report."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.ports import free_ports
from tests.support.processes import BIN, stop
from tests.support.replica import Database, Pair
from tests.support.repository import ROOT
from tests.support.server import PASSWORD, RunningServer
from tests.support.waiting import wait_until

# One worker: two would each start a pair of databases and three servers.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faces")]

LAYOUT = ROOT / "examples" / "production" / "layout.sh"
FACES = ("comm", "files", "admin")


@dataclass
class Site:
    """The three of them.

    Attributes:
        server: for commands; its data directory is that of comm.
        pair: the database.
        folder: has the logs.
        http, https: the ports of each face.
    """

    server: RunningServer
    pair: Database
    folder: Path
    http: dict[str, int]
    https: dict[str, int]

    def get(self, face: str, path: str, scheme: str = "https", **options: object) -> str:
        """What a face answers: the status and the text."""
        port = getattr(self, scheme)[face]
        with self.session() as session:
            found = session.get(f"{scheme}://localhost:{port}{path}", timeout=20, **options)  # type: ignore[arg-type]
        return f"{found.status_code} {found.text}"

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # a CA bundle of the environment would win
        session.verify = str(self.server.ca_file)
        return session

    def log(self, face: str) -> str:
        return (self.folder / f"{face}.log").read_text()

    def counted(self, face: str, kind: str) -> float:
        """How many requests of a kind a process has answered well."""
        text = self.get(face, "/metrics")
        return sum(
            map(float, re.findall(rf'requests_total{{kind="{kind}",status="20\d"}} (\S+)', text))
        )


@pytest.fixture(scope="module")
def site(postgres_pair: Pair) -> Iterator[Site]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faces-")))
        pair = stack.enter_context(postgres_pair.database("faces"))
        urls = {
            "DEPLOY_SERVER_DATABASE_URL": pair.primary_url,
            "DEPLOY_SERVER_REPLICA_URL": pair.replica_url,
        }
        server = RunningServer(folder, DEPLOY_SERVER_FETCH_ALLOW="localhost", **urls)
        ports = free_ports(6)
        site = Site(server, pair, folder, dict(zip(FACES, ports[:3], strict=True)),
                    dict(zip(FACES, ports[3:], strict=True)))  # fmt: skip
        server.https_port, server.http_port = site.https["files"], site.http["files"]
        folders = {"comm": server.data, "files": folder / "files", "admin": folder / "admin"}
        for face in ("files", "admin"):
            layout = [str(LAYOUT), str(server.data), str(folder / "shared"), str(folders[face])]
            subprocess.run(["sh", *layout], check=True)
        server.without_latencies()
        for face in FACES:
            where = ["--http-port", site.http[face], "--https-port", site.https[face]]
            options = ["--faces", face, "--bind", "127.0.0.1", "--data", folders[face], *where]
            log = stack.enter_context((folder / f"{face}.log").open("wb"))
            process = subprocess.Popen(
                [BIN / "deploy-server", "run", *map(str, options)],
                env={**os.environ, **urls},
                stdout=log,
                stderr=log,
            )
            stack.callback(stop, process)
        for face in FACES:
            wait_until(lambda face=face: answers(site, face), f"{face} answers", seconds=60)  # type: ignore[misc]
        yield site


def answers(site: Site, face: str) -> bool:
    try:
        return site.get(face, "/readyz").startswith("200")
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def deployed(site: Site) -> str:
    """A package that an agent has got from the three of them."""
    tree = tar_gz(site.folder / "tree.tar.gz", {"setup.sh": "#!/bin/sh\n", "f": os.urandom(9000)})
    options = ["--action", "launch", "--command", "setup.sh", "--file", tree, "--fragments", "3"]
    package = site.server.publish("tree", *options, activate=site.server.locations())
    url = f"https://localhost:{site.https['comm']}"
    agent = TrancheAgent(site.folder / "agent", url, site.server.ca_file)
    agent.once()
    site.server.assign(package, agent.device_id)
    agent.once()
    assert site.server.status(package, agent.device_id) == "SUCCESS"
    return package


@pytest.fixture
def person(site: Site) -> Iterator[requests.Session]:
    """Somebody who is logged in at the console."""
    with site.session() as session:
        page = session.get(f"https://localhost:{site.https['admin']}/login", timeout=20)
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        assert token is not None
        form = {"csrf_token": token[1], "name": "admin", "password": PASSWORD}
        done = session.post(page.url, data=form, headers={"Referer": page.url}, timeout=20)
        assert done.status_code == 200, site.log("admin")
        yield session


def test_each_process_does_its_part_and_counts_it(site: Site, deployed: str) -> None:
    for face, kinds in (("comm", {"prolog", "report"}), ("files", {"info", "fragment"})):
        for kind in ("prolog", "report", "info", "fragment", "console"):
            assert bool(site.counted(face, kind)) is (kind in kinds), (face, kind)
    assert site.get("comm", "/readyz") == "200 database: ok\n"
    assert site.get("files", "/readyz") == "200 packages: ok\n"
    assert site.get("admin", "/readyz").endswith("replica: ok\n")


def test_no_process_answers_for_another(site: Site, deployed: str) -> None:
    fragment = f"/download/{deployed}/{deployed}-1"
    assert site.get("files", fragment, "http").startswith("200")
    for face, path in (
        ("comm", "/login"), ("comm", fragment), ("files", "/login"), ("files", "/ocsinventory"),
        ("admin", fragment), ("admin", "/ocsinventory"),
    ):  # fmt: skip
        assert site.get(face, path).startswith("404"), (face, path)
    with pytest.raises(requests.ConnectionError):
        site.get("admin", "/", "http")  # nothing of it is for plain HTTP


def test_the_console_shows_what_came(site: Site, deployed: str, person: requests.Session) -> None:
    console = f"https://localhost:{site.https['admin']}"

    def results() -> str:
        page = person.get(f"{console}/packages/{deployed}/results", timeout=20)
        assert page.status_code == 200
        return page.text

    before = site.pair.lists_read()
    wait_until(lambda: site.pair.lists_read()["replica"] > before["replica"] or not results(),
               "results are read from the replica")  # fmt: skip
    assert "SUCCESS" in results()
    site.pair.replica.halt()
    assert "SUCCESS" in results()
    assert "Lists are read from the primary; the replica: " in site.log("admin")
    assert site.get("admin", "/readyz").startswith("200")
    assert site.get("admin", "/readyz").endswith("replica: degraded\n")
    assert "tranche_replica_up 0.0" in site.get("admin", "/metrics")
    site.pair.replica.start()

"""Two servers that share nothing but PostgreSQL and a bucket: no disk, no memory, no stickiness."""

import hashlib
import random
import re
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import object_store
from tests.support.agent import TrancheAgent
from tests.support.archives import tar_gz
from tests.support.ports import free_ports
from tests.support.server import PASSWORD, RunningServer
from tests.support.waiting import wait_until

MIB = 1024**2


class Twin(RunningServer):
    """A second host: its own data directory, with the first one's configuration and keys."""

    def __init__(self, first: RunningServer, folder: Path) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        self.environ = {**first.environ, "DEPLOY_SERVER_DATA": str(self.data)}
        self.http_port, self.https_port = free_ports(2)
        self._process = None
        for name in ("staging", "uploads", "run"):
            (self.data / name).mkdir(parents=True)
        shutil.copytree(first.data / "certs", self.data / "certs")
        for name in ("server.toml", "secret_key"):
            shutil.copy(first.data / name, self.data / name)


class Person:
    """A person with a browser, logged in at one of the servers."""

    def __init__(self, server: RunningServer) -> None:
        self.web = requests.Session()
        self.web.trust_env = False
        self.web.verify = str(server.ca_file)
        page = self.web.get(f"{server.https}/login")
        form = {"csrf_token": self._token(page.text), "name": "admin", "password": PASSWORD}
        page = self.web.post(page.url, data=form, headers={"Referer": page.url})
        assert page.status_code == 200
        self.token = self._token(self.web.get(f"{server.https}/packages/build").text)

    def _token(self, text: str) -> str:
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
        assert found is not None
        return found[1]

    def headers(self, server: RunningServer) -> dict[str, str]:
        referer = {"Referer": f"{server.https}/"}
        return {"X-CSRFToken": self.token, "X-Requested-With": "fetch", **referer}

    def begin(self, server: RunningServer, name: str, length: int) -> str:
        form = {"name": name, "length": str(length)}
        answer = self.web.post(f"{server.https}/uploads", form, headers=self.headers(server))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def state(self, server: RunningServer, upload: str) -> Any:
        return self.web.get(f"{server.https}/uploads/{upload}").json()

    def put(self, server: RunningServer, upload: str, offset: int, piece: bytes) -> Any:
        digest = f"from={offset}; sha-256={hashlib.sha256(piece).hexdigest()}"
        headers = {"Upload-Offset": str(offset), "Upload-Digest": digest}
        url = f"{server.https}/uploads/{upload}"
        answer = self.web.put(url, piece, headers={**self.headers(server), **headers})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def begin_put(self, server: RunningServer, upload: str, offset: int, piece: bytes) -> None:
        """Send half of a piece and leave it so, until the connection ends."""
        cookies = "; ".join(f"{each.name}={each.value}" for each in self.web.cookies)
        lines = {
            "Host": f"localhost:{server.https_port}",
            "Cookie": cookies,
            "Content-Length": str(len(piece) * 2),
            "Upload-Offset": str(offset),
            **self.headers(server),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        context = ssl.create_default_context(cafile=str(server.ca_file))
        with (
            socket.create_connection(("localhost", server.https_port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as line,
        ):
            line.sendall(f"PUT /uploads/{upload} HTTP/1.1\r\n{head}\r\n".encode() + piece)
            try:
                while line.recv(4096):
                    continue
            except OSError:
                return


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def store(stack: ExitStack) -> object_store.ObjectStore:
    return stack.enter_context(object_store.running())


@pytest.fixture
def first(
    request: pytest.FixtureRequest,
    stack: ExitStack,
    store: object_store.ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> RunningServer:
    for name, value in object_store.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    databases = request.getfixturevalue("postgres_databases")
    url = stack.enter_context(databases.fresh(tmp_path))
    monkeypatch.setenv("DEPLOY_SERVER_PACKAGES", store.bucket())
    return RunningServer(
        tmp_path / "first", DEPLOY_SERVER_DATABASE_URL=url, DEPLOY_SERVER_FETCH_ALLOW="localhost"
    )


def test_two_hosts_one_bucket(
    first: RunningServer, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent to both in turns, past a kill -9, built by one, fetched from the other."""
    assert 'packages = "s3://tests-' in (first.data / "server.toml").read_text()
    monkeypatch.delenv("DEPLOY_SERVER_PACKAGES")
    second = Twin(first, tmp_path / "second")
    first.without_latencies().start()
    stack.callback(lambda: first._process and first.kill())
    stack.enter_context(second)
    person = Person(first)
    noise = random.Random(1).randbytes(17 * MIB)
    file = tar_gz(tmp_path / "tree.tar.gz", {"setup.sh": "#!/bin/sh\n", "noise": noise})
    data = file.read_bytes()
    upload = person.begin(first, "tree.tar.gz", len(data))
    offset = 0
    for server in (first, second, first):
        piece = data[offset : offset + 2 * MIB]
        offset = person.put(server, upload, offset, piece)["offset"]
    assert person.state(second, upload)["offset"] == 6 * MIB
    sending = threading.Thread(
        target=person.begin_put, args=(first, upload, offset, data[offset : offset + 9 * MIB])
    )
    sending.start()
    wait_until(
        lambda: person.state(second, upload)["offset"] == 14 * MIB, "a piece is in the bucket"
    )
    first.kill()
    sending.join(20)
    offset = person.state(second, upload)["offset"]
    assert offset == 14 * MIB
    assert person.put(second, upload, offset, data[offset:])["complete"] is True
    first.start()
    form = {"name": "Big", "os": "linux", "action": "LAUNCH", "target": "setup.sh", "priority": "5",
            "upload": upload, "do": "build", "csrf_token": person.token}  # fmt: skip
    answer = person.web.post(
        f"{first.https}/packages/build", form, headers={"Referer": f"{first.https}/"}
    )
    assert answer.status_code == 200, answer.text
    (package,) = first.json("package", "list")
    info = f"localhost:{first.https_port}/download"
    where = ("--info-url", info, "--fragment-url", f"localhost:{second.http_port}/download")
    first.json("package", "activate", package["id"], *where)
    agent = TrancheAgent(tmp_path / "agent", first.https, first.ca_file)
    agent.once()
    second.assign(package["id"], agent.device_id)
    agent.once()
    assert second.status(package["id"], agent.device_id) == "SUCCESS"
    assert "nothing to do" in first.try_cli("db", "sweep").err.lower()
    for server in (first, second):
        left = [path for name in ("staging", "uploads") for path in (server.data / name).iterdir()]
        assert left == []
        assert not (server.data / "download").exists() or not any(
            (server.data / "download").iterdir()
        )


def test_a_bucket_that_is_away(
    first: RunningServer, tmp_path: Path, store: object_store.ObjectStore
) -> None:
    """Contacts are answered; whoever wants a fragment is told when to come again."""
    noise = random.Random(1).randbytes(5 * MIB)
    tree = tar_gz(tmp_path / "a.tar.gz", {"a": noise})
    left = str(tmp_path / "left")
    with first.without_latencies():
        one = ("--fragments", "1")
        package = first.publish("X", "--action", "store", "--path", left, "--file", tree, *one)
        agent = TrancheAgent(tmp_path / "agent", first.https, first.ca_file)
        agent.once()
        first.assign(package, agent.device_id)
        fragment = f"{first.http}/download/{package}/{package}-1"
        answer = requests.get(fragment)
        assert answer.content == tree.read_bytes()
        assert answer.headers["Content-Length"] == str(tree.stat().st_size)
        assert answer.headers["Cache-Control"] == "max-age=3600"
        part = requests.get(fragment, headers={"Range": "bytes=-10"})
        assert (part.status_code, part.content) == (206, tree.read_bytes()[-10:])
        listed = requests.get(f"{first.http}/download/{package}/fragments.sha256").text
        assert listed == f"{hashlib.sha256(tree.read_bytes()).hexdigest()}  {package}-1\n"
        assert requests.get(fragment[:-1] + "2").status_code == 404
        assert first.get("/readyz").read() == b"database: ok\npackages: ok\nstorage: ok\n"
        store.stop()
        answer = requests.get(fragment)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "30"
        # Strangers may ask; where the bucket is stands in the log.
        assert store.endpoint not in answer.text
        assert "cannot be read now" in answer.text
        assert "cannot be reached" in first.log.read_text()
        ready = requests.get(f"{first.https}/readyz", verify=str(first.ca_file))
        assert (ready.status_code, ready.text) == (
            503,
            "database: ok\npackages: not ready\nstorage: ok\n",
        )
        agent.once(expect=3)
        assert first.status(package, agent.device_id) == "NOTIFIED"
        refused = first.try_cli("package", "delete", package)
        assert refused.status == 1
        assert "cannot be reached" in refused.err
        first.stop()
        # It starts without its bucket, too.
        first.start()
        assert first.get("/healthz").status == 200
        wait_until(lambda: "Left for tomorrow" in first.log.read_text(), "it says so")

"""`deploy-server run` as processes: who starts, who answers, who comes back, who is left over."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pytest

from deploy_server.config import load
from deploy_server.services import certificates
from deploy_server.services.certificates import CertificateStore
from tests.support.cli import Cli
from tests.support.processes import kill_tree, stop, tree
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

MIB = 1024 * 1024


class Stub:
    """The stub server of tests/support, running on a data directory of its own."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self.file = folder / "fragment"
        self.workers = workers
        self.connections: list[HTTPConnection] = []
        self.file.write_bytes(os.urandom(MIB))
        Cli(self.data).ok("init", "--host", "localhost")
        self.store = CertificateStore(self.data / "certs")

    def start(self) -> Self:
        """Start it; returns when it says that everything answers."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.stub_server", self.data, str(self.workers)],
                env={**os.environ, "STUB_FILE": str(self.file), "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._announced, "it says that it answers")
        ports = json.loads((self.data / "run" / "listening.json").read_text())
        self.http_port, self.https_port = ports["http_port"], ports["https_port"]
        return self

    def _announced(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return "CA for the agents" in self.log.read_text()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self.connections:
            connection.close()
        if self.process.poll() is None:
            kill_tree(self.process)

    def https(self) -> HTTPConnection:
        context = ssl.create_default_context(cafile=str(self.store.ca_file))
        return self._kept(
            HTTPSConnection("localhost", self.https_port, timeout=30, context=context)
        )

    def http(self) -> HTTPConnection:
        return self._kept(HTTPConnection("127.0.0.1", self.http_port, timeout=30))

    def _kept(self, connection: HTTPConnection) -> HTTPConnection:
        self.connections.append(connection)
        return connection

    def get(self, path: str, connection: HTTPConnection | None = None) -> bytes:
        connection = connection or self.http()
        connection.request("GET", path)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, (answer.status, data)
        return data

    def worker(self, scheme: str) -> int:
        connection = self.https() if scheme == "https" else self.http()
        pid, answered = self.get("/pid", connection).decode().split()
        assert answered == scheme
        return int(pid)

    def serial(self) -> int:
        """The serial number of the certificate that a new client is shown."""
        with socket.create_connection(("127.0.0.1", self.https_port)) as plain:
            context = ssl.create_default_context(cafile=str(self.store.ca_file))
            with context.wrap_socket(plain, server_hostname="localhost") as stream:
                shown: dict[str, Any] = stream.getpeercert() or {}
        return int(shown["serialNumber"], 16)

    def renew(self) -> int:
        certificates.renew(self.store, [], None, datetime.now(UTC))
        return self.store.chain()[0].serial_number


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Stub]:
    with Stub(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stub]:
    """One for the tests that leave it as it was."""
    with Stub(tmp_path_factory.mktemp("shared")) as running:
        yield running


def shows(stub: Stub, serial: int) -> None:
    wait_until(lambda: stub.serial() == serial, "a new client sees the new certificate")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_both_ports_answer_and_the_log_says_where(shared: Stub) -> None:
    https, plain = shared.worker("https"), shared.worker("http")
    assert len({https, plain, shared.process.pid}) == 3
    log = shared.log.read_text()
    assert f"Console: https://localhost:{shared.https_port}/\n" in log
    assert f"fragments: http://localhost:{shared.http_port}/download\n" in log
    assert load(shared.data, {}).in_use().https_port == shared.https_port


def test_only_one_server_for_a_directory(shared: Stub) -> None:
    second = Cli(shared.data)
    assert f"another server runs in {shared.data}" in second.refused("run", "--bind", "127.0.0.1")
    assert shared.worker("https")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything(stub: Stub, number: signal.Signals) -> None:
    idle = stub.http()
    stub.get("/pid", idle)
    family = tree(stub.process.pid)
    stub.process.send_signal(number)
    assert stub.process.wait(10) == 0
    assert not [each for each in family if each.is_running()]
    assert not listens(stub.http_port)
    assert "Stopped" in stub.log.read_text()
    assert not list((stub.data / "run").glob("tls-*"))


def test_who_is_being_answered_is_answered_before_the_end(stub: Stub) -> None:
    with ThreadPoolExecutor(1) as pool:
        connection = stub.https()
        connection.connect()
        answer = pool.submit(stub.get, "/long?seconds=1", connection)
        wait_until(lambda: stub.worker("http"), "the request is under way")
        assert stop(stub.process) == 0
        assert answer.result() == b"done"


def test_nobody_outlives_a_parent_that_was_killed(stub: Stub) -> None:
    family = tree(stub.process.pid)
    assert len(family) == 3
    stub.process.kill()
    stub.process.wait()
    wait_until(lambda: not any(each.is_running() for each in family[1:]), "its children ended")
    assert not listens(stub.https_port)
    with stub:
        assert stub.worker("https")


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_worker_that_crashed_comes_back(stub: Stub, scheme: str) -> None:
    before = stub.worker(scheme)
    os.kill(before, signal.SIGKILL)
    # The socket is the parent's: who comes meanwhile waits, and is answered.
    assert stub.worker(scheme) != before
    assert "was ended by signal 9; another one starts" in stub.log.read_text()


def test_a_new_certificate_is_used_without_a_restart_and_drops_nobody(stub: Stub) -> None:
    stop_asking = threading.Event()
    answered: list[int] = []

    def ask_all_the_time() -> None:
        while not stop_asking.is_set():
            stub.get("/pid", stub.https())
            answered.append(1)

    with ThreadPoolExecutor(4) as pool:
        askers = [pool.submit(ask_all_the_time) for _ in range(3)]
        under_way = pool.submit(stub.get, "/long?seconds=2", stub.https())
        try:
            for _ in range(3):
                shows(stub, stub.renew())
        finally:
            stop_asking.set()
        for asker in askers:
            asker.result()
        assert under_way.result() == b"done"
    assert len(answered) > 10
    wait_until(lambda: len(tree(stub.process.pid)) == 3, "the old workers left")


def test_a_certificate_that_cannot_work_is_not_used(stub: Stub) -> None:
    before, worker = stub.serial(), stub.worker("https")
    stub.store.server_file.write_text("nothing")
    wait_until(lambda: "The old certificate stays in use" in stub.log.read_text(), "it says so")
    assert (stub.serial(), stub.worker("https")) == (before, worker)
    os.kill(worker, signal.SIGKILL)
    certificates.renew(stub.store, ["localhost"], None, datetime.now(UTC))
    shows(stub, stub.store.chain()[0].serial_number)


def test_several_workers_share_the_ports(tmp_path: Path) -> None:
    with Stub(tmp_path, workers=2) as stub:
        assert len(tree(stub.process.pid)) == 5
        seen: set[int] = set()

        def both_answered() -> bool:
            seen.add(stub.worker("https"))
            return len(seen) == 2

        wait_until(both_answered, "both workers answer")


# Starting


def test_an_address_that_is_taken_is_one_line(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    cli.ok("init")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        options = ["--bind", "127.0.0.1", "--http-port", "0", "--https-port", str(port)]
        assert f"port {port} of 127.0.0.1 is taken by another program" in cli.refused(
            "run", *options
        )


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("server.toml", "is not initialised"),
        ("secret_key", "secret_key is missing. Restore it"),
        ("certs/server.pem", "there is no certificate"),
    ],
)
def test_what_is_missing_is_one_line(tmp_path: Path, missing: str, says: str) -> None:
    cli = Cli(tmp_path / "data")
    cli.ok("init")
    (cli.data / missing).unlink()
    assert says in cli.refused(
        "run", "--bind", "127.0.0.1", "--http-port", "0", "--https-port", "0"
    )


def test_a_certificate_that_ends_is_a_warning(tmp_path: Path) -> None:
    stub = Stub(tmp_path)
    long_ago = datetime.now(UTC) - timedelta(days=900)
    certificates.renew(stub.store, [], None, long_ago)
    with stub:
        assert "WARNING The certificate CN=localhost ended on" in stub.log.read_text()
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            stub.worker("https")


# Bodies and slow clients


def memory(stub: Stub) -> int:
    """The resident memory of the server's processes, MiB."""
    return max(each.memory_info().rss for each in tree(stub.process.pid)) // MIB


def test_a_large_upload_stays_out_of_memory(stub: Stub) -> None:
    idle, peak = memory(stub), 0
    connection = stub.https()
    connection.putrequest("PUT", "/upload")
    connection.putheader("Content-Length", str(300 * MIB))
    connection.endheaders()
    for _ in range(300):
        connection.send(bytes(MIB))
        peak = max(peak, memory(stub))
    answer = connection.getresponse().read().decode()
    assert answer.split()[0] == str(300 * MIB)
    assert peak - idle < 40, f"{idle} MiB idle, {peak} MiB while 300 MiB came"


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_too_much_is_refused_before_it_is_sent(shared: Stub, scheme: str) -> None:
    connection = shared.https() if scheme == "https" else shared.http()
    connection.putrequest("POST", "/form")
    connection.putheader("Content-Length", str(300 * MIB))
    connection.endheaders()
    connection.send(bytes(MIB))
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.getheader("Connection") == "close"


def test_who_sends_on_still_reads_the_refusal(shared: Stub) -> None:
    connection = shared.http()
    connection.request("POST", "/form", body=bytes(30 * MIB))
    assert connection.getresponse().status == 413


def test_files_have_their_length_and_come_in_ranges(shared: Stub) -> None:
    data = shared.file.read_bytes()
    connection = shared.https()
    assert shared.get("/file", connection) == data
    connection.request("HEAD", "/file")
    answer = connection.getresponse()
    assert (answer.read(), answer.getheader("Content-Length")) == (b"", str(MIB))
    connection.request("GET", "/file", headers={"Range": "bytes=500000-"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (206, data[500_000:])
    assert answer.getheader("Content-Range") == f"bytes 500000-{MIB - 1}/{MIB}"


def test_clients_that_sleep_stop_nobody(shared: Stub) -> None:
    """More of each kind than there are threads: in mid-handshake, -header, -body and -answer."""
    asleep = {
        "handshake": (shared.https_port, b""),
        "headers": (shared.http_port, b"GET / HTTP/1.1\r\nHo"),
        "body": (shared.http_port, b"POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na"),
        "answer": (shared.http_port, b"GET /file HTTP/1.1\r\nHost: h\r\n\r\n"),
    }
    sleepers = []
    for port, data in asleep.values():
        for _ in range(50):
            sleeper = socket.create_connection(("127.0.0.1", port))
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sleeper.sendall(data)
            sleepers.append(sleeper)
    assert shared.worker("https")
    assert shared.worker("http")
    assert shared.get("/file", shared.https()) == shared.file.read_bytes()
    for sleeper in sleepers:
        sleeper.close()


def test_what_is_no_http_gets_400_and_harms_nobody(shared: Stub) -> None:
    for data in (b"\x16\x03\x01\x02garbage\r\n\r\n", b"GET\r\n\r\n", b"\x00" * 1000 + b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", shared.http_port), 10) as raw:
            raw.sendall(data)
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert shared.worker("http")
    assert psutil.pid_exists(shared.process.pid)

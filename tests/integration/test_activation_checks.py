"""What is found at the places of an activation, said in words; and what is not even fetched."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from deploy_server.config import ServerConfig
from deploy_server.domain.errors import SpecErrors, StorageError
from deploy_server.services import looking
from deploy_server.services.activation import Check, check_locations
from deploy_server.storage.fragments import LocalFragmentStore
from deploy_server.storage.models import Package
from tests.support.archive_bytes import tar_gz
from tests.support.certificates import Issued, issue
from tests.support.packages import COMMAND, LAUNCH, build
from tests.support.ports import free_port
from tests.support.webfolder import PlainWebServer

ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n" * 1000})


@pytest.fixture
def authority() -> Issued:
    return issue("tests' CA", ca=True)


@pytest.fixture
def config(tmp_path: Path, authority: Issued) -> ServerConfig:
    """Both test servers are listed, as an administrator with a reason would."""
    config = ServerConfig(tmp_path, fetch_allow=("127.0.0.1", "localhost"))
    config.certs.mkdir()
    (config.certs / "cacert.pem").write_bytes(authority.pem())
    return config


@pytest.fixture
def store(config: ServerConfig) -> LocalFragmentStore:
    return LocalFragmentStore(config.download, config.staging)


@pytest.fixture
def sqlite_session(sqlite_databases: object, tmp_path: Path) -> Iterator[Session]:
    from deploy_server.storage.database import make_engine, session_factory

    folder = tmp_path / "database"
    folder.mkdir()
    with sqlite_databases.fresh(folder) as url:  # type: ignore[attr-defined]
        engine = make_engine(url)
        with session_factory(engine)() as session:
            yield session
        engine.dispose()


@pytest.fixture
def package(sqlite_session: Session, store: LocalFragmentStore) -> Package:
    return build(sqlite_session, store, LAUNCH, ARCHIVE)


@pytest.fixture
def http(tmp_path: Path, config: ServerConfig, package: Package) -> Iterator[PlainWebServer]:
    (tmp_path / "plain").mkdir()
    with PlainWebServer(tmp_path / "plain") as server:
        server.publish(config.download / str(package.id))
        yield server


def tls_server(tmp_path: Path, certificate: Issued, *chain: Issued) -> PlainWebServer:
    folder = tmp_path / "tls"
    folder.mkdir()
    return PlainWebServer(folder, certificate=certificate.save(tmp_path / "server.pem", *chain))


@pytest.fixture
def https(
    tmp_path: Path, config: ServerConfig, package: Package, authority: Issued
) -> Iterator[PlainWebServer]:
    certificate = issue("server", by=authority, san=("127.0.0.1", "localhost"))
    with tls_server(tmp_path, certificate) as server:
        server.publish(config.download / str(package.id))
        yield server


class Looking:
    """Looks at two places of a package."""

    def __init__(self, config: ServerConfig, store: LocalFragmentStore, package: Package) -> None:
        self.config, self.store, self.package = config, store, package

    def __call__(self, info: str, fragments: str) -> list[Check]:
        return check_locations(self.config, self.store, self.package, info, fragments)

    def info(self, place: str) -> Check:
        return self(place, "127.0.0.1:1/x")[0]

    def fragment(self, place: str) -> Check:
        return self("127.0.0.1:1/x", place)[1]


@pytest.fixture
def look(config: ServerConfig, store: LocalFragmentStore, package: Package) -> Looking:
    return Looking(config, store, package)


def test_everything_is_there(
    look: Looking, http: PlainWebServer, https: PlainWebServer, package: Package
) -> None:
    checks = look(f"{https.address}/download", f"{http.address}/download")
    assert [check.ok for check in checks] == [True, True]
    assert checks[0].url == f"https://{https.address}/download/{package.id}/info"
    assert checks[1].url == f"http://{http.address}/download/{package.id}/{package.id}-1"
    assert checks[1].sentence == f"{package.id}-1 is there and the same as ours."
    assert https.requests == [f"/download/{package.id}/info"]
    assert http.requests == [f"/download/{package.id}/{package.id}-1"]


def test_a_command_has_only_its_info(
    look: Looking, https: PlainWebServer, sqlite_session: Session, store: LocalFragmentStore
) -> None:
    look.package = build(sqlite_session, store, COMMAND, name="command")
    https.publish(store.download / str(look.package.id))
    (check,) = look(f"{https.address}/download", "nobody.invalid/x")
    assert check.ok


def test_fragments_over_https(
    look: Looking, https: PlainWebServer, sqlite_session: Session, store: LocalFragmentStore
) -> None:
    look.package = build(sqlite_session, store, LAUNCH, ARCHIVE, name="tls", protocol="HTTPS")
    https.publish(store.download / str(look.package.id))
    assert all(check.ok for check in look(*[f"{https.address}/download"] * 2))


def test_nothing_is_there(look: Looking, http: PlainWebServer, package: Package) -> None:
    check = look.fragment(f"{http.address}/elsewhere")
    assert not check.ok
    assert check.sentence.startswith(f"There is no {package.id}-1 (404): copy the folder")


def test_other_bytes(look: Looking, http: PlainWebServer, package: Package) -> None:
    path = f"/download/{package.id}/{package.id}-1"
    ours = look.store.path(package.id, f"{package.id}-1").read_bytes()
    for other in (b"<html>not found</html>", ours + b"x", b"x" + ours[1:], ours[:-1]):
        http.faults[path] = other
        assert "another" in look.fragment(f"{http.address}/download").sentence


@pytest.mark.parametrize("status", [403, 500, 304, 204])
def test_another_status(look: Looking, http: PlainWebServer, package: Package, status: int) -> None:
    http.faults[f"/download/{package.id}/{package.id}-1"] = status
    check = look.fragment(f"{http.address}/download")
    assert f"answers {status}" in check.sentence


def test_redirects_are_not_followed(look: Looking, http: PlainWebServer, package: Package) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"http://{http.address}/secret")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    http.faults[f"/download/{package.id}/{package.id}-1"] = redirect
    assert "redirects to" in look.fragment(f"{http.address}/download").sentence
    assert http.counts["/secret"] == 0


def test_an_answer_without_a_length(look: Looking, http: PlainWebServer, package: Package) -> None:
    def without(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"x")

    http.faults[f"/download/{package.id}/{package.id}-1"] = without
    assert "Content-Length" in look.fragment(f"{http.address}/download").sentence


def test_no_http_at_all(look: Looking, http: PlainWebServer, package: Package) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    http.faults[f"/download/{package.id}/{package.id}-1"] = nonsense
    assert "does not answer" in look.fragment(f"{http.address}/download").sentence


def test_nobody_listens(look: Looking) -> None:
    check = look.fragment(f"127.0.0.1:{free_port()}/download")
    assert "Connection refused" in check.sentence


def test_an_unknown_name(look: Looking) -> None:
    assert "is not known here" in look.info("nobody.invalid/download").sentence


def test_one_who_drips_is_left(
    look: Looking, http: PlainWebServer, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "DEADLINE_S", 0.3)
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.02):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    http.faults[f"/download/{package.id}/{package.id}-1"] = drip
    begun = time.monotonic()
    try:
        assert not look.fragment(f"{http.address}/download").ok
    finally:
        over.set()
    assert time.monotonic() - begun < 3


def test_one_who_says_nothing_is_left(
    look: Looking, http: PlainWebServer, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "TIMEOUT_S", 0.2)
    over = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        over.wait(5)

    http.faults[f"/download/{package.id}/{package.id}-1"] = silent
    check = look.fragment(f"{http.address}/download")
    over.set()
    assert "does not answer in time" in check.sentence


# Certificates


def test_a_foreign_ca(look: Looking, tmp_path: Path) -> None:
    other = issue("other CA", ca=True)
    with tls_server(tmp_path, issue("x", by=other, san=("127.0.0.1",)), other) as server:
        sentence = look.info(f"{server.address}/download").sentence
    assert "does not come from this server's CA" in sentence


def test_a_self_signed_certificate_that_is_pinned(
    look: Looking, tmp_path: Path, config: ServerConfig
) -> None:
    own = issue("x", san=("127.0.0.1",))
    (config.certs / "cacert.pem").write_bytes(own.pem())
    with tls_server(tmp_path, own) as server:
        server.publish(config.download / str(look.package.id))
        assert look.info(f"{server.address}/download").ok


def test_another_name(look: Looking, tmp_path: Path, authority: Issued) -> None:
    with tls_server(tmp_path, issue("x", by=authority, san=("a.example",))) as server:
        assert "for other names" in look.info(f"{server.address}/download").sentence


def test_an_expired_certificate(look: Looking, tmp_path: Path, authority: Issued) -> None:
    old = issue("x", by=authority, san=("127.0.0.1",), begins=timedelta(-9), ends=timedelta(-1))
    with tls_server(tmp_path, old) as server:
        assert "not valid today" in look.info(f"{server.address}/download").sentence


def test_the_port_of_plain_http(look: Looking, http: PlainWebServer) -> None:
    assert "port of plain HTTP" in look.info(f"{http.address}/download").sentence


def test_our_own_ca_is_missing(look: Looking, config: ServerConfig) -> None:
    (config.certs / "cacert.pem").unlink()
    with pytest.raises(StorageError, match="CA"):
        look.info("a.example/x")


# What is not fetched


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.9.9.9", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_not_fetched(look: Looking, http: PlainWebServer, host: str) -> None:
    look.config = replace(look.config, fetch_allow=())
    port = http.address.partition(":")[2]
    check = look.fragment(f"{host}:{port}/download")
    assert not check.ok
    assert "is not fetched" in check.sentence
    assert http.requests == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "224.0.0.1"])
def test_link_local_is_not_fetched(look: Looking, host: str) -> None:
    assert "is not fetched" in look.fragment(f"{host}/latest").sentence


@pytest.mark.parametrize("bind", ["", "0.0.0.0", "::", "127.0.0.1"])
def test_where_this_server_listens_is_fetched(
    look: Looking, http: PlainWebServer, bind: str
) -> None:
    port = int(http.address.partition(":")[2])
    look.config = replace(look.config, fetch_allow=(), bind=bind, http_port=port)
    assert look.fragment(f"{http.address}/download").ok


def test_other_ports_of_this_machine_are_not(look: Looking, http: PlainWebServer) -> None:
    look.config = replace(look.config, fetch_allow=(), http_port=free_port())
    assert "is not fetched" in look.fragment(f"{http.address}/download").sentence


def test_an_address_it_does_not_listen_on_is_not(look: Looking, http: PlainWebServer) -> None:
    port = int(http.address.partition(":")[2])
    look.config = replace(look.config, fetch_allow=(), bind="192.0.2.1", http_port=port)
    assert "is not fetched" in look.fragment(f"{http.address}/download").sentence


def test_one_port_may_be_listed(look: Looking, http: PlainWebServer) -> None:
    look.config = replace(look.config, fetch_allow=(http.address,))
    assert look.fragment(f"{http.address}/download").ok
    look.config = replace(look.config, fetch_allow=("127.0.0.1:1",))
    assert not look.fragment(f"{http.address}/download").ok


def test_a_name_is_resolved_once(
    look: Looking, http: PlainWebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere when it is asked again finds nobody asking again."""
    answers = iter(["127.0.0.1"])
    real = socket.getaddrinfo

    def once(host: str, *rest: Any, **more: Any) -> Any:
        if host == "rebind.example":
            host = next(answers)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    look.config = replace(look.config, fetch_allow=("rebind.example",))
    port = http.address.partition(":")[2]
    assert look.fragment(f"rebind.example:{port}/download").ok


def test_wrong_places_are_told_before_anything_is_fetched(
    look: Looking, http: PlainWebServer
) -> None:
    with pytest.raises(SpecErrors) as caught:
        look(f"http://{http.address}/download", "no host/x")
    assert set(caught.value.by_field()) == {"info_url", "fragment_url"}
    assert http.requests == []

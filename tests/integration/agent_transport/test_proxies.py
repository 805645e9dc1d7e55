"""Ways to the server: proxies with and without users, IPv6, and no secret told to anybody."""

import base64
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.errors import HttpStatus, ServerUnreachable, TransientError
from tests.support.certificates import Issued, issue
from tests.support.forward_proxy import ForwardProxy
from tests.support.talking import client
from tests.support.webfolder import PlainWebServer

NAME = "server.example.org"
SECRET = "p@ss/w:rd"
QUOTED = "p%40ss%2Fw%3Ard"
BASIC = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()


@pytest.fixture
def named(tmp_path: Path, ca: Issued) -> Iterator[PlainWebServer]:
    """A server whose name only the proxy can reach."""
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    certificate = issue("server", by=ca, san=(NAME,)).save(tmp_path / "named.pem")
    with PlainWebServer(folder, certificate=certificate) as server:
        yield server


def test_tls_goes_through_a_tunnel_and_is_checked(named: PlainWebServer, ca_file: Path) -> None:
    with ForwardProxy(named.address) as proxy:
        transport = client(f"https://{NAME}/", ca_file, proxy=f"http://{proxy.address}")
        assert transport.read(f"https://{NAME}/file", limit=10) == b"content"
        assert proxy.requests == [f"{NAME}:443"]
        with pytest.raises(Exception, match=r"not for 'other\.example\.org'"):
            transport.read("https://other.example.org/file", limit=10)
        transport.close()


def test_the_proxy_of_the_environment_is_used_for_tls(
    named: PlainWebServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ForwardProxy(named.address) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
        transport = client(f"https://{NAME}/", ca_file)
        assert transport.read(f"https://{NAME}/file", limit=10) == b"content"
        assert len(proxy.requests) == 1
        transport.close()


@pytest.mark.parametrize("exception", [NAME, ".example.org", "example.org", "*", f"x, {NAME}"])
def test_no_proxy_makes_exceptions(
    named: PlainWebServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch, exception: str
) -> None:
    with ForwardProxy(named.address) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv("NO_PROXY", exception)
        transport = client(f"https://{NAME}/", ca_file)
        with pytest.raises(ServerUnreachable, match="no such host name"):
            transport.read(f"https://{NAME}/file", limit=10)
        assert proxy.requests == []


def test_an_empty_proxy_means_none(
    named: PlainWebServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ForwardProxy(named.address) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
        with pytest.raises(ServerUnreachable):
            client(f"https://{NAME}/", ca_file, proxy="").read(f"https://{NAME}/f", limit=10)
        assert proxy.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_user_and_password_of_the_url_reach_the_proxy_and_nobody_else(
    named: PlainWebServer, plain: PlainWebServer, ca_file: Path, scheme: str
) -> None:
    server = named if scheme == "https" else plain
    url = f"{scheme}://{NAME}/file"
    plain.faults[url] = b"content"
    with ForwardProxy(server.address, user="me", password=SECRET) as proxy:
        access = {"proxy": f"http://me:{QUOTED}@{proxy.address}"}
        transport = client(f"{scheme}://{NAME}/", ca_file, **access)
        assert transport.read(url, limit=10) == b"content"
        assert proxy.authorizations == [BASIC]
        transport.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("user", ["", "me:wrong@"])
def test_a_proxy_that_wants_another_user_is_named_without_secrets(
    named: PlainWebServer, ca_file: Path, scheme: str, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with ForwardProxy(named.address, user="me", password=SECRET) as proxy:
        transport = client(f"{scheme}://{NAME}/", ca_file, proxy=f"http://{user}{proxy.address}")
        with pytest.raises(TransientError, match="407") as caught:
            transport.read(f"{scheme}://{NAME}/file", limit=10)
        assert isinstance(caught.value, HttpStatus if scheme == "http" else ServerUnreachable)
        assert "USER:PASSWORD" in caught.value.hint
        assert "wrong" not in str(caught.value) + caplog.text
    assert named.requests == []


def test_a_proxy_that_is_not_there_is_named_without_secrets(
    ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "deploy_agent")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    transport = client("https://h/", ca_file, proxy=f"http://me:{QUOTED}@127.0.0.1:{port}")
    with pytest.raises(ServerUnreachable, match="the proxy does not let through to h: ") as caught:
        transport.read("https://h/f", limit=10)
    assert "'proxy'" in caught.value.hint
    for secret in (SECRET, QUOTED):
        assert secret not in str(caught.value) + caplog.text


# Addresses.


@pytest.fixture
def six(tmp_path: Path, ca: Issued) -> Iterator[PlainWebServer]:
    """A server on ::1."""
    folder = tmp_path / "six"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    certificate = issue("server", by=ca, san=("::1",)).save(tmp_path / "six.pem")
    try:
        server = PlainWebServer(folder, certificate=certificate, host="::1")
    except OSError:
        pytest.skip("this computer has no IPv6")
    with server:
        yield server


def test_an_ipv6_address_is_a_host_as_any_other(six: PlainWebServer, ca_file: Path) -> None:
    assert six.address.startswith("[::1]:")
    transport = client(f"https://{six.address}/ocsinventory", ca_file, proxy="")
    assert transport.read(f"https://{six.address}/file", limit=10) == b"content"


def test_an_ipv6_address_that_the_certificate_does_not_have(
    tmp_path: Path, ca: Issued, ca_file: Path
) -> None:
    certificate = issue("server", by=ca, san=("::2", "localhost")).save(tmp_path / "other.pem")
    with PlainWebServer(tmp_path, certificate=certificate, host="::1") as server:
        transport = client(f"https://{server.address}/", ca_file, proxy="")
        with pytest.raises(Exception, match="not for '::1'"):
            transport.read(f"https://{server.address}/file", limit=10)


def test_an_ipv6_server_gets_the_credentials(six: PlainWebServer, ca_file: Path) -> None:
    seen: list[str | None] = []

    def note(handler: object) -> None:
        seen.append(handler.headers["Authorization"])  # type: ignore[attr-defined]
        handler.send_error(404)  # type: ignore[attr-defined]

    six.faults["/f"] = note
    access = {"credentials": ("me", SECRET), "proxy": ""}
    with pytest.raises(Exception, match="404"):
        client(f"https://{six.address}/", ca_file, **access).read(
            f"https://{six.address}/f", limit=10
        )
    assert seen == [BASIC]


@pytest.mark.parametrize("url", ["https://[::1/f", "https://[zz]/f", "https://[::1]:x/f"])
def test_a_broken_literal_is_named(url: str, ca_file: Path) -> None:
    with pytest.raises(Exception, match="no usable address"):
        client("http://127.0.0.1/", ca_file, proxy="").read(url, limit=10)

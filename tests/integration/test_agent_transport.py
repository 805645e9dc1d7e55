"""The agent's transport against real sockets and real TLS: whom it believes, and what it says."""

import io
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from deploy_agent import __version__
from deploy_agent.domain.errors import (
    ConfigError,
    DefiniteError,
    HttpRefusal,
    HttpStatus,
    RedirectRefused,
    ServerUnreachable,
    ShortRead,
    TlsReason,
    TlsRefused,
    TooSlow,
    WrongBytes,
)
from deploy_agent.machine import transport as transport_module
from deploy_agent.machine.transport import Access, HttpTransport
from deploy_agent.wire import envelope
from tests.support.certificates import Issued, issue
from tests.support.clock import FakeClock
from tests.support.ports import free_port
from tests.support.webfolder import PlainWebServer

LOCAL = ("127.0.0.1", "localhost")
Handler = BaseHTTPRequestHandler


@pytest.fixture(scope="module")
def ca() -> Issued:
    return issue("an own CA", ca=True)


@pytest.fixture
def ca_file(ca: Issued, tmp_path: Path) -> Path:
    path = tmp_path / "cacert.pem"
    path.write_bytes(ca.pem())
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[PlainWebServer]:
    (tmp_path / "plain").mkdir()
    with PlainWebServer(tmp_path / "plain") as server:
        yield server


@pytest.fixture
def https(tmp_path: Path, ca: Issued) -> Iterator[PlainWebServer]:
    yield from serving(tmp_path, issue("server", by=ca, san=LOCAL))


def serving(tmp_path: Path, certificate: Issued, *chain: Issued) -> Iterator[PlainWebServer]:
    folder = tmp_path / "https"
    folder.mkdir()
    (folder / "file").write_bytes(b"content")
    with PlainWebServer(folder, certificate=certificate.save(tmp_path / "s.pem", *chain)) as server:
        yield server


def client(server: str, ca_file: Path, **access: object) -> HttpTransport:
    return HttpTransport(Access(server, ca_file, **access), FakeClock())  # type: ignore[arg-type]


def get(server: PlainWebServer, ca_file: Path, host: str = "127.0.0.1") -> bytes:
    port = server.address.rpartition(":")[2]
    transport = client(f"https://{host}:{port}/ocsinventory", ca_file)
    try:
        return transport.read(f"https://{host}:{port}/file", limit=100)
    finally:
        transport.close()


def refused(server: PlainWebServer, ca_file: Path, host: str = "127.0.0.1") -> TlsRefused:
    server.requests.clear()
    with pytest.raises(TlsRefused) as caught:
        get(server, ca_file, host)
    assert "/file" not in server.requests, "something was sent before the server was trusted"
    return caught.value


def answers(
    code: int,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    length: int | None = None,
) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


# The three kinds of ca_file.


def test_an_own_ca(https: PlainWebServer, ca_file: Path) -> None:
    assert get(https, ca_file) == b"content"
    assert get(https, ca_file, "localhost") == b"content"


@pytest.mark.parametrize("holds", ["root", "intermediate", "both", "leaf too"])
def test_a_pki_with_a_chain(tmp_path: Path, holds: str) -> None:
    root = issue("root", ca=True)
    intermediate = issue("intermediate", by=root, ca=True)
    leaf = issue("server", by=intermediate, san=LOCAL)
    parts = {"root": [root], "intermediate": [intermediate], "both": [intermediate, root]}
    ca_file = tmp_path / "ca"
    ca_file.write_bytes(b"".join(each.pem() for each in parts.get(holds, [leaf, root])))
    for server in serving(tmp_path, leaf, intermediate):
        assert get(server, ca_file) == b"content"


def test_an_intermediate_alone_is_enough_for_a_server_that_sends_no_chain(tmp_path: Path) -> None:
    root = issue("root", ca=True)
    intermediate = issue("intermediate", by=root, ca=True)
    ca_file = tmp_path / "ca"
    ca_file.write_bytes(intermediate.pem() + root.pem())
    for server in serving(tmp_path, issue("server", by=intermediate, san=LOCAL)):
        assert get(server, ca_file) == b"content"


@pytest.mark.parametrize("ca", [True, False])
@pytest.mark.parametrize("san", [(), ("elsewhere.example.org",)])
def test_the_exact_self_signed_certificate_whatever_its_name(
    tmp_path: Path, ca: bool, san: tuple[str, ...]
) -> None:
    certificate = issue("some name", ca=ca, san=san)
    ca_file = tmp_path / "ca"
    ca_file.write_bytes(certificate.pem())
    for server in serving(tmp_path, certificate):
        assert get(server, ca_file) == b"content"


def test_a_file_in_der_and_one_with_text_around_its_certificates(
    https: PlainWebServer, ca: Issued, tmp_path: Path
) -> None:
    der, wordy = tmp_path / "ca.der", tmp_path / "ca.txt"
    der.write_bytes(ca.der())
    wordy.write_bytes(b"Issuer: us\n" + issue("other", ca=True).pem() + b"\n# ours\n" + ca.pem())
    assert get(https, der) == get(https, wordy) == b"content"


# Whom it does not believe.


def test_another_self_signed_certificate_of_the_same_name(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca"
    ca_file.write_bytes(issue("server", ca=True, san=LOCAL).pem())
    for server in serving(tmp_path, issue("server", ca=True, san=LOCAL)):
        assert refused(server, ca_file).reason is TlsReason.UNKNOWN_CA


def test_an_unknown_ca(https: PlainWebServer, tmp_path: Path) -> None:
    ca_file = tmp_path / "other"
    ca_file.write_bytes(issue("another CA", ca=True).pem())
    error = refused(https, ca_file)
    assert error.reason is TlsReason.UNKNOWN_CA
    assert str(ca_file) in str(error)


def test_the_name_has_to_match(tmp_path: Path, ca: Issued, ca_file: Path) -> None:
    for server in serving(tmp_path, issue("localhost", by=ca, san=("127.0.0.1",))):
        assert get(server, ca_file) == b"content"
        error = refused(server, ca_file, "localhost")
        assert error.reason is TlsReason.WRONG_NAME
        assert "'localhost'" in str(error)


def test_a_leaf_in_ca_file_that_is_not_self_signed_still_needs_its_name(tmp_path: Path) -> None:
    leaf = issue("server", by=issue("ca", ca=True), san=("elsewhere.example.org",))
    ca_file = tmp_path / "ca"
    ca_file.write_bytes(leaf.pem())
    for server in serving(tmp_path, leaf):
        assert refused(server, ca_file).reason is TlsReason.WRONG_NAME


def test_a_cn_alone_counts_for_nothing_and_the_message_says_how(
    tmp_path: Path, ca: Issued, ca_file: Path
) -> None:
    for server in serving(tmp_path, issue("127.0.0.1", by=ca)):
        error = refused(server, ca_file)
        assert error.reason is TlsReason.NO_SAN
        assert "subjectAltName=IP:127.0.0.1" in str(error)


@pytest.mark.parametrize(
    ("begins", "ends", "reason"),
    [(-9, -1, TlsReason.EXPIRED), (1, 9, TlsReason.NOT_YET_VALID)],
)
@pytest.mark.parametrize("exact", [True, False])
def test_dates_count_also_for_the_exact_certificate(
    tmp_path: Path,
    ca: Issued,
    ca_file: Path,
    begins: int,
    ends: int,
    reason: TlsReason,
    exact: bool,
) -> None:
    certificate = issue(
        "server",
        by=None if exact else ca,
        san=LOCAL,
        begins=timedelta(days=begins),
        ends=timedelta(days=ends),
    )
    if exact:
        ca_file.write_bytes(certificate.pem())
    for server in serving(tmp_path, certificate):
        assert refused(server, ca_file).reason is reason


@pytest.mark.parametrize(
    "name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"]
)
def test_ca_variables_of_the_environment_never_count(
    https: PlainWebServer, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    other = tmp_path / "other"
    other.write_bytes(issue("another CA", ca=True).pem())
    monkeypatch.setenv(name, str(other))
    assert get(https, ca_file) == b"content"
    monkeypatch.setenv(name, str(ca_file))
    assert refused(https, other).reason is TlsReason.UNKNOWN_CA


def test_plain_http_on_the_https_port(plain: PlainWebServer, ca_file: Path) -> None:
    assert refused(plain, ca_file).reason is TlsReason.PLAIN_HTTP


def test_a_server_that_hangs_up_in_the_handshake_may_come_back(ca_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(10)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises((ServerUnreachable, ShortRead)):
            client(url, ca_file).read(url, limit=10)
        thread.join()


def test_tls_of_yesterday_is_refused(tmp_path: Path, ca: Issued, ca_file: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issue("server", by=ca, san=LOCAL).save(tmp_path / "s.pem"))
    context.set_ciphers("NULL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=accept)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TlsRefused) as caught:
            client(url, ca_file).read(url, limit=10)
        thread.join()
    assert caught.value.reason is TlsReason.OTHER


@pytest.mark.parametrize(
    "content",
    [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"],
)
def test_a_ca_file_without_a_certificate_is_a_configuration_error(
    tmp_path: Path, content: bytes | None
) -> None:
    ca_file = tmp_path / "ca"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(ConfigError, match="ca_file"):
        client("https://127.0.0.1/", ca_file)


# Lengths and answers.


def test_a_stream_ends_in_the_sink_with_its_length(plain: PlainWebServer, ca_file: Path) -> None:
    data = os.urandom(1_000_000)
    plain.faults["/f"] = data
    url, sink = f"http://{plain.address}/f", io.BytesIO()
    assert client(url, ca_file).fetch(url, sink, limit=len(data)) == len(data)
    assert sink.getvalue() == data


def test_nothing_beyond_the_limit_is_taken(plain: PlainWebServer, ca_file: Path) -> None:
    url, sink = f"http://{plain.address}/f", io.BytesIO()
    plain.faults["/f"] = answers(200, b"x" * 11)
    with pytest.raises(WrongBytes):
        client(url, ca_file).fetch(url, sink, limit=10)
    assert sink.getvalue() == b""


def test_an_endless_body_without_length_is_cut_at_the_limit(
    plain: PlainWebServer, ca_file: Path
) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while True:
                handler.wfile.write(bytes(65536))

    url, sink = f"http://{plain.address}/f", io.BytesIO()
    plain.faults["/f"] = endless
    with pytest.raises(WrongBytes):
        client(url, ca_file).fetch(url, sink, limit=1_000_000)
    assert len(sink.getvalue()) <= 1_000_000


def test_a_body_that_ends_too_early(plain: PlainWebServer, ca_file: Path) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(200, b"half", length=8)
    with pytest.raises(ShortRead):
        client(url, ca_file).fetch(url, io.BytesIO(), limit=100)


def test_a_disk_that_is_full_is_not_the_networks_fault(
    plain: PlainWebServer, ca_file: Path
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    url = f"http://{plain.address}/f"
    plain.faults["/f"] = b"content"
    with pytest.raises(OSError, match="No space"):
        client(url, ca_file).fetch(url, Full(), limit=100)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, HttpRefusal),
        (401, HttpRefusal),
        (403, HttpRefusal),
        (404, HttpRefusal),
        (410, HttpRefusal),
        (304, HttpRefusal),
        (206, HttpRefusal),
        (407, HttpStatus),
        (408, HttpStatus),
        (429, HttpStatus),
        (500, HttpStatus),
        (502, HttpStatus),
        (503, HttpStatus),
    ],
)
def test_statuses(
    plain: PlainWebServer, ca_file: Path, status: int, kind: type[HttpRefusal | HttpStatus]
) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(status)
    with pytest.raises(kind, match=str(status)) as caught:
        client(url, ca_file).read(url, limit=10)
    assert getattr(caught.value, "status", None) == status


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), ("Sat, 21 Nov 2026 10:01:00 GMT", 60.0), ("soon", None), ("", None)],
)
def test_retry_after(
    plain: PlainWebServer, ca_file: Path, text: str, seconds: float | None
) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(503, headers={"Retry-After": text})
    with pytest.raises(HttpStatus) as caught:
        client(url, ca_file).read(url, limit=10)
    assert caught.value.retry_after_s == seconds


def test_a_silent_server_is_too_slow(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "READ_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TooSlow):
            client(url, ca_file).read(url, limit=10)


class HurryingClock(FakeClock):
    """An hour passes whenever somebody looks."""

    def now(self) -> datetime:
        return self.advance(hours=1)


def test_a_drip_is_too_slow(plain: PlainWebServer, ca_file: Path) -> None:
    url = f"http://{plain.address}/f"
    finished = threading.Event()

    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.wfile.write(b"x")
        finished.wait(30)

    plain.faults["/f"] = drip
    transport = HttpTransport(Access(url, ca_file), HurryingClock())
    with pytest.raises(TooSlow):
        transport.read(url, limit=1_000_000)
    with pytest.raises(TooSlow):
        transport.fetch(url, io.BytesIO(), limit=None)
    finished.set()


def test_nobody_listens(ca_file: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(ServerUnreachable, match="refused"):
        client(url, ca_file).read(url, limit=10)


def test_no_such_host(ca_file: Path) -> None:
    url = "http://no-such-host.invalid/"
    with pytest.raises(ServerUnreachable, match="no such host name"):
        client(url, ca_file).read(url, limit=10)


@pytest.mark.parametrize("url", ["https://a b/x", "https:///info", "ftp://h/x", "http://h:99999/x"])
def test_an_address_that_is_none_is_a_definite_answer(url: str, ca_file: Path) -> None:
    with pytest.raises(DefiniteError):
        client("http://127.0.0.1/", ca_file).read(url, limit=10)


# Redirects.


def redirect_to(target: str) -> Callable[[Handler], None]:
    return answers(302, headers={"Location": target})


def test_a_redirect_within_a_server_is_followed(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults.update({"/a": redirect_to("/b"), "/b": b"there"})
    url = f"http://{plain.address}/a"
    assert client(url, ca_file).read(url, limit=10) == b"there"


def test_a_redirect_to_another_server_is_said(
    plain: PlainWebServer,
    https: PlainWebServer,
    ca_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain.faults["/a"] = redirect_to(f"https://{https.address}/file")
    url = f"http://{plain.address}/a"
    assert client(url, ca_file).read(url, limit=10) == b"content"
    assert "is redirected to another server" in caplog.text


def test_never_from_https_to_http(
    plain: PlainWebServer, https: PlainWebServer, ca_file: Path
) -> None:
    https.faults["/a"] = redirect_to(f"http://{plain.address}/b")
    url = f"https://{https.address}/a"
    with pytest.raises(RedirectRefused, match="HTTPS to HTTP"):
        client(url, ca_file).read(url, limit=10)
    assert plain.requests == []


@pytest.mark.parametrize("target", ["", "file:///etc/passwd", "javascript:x", "http://"])
def test_redirects_to_nowhere(plain: PlainWebServer, ca_file: Path, target: str) -> None:
    plain.faults["/a"] = redirect_to(target)
    url = f"http://{plain.address}/a"
    with pytest.raises(RedirectRefused):
        client(url, ca_file).read(url, limit=10)


def test_a_circle_of_redirects_ends(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults["/a"] = redirect_to("/a")
    url = f"http://{plain.address}/a"
    with pytest.raises(RedirectRefused, match="more than"):
        client(url, ca_file).read(url, limit=10)
    assert len(plain.requests) == 6


# Messages.


def posting(plain: PlainWebServer, ca_file: Path, answer: Callable[[Handler], None]) -> bytes:
    """Post a message to a server that answers so."""
    plain.faults["/ocsinventory"] = answer
    return client(f"http://{plain.address}/ocsinventory", ca_file).post(b"<REQUEST/>")


def test_a_message_goes_out_as_an_ocs_agents_does(plain: PlainWebServer, ca_file: Path) -> None:
    headers: dict[str, str] = {}

    def answer(handler: Handler) -> None:
        headers.update(handler.headers.items())
        answers(200, envelope.pack(b"<REPLY/>"))(handler)

    assert posting(plain, ca_file, answer) == b"<REPLY/>"
    assert envelope.unpack(plain.posts[0][1])[0] == b"<REQUEST/>"
    assert headers["Content-Type"] == "application/x-compress"
    agent = f"OCS-NG_unified_unix_agent_v2.0 Tranche/{__version__}"
    assert headers["User-Agent"] == agent


def test_an_empty_answer_is_an_answer(plain: PlainWebServer, ca_file: Path) -> None:
    assert posting(plain, ca_file, answers(200)) == b""


def test_a_page_instead_of_an_answer(plain: PlainWebServer, ca_file: Path) -> None:
    with pytest.raises(WrongBytes, match="not as a deployment server"):
        posting(plain, ca_file, answers(200, b"It works!"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_message_never_follows_a_redirect(
    plain: PlainWebServer, ca_file: Path, status: int
) -> None:
    with pytest.raises(RedirectRefused, match="/elsewhere"):
        posting(plain, ca_file, answers(status, headers={"Location": "/elsewhere"}))
    assert "/elsewhere" not in plain.requests


def test_json_comes_back_with_its_status(plain: PlainWebServer, ca_file: Path) -> None:
    transport = client(f"http://{plain.address}/ocsinventory", ca_file)
    plain.faults["/api"] = answers(404, b'{"error": "unknown"}')
    assert transport.post_json("/api", {"package": "1"}) == (404, {"error": "unknown"})
    assert plain.posts == [("/api", b'{"package": "1"}')]
    plain.faults["/api"] = answers(404, b"<html>")
    assert transport.post_json("/api", {}) == (404, None)


# Proxy, credentials, rate.


def test_a_proxy_gets_every_request(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults["http://server.example.org/f"] = b"by proxy"
    transport = client("http://server.example.org/", ca_file, proxy=f"http://{plain.address}")
    assert transport.read("http://server.example.org/f", limit=10) == b"by proxy"


def test_the_environments_proxy_counts_where_none_is_configured(
    plain: PlainWebServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.faults["http://server.example.org/f"] = b"by proxy"
    monkeypatch.setenv("http_proxy", f"http://{plain.address}")
    url = "http://server.example.org/f"
    assert client(url, ca_file).read(url, limit=10) == b"by proxy"
    monkeypatch.setenv("no_proxy", "example.org")
    with pytest.raises(ServerUnreachable):
        client(url, ca_file).read(url, limit=10)


def test_credentials_go_to_the_servers_host_only(
    plain: PlainWebServer, https: PlainWebServer, ca_file: Path
) -> None:
    seen: list[str | None] = []

    def note(handler: Handler) -> None:
        seen.append(handler.headers["Authorization"])
        answers(200, b"x")(handler)

    plain.faults["/f"] = https.faults["/f"] = note
    access = {"credentials": ("pc", "p:w")}
    transport = client(f"https://{https.address}/", ca_file, **access)
    transport.read(f"https://{https.address}/f", limit=10)
    transport.read(f"http://{plain.address}/f", limit=10)
    port = https.address.rpartition(":")[2]
    transport.read(f"https://localhost:{port}/f", limit=10)
    assert seen == ["Basic cGM6cDp3", None, None]
    assert "p:w" not in repr(Access("https://x/", ca_file, credentials=("pc", "p:w")))


def test_a_rate_is_kept_by_sleeping(plain: PlainWebServer, ca_file: Path) -> None:
    clock = FakeClock()
    plain.faults["/f"] = bytes(1_000_000)
    url = f"http://{plain.address}/f"
    transport = HttpTransport(Access(url, ca_file, max_rate=100_000), clock)
    transport.fetch(url, io.BytesIO(), limit=None)
    assert sum(clock.sleeps) == pytest.approx(10)

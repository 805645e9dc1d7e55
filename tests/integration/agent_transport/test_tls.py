"""Whom the agent believes, by real handshakes, and what it says when it does not."""

import socket
import ssl
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_agent.domain.errors import (
    ConfigError,
    ServerUnreachable,
    ShortRead,
    TlsReason,
    TlsRefused,
)
from tests.support.certificates import Issued, issue
from tests.support.talking import LOCAL, client, serving
from tests.support.webfolder import PlainWebServer


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
        assert "a --host for each name that stays" in str(error), "renew --host replaces them all"


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

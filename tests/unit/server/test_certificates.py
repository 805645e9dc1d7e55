"""Our own CA and its certificates: what strict verifiers say, what lies on disk, when people are
told that something ends."""

import os
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy_server.domain.errors import Conflict, NotFound, SpecError
from deploy_server.services import certificates
from deploy_server.services.certificates import CertificateStore
from tests.support.pki import PKCS8, openssl
from tests.support.tls import handshake

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = ("deploy.example.org", "192.0.2.10", "2001:db8::1")


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    return CertificateStore(tmp_path / "certs")


@pytest.fixture
def own(store: CertificateStore) -> CertificateStore:
    certificates.create_own(store, HOSTS, NOW)
    return store


def test_openssl_accepts_ours_strictly_for_every_name(own: CertificateStore) -> None:
    verify = ("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", own.ca_file)
    for names in (
        ("-verify_hostname", "deploy.example.org"),
        ("-verify_hostname", "localhost"),
        ("-verify_ip", "192.0.2.10"),
        ("-verify_ip", "2001:db8::1"),
        ("-verify_ip", "127.0.0.1"),
    ):
        assert "OK" in openssl(*verify, *names, own.server_file, folder=own.folder)
    with pytest.raises(AssertionError, match="hostname mismatch"):
        openssl(
            *verify, "-verify_hostname", "other.example.org", own.server_file, folder=own.folder
        )


@pytest.mark.parametrize("name", ["deploy.example.org", "192.0.2.10", "2001:db8::1", "localhost"])
def test_python_accepts_ours_strictly(own: CertificateStore, name: str) -> None:
    handshake(own.server_file, own.ca_file, name, flags=ssl.VERIFY_X509_STRICT)


def test_python_refuses_another_name_and_another_ca(own: CertificateStore, tmp_path: Path) -> None:
    other = CertificateStore(tmp_path / "other")
    certificates.create_own(other, HOSTS, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(own.server_file, own.ca_file, "other.example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(own.server_file, other.ca_file, "localhost")


def test_the_profile(own: CertificateStore) -> None:
    [server], [ca] = own.chain(), own.roots()
    assert server.not_valid_after_utc - server.not_valid_before_utc == timedelta(days=825)
    assert ca.not_valid_after_utc - ca.not_valid_before_utc == timedelta(days=3650)
    for each, critical in ((server, False), (ca, True)):
        assert each.version is x509.Version.v3
        assert each.signature_hash_algorithm is not None
        assert isinstance(each.signature_hash_algorithm, hashes.SHA256)
        found = {extension.oid._name: extension.critical for extension in each.extensions}
        assert found.items() >= {
            ("basicConstraints", True),
            ("keyUsage", True),
            ("subjectKeyIdentifier", False),
            ("authorityKeyIdentifier", False),
        }
        constraints = each.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert constraints.ca is critical
    assert server.serial_number != ca.serial_number
    described = certificates.describe(server)
    assert described.names == (*HOSTS, "localhost", "127.0.0.1")
    assert described.subject == "CN=deploy.example.org"
    assert described.issuer == "CN=Tranche CA deploy.example.org"


def test_the_fingerprint_is_openssls(own: CertificateStore) -> None:
    printed = openssl(
        "x509", "-noout", "-fingerprint", "-sha256", "-in", own.ca_file, folder=own.folder
    )
    assert certificates.describe(own.roots()[0]).fingerprint == printed.strip().split("=")[1]


def test_the_key_is_pkcs8_and_nobody_elses_business(own: CertificateStore) -> None:
    assert stat.S_IMODE(own.folder.stat().st_mode) == 0o700
    modes = {
        name: stat.S_IMODE((own.folder / name).stat().st_mode) for name in os.listdir(own.folder)
    }
    assert modes == {"server.pem": 0o600, "ca.key": 0o600, "cacert.pem": 0o644}
    assert own.server_file.read_bytes().startswith(PKCS8)
    assert b"PRIVATE" not in own.ca_file.read_bytes()


def test_names_are_written_once_and_in_their_own_alphabet(store: CertificateStore) -> None:
    hosts = ["Deploy.Example.org.", "deploy.example.org", "münchen.example", "[::1]", "localhost"]
    described = certificates.create_own(store, hosts, NOW)
    assert described.names == (
        "deploy.example.org",
        "xn--mnchen-3ya.example",
        "::1",
        "localhost",
        "127.0.0.1",
    )


def test_a_name_too_long_for_a_subject_still_works(store: CertificateStore) -> None:
    host = ".".join(["a" * 60] * 4)
    assert certificates.create_own(store, [host], NOW).subject == "O=Tranche"
    handshake(store.server_file, store.ca_file, host, flags=ssl.VERIFY_X509_STRICT)


@pytest.mark.parametrize(
    "host", ["", "https://a", "a:8443", "a b", "-a", "a..b", "a/b", "x" * 64, "a\nb", "*"]
)
def test_what_is_no_host_is_refused(store: CertificateStore, host: str) -> None:
    with pytest.raises(SpecError, match="is no host name and no IP address"):
        certificates.create_own(store, [host], NOW)
    assert not store.folder.exists()


def test_renewing_keeps_ca_and_names_but_not_the_key(own: CertificateStore) -> None:
    before, ca, key = own.chain()[0], own.ca_file.read_bytes(), own.key()
    described = certificates.renew(own, [], None, NOW + timedelta(days=700))
    assert described.names == (*HOSTS, "localhost", "127.0.0.1")
    assert described.days_left(NOW) > 825 + 650
    assert own.ca_file.read_bytes() == ca
    assert own.chain()[0].serial_number != before.serial_number
    assert key is not None
    assert own.chain()[0].public_key() != key.public_key()


def test_renewing_with_hosts_takes_those(own: CertificateStore) -> None:
    described = certificates.renew(own, ["new.example.org"], 30, NOW)
    assert described.names == ("new.example.org", "localhost", "127.0.0.1")
    assert described.not_after - described.not_before == timedelta(days=30)


@pytest.mark.parametrize("days", [0, -1, 826])
def test_no_certificate_lives_longer_than_clients_accept(own: CertificateStore, days: int) -> None:
    with pytest.raises(SpecError, match=f"{days} days"):
        certificates.renew(own, [], days, NOW)


def test_a_certificate_never_outlives_its_ca(own: CertificateStore) -> None:
    certificates.renew(own, [], None, NOW + timedelta(days=3000))
    assert own.chain()[0].not_valid_after_utc == own.roots()[0].not_valid_after_utc
    with pytest.raises(Conflict, match="own CA ended on"):
        certificates.renew(own, [], None, NOW + timedelta(days=3651))


def test_making_it_again_uses_the_same_ca(own: CertificateStore) -> None:
    ca = own.ca_file.read_bytes()
    own.server_file.unlink()
    own.ca_file.unlink()
    certificates.create_own(own, HOSTS, NOW)
    assert own.ca_file.read_bytes() == ca
    handshake(own.server_file, own.ca_file, "localhost")


def test_people_are_told_from_sixty_days_before_the_end(own: CertificateStore) -> None:
    end = own.chain()[0].not_valid_after_utc
    assert certificates.warnings(own, NOW) == []
    assert certificates.warnings(own, end - timedelta(days=60)) == []
    [warning] = certificates.warnings(own, end - timedelta(days=59, hours=1))
    assert warning == (
        f"The certificate CN=deploy.example.org ends on {end:%Y-%m-%d}, in 59 days. "
        "Run: deploy-server cert renew"
    )
    [warning] = certificates.warnings(own, end + timedelta(days=1))
    assert "ended on" in warning


def test_people_are_told_when_the_ca_ends(own: CertificateStore) -> None:
    late = own.roots()[0].not_valid_after_utc - timedelta(days=10)
    certificates.renew(own, [], None, late)
    warnings = certificates.warnings(own, late)
    assert len(warnings) == 2
    assert "Every agent needs the next cacert.pem" in warnings[1]


def test_people_are_told_when_the_ca_is_not_the_servers(
    own: CertificateStore, tmp_path: Path
) -> None:
    other = CertificateStore(tmp_path / "other")
    certificates.create_own(other, HOSTS, NOW)
    own.ca_file.write_bytes(other.ca_file.read_bytes())
    [warning] = certificates.warnings(own, NOW)
    assert "agents will refuse this server" in warning


def test_a_missing_certificate_is_named(store: CertificateStore) -> None:
    with pytest.raises(NotFound, match=r"server\.pem is missing"):
        store.chain()
    assert "server.pem is missing" in certificates.warnings(store, NOW)[0]


def test_a_request_asks_for_what_we_would_make(own: CertificateStore) -> None:
    pem = certificates.request(own, ["deploy.example.org", "192.0.2.7"], "/C=DE/O=A, B/CN=x")
    csr = x509.load_pem_x509_csr(pem)
    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == "CN=x,O=A\\, B,C=DE"
    text = openssl(
        "req", "-noout", "-text", "-verify", "-in", "/dev/stdin", folder=own.folder, stdin=pem
    )
    for wanted in (
        "DNS:deploy.example.org, IP Address:192.0.2.7, DNS:localhost",
        "TLS Web Server Authentication",
        "Digital Signature",
        "CA:FALSE",
    ):
        assert wanted in text
    pending = own.pending_key()
    assert pending is not None
    assert pending.public_key() == csr.public_key()
    assert stat.S_IMODE((own.folder / "pending.key").stat().st_mode) == 0o600


def test_asking_twice_keeps_the_first_answer_usable(own: CertificateStore) -> None:
    first = x509.load_pem_x509_csr(certificates.request(own, ["a"], None))
    second = x509.load_pem_x509_csr(certificates.request(own, ["b"], "CN=c,O=d"))
    assert first.public_key() == second.public_key()
    assert first.subject.rfc4514_string() == "CN=a"


@pytest.mark.parametrize("subject", ["deploy", "/XX=y", "CN"])
def test_what_is_no_subject_is_refused(own: CertificateStore, subject: str) -> None:
    with pytest.raises(SpecError, match="is no subject"):
        certificates.request(own, ["a"], subject)
    assert own.pending_key() is None


def test_a_kill_while_replacing_leaves_a_pair_that_works(
    own: CertificateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own.server_file.read_bytes()
    real = Path.replace

    def die(self: Path, target: Path) -> Path:
        if target == own.server_file:
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        certificates.renew(own, [], None, NOW)
    assert own.server_file.read_bytes() == before
    assert certificates.warnings(own, NOW) == []
    handshake(own.server_file, own.ca_file, "localhost")


def test_a_server_never_starts_with_the_key_of_another_certificate(
    own: CertificateStore, tmp_path: Path
) -> None:
    stop = threading.Event()

    def replace_all_the_time() -> None:
        while not stop.is_set():
            certificates.renew(own, [], None, NOW)

    renewing = threading.Thread(target=replace_all_the_time)
    renewing.start()
    serials = set()
    try:
        for _ in range(200):
            serials.add(own.snapshot(tmp_path / "snapshot.pem").serial_number)
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "snapshot.pem")
    finally:
        stop.set()
        renewing.join()
    assert len(serials) > 1


def test_a_pair_that_somebody_broke_by_hand_is_refused(
    own: CertificateStore, tmp_path: Path
) -> None:
    key = own.server_file.read_bytes().split(b"-----BEGIN CERT")[0]
    certificates.renew(own, [], None, NOW)
    chain = own.server_file.read_bytes().split(b"-----BEGIN CERT")[1]
    own.server_file.write_bytes(key + b"-----BEGIN CERT" + chain)
    with pytest.raises(SpecError, match=r"its key is not its certificate's.*cert renew"):
        own.snapshot(tmp_path / "snapshot.pem")
    own.server_file.write_text("something else")
    with pytest.raises(SpecError, match=r"server\.pem is damaged: .*holds no certificate"):
        own.snapshot(tmp_path / "snapshot.pem")
    assert not (tmp_path / "snapshot.pem").exists()


def test_the_ca_key_reads_as_pkcs8(own: CertificateStore) -> None:
    ca = own.own_ca()
    assert ca is not None
    block = (own.folder / "ca.key").read_bytes().split(b"-----BEGIN CERTIFICATE")[0]
    assert load_pem_private_key(block, None).public_key() == ca[1].public_key()

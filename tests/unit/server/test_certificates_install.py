"""Certificates from elsewhere: every form a PKI hands out fits, and what does not fit is named."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy_server.domain.errors import Conflict, SpecError
from deploy_server.services import certificates
from deploy_server.services.certificates import CertificateStore, Description
from tests.support.pki import PKCS8, Pki, openssl
from tests.support.tls import handshake

NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)  # after what tests make
NAME = "deploy.example.org"

Install = Callable[..., tuple[Description, tuple[str, ...]]]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki") / "pki")


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    store = CertificateStore(tmp_path / "certs")
    certificates.create_own(store, [NAME], NOW)
    return store


@pytest.fixture
def install(store: CertificateStore) -> Install:
    def install(
        *cert: Path, ca: Path | list[Path], key: Path | None = None, now: datetime = NOW
    ) -> tuple[Description, tuple[str, ...]]:
        return certificates.install(store, cert, key, ca if isinstance(ca, list) else [ca], now)

    return install


@pytest.fixture
def untouched(store: CertificateStore) -> Callable[[], bool]:
    """Whether nothing was changed since the beginning of the test."""
    before = {file.name: file.read_bytes() for file in store.folder.iterdir()}
    return lambda: before == {file.name: file.read_bytes() for file in store.folder.iterdir()}


def works(store: CertificateStore, name: str = NAME) -> bool:
    """Whether a strict client that has cacert.pem accepts what the server sends."""
    handshake(store.server_file, store.ca_file, name, flags=ssl.VERIFY_X509_STRICT)
    return True


def test_a_request_and_its_answer(store: CertificateStore, pki: Pki, install: Install) -> None:
    request = pki.path("asked.csr")
    request.write_bytes(certificates.request(store, [NAME], None))
    signed = pki.sign("asked", request=request)
    described, notes = install(signed, pki.intermediate, ca=pki.root)
    assert works(store)
    assert notes == ()
    assert described.issuer == "CN=intermediate"
    assert described.names == (NAME, "localhost", "127.0.0.1")
    assert store.pending_key() is None
    assert [certificates.describe(each).subject for each in store.roots()] == ["CN=root"]
    assert len(store.chain()) == 2


@pytest.mark.parametrize("order", ["leaf first", "leaf last", "with root", "in --ca"])
def test_the_order_and_the_file_do_not_matter(
    store: CertificateStore, pki: Pki, install: Install, order: str
) -> None:
    leaf = pki.sign("leaf")
    files = {
        "leaf first": ([leaf, pki.intermediate], [pki.root]),
        "leaf last": ([pki.intermediate, leaf], [pki.root]),
        "with root": ([pki.root, pki.intermediate, leaf], [pki.root]),
        "in --ca": ([leaf], [pki.intermediate, pki.root]),
    }
    chain, ca = files[order]
    install(pki.joined("chain.pem", *chain), ca=pki.joined("ca.pem", *ca), key=pki.path("leaf.key"))
    assert works(store)
    assert [certificates.describe(each).subject for each in store.chain()] == [
        "CN=leaf",
        "CN=intermediate",
    ]
    assert store.ca_file.read_text().count("BEGIN CERTIFICATE") == 1


def test_key_and_certificate_in_one_file(
    store: CertificateStore, pki: Pki, install: Install
) -> None:
    leaf = pki.sign("leaf", by="root")
    install(pki.joined("both.pem", pki.path("leaf.key"), leaf), ca=pki.root)
    assert works(store)


@pytest.mark.parametrize("form", ["der", "p7b", "p7b-der"])
def test_other_forms_of_files(
    store: CertificateStore, pki: Pki, install: Install, form: str
) -> None:
    leaf, out = pki.sign("leaf"), f"leaf.{form}"
    if form == "der":
        openssl("x509", "-in", leaf, "-outform", "DER", "-out", out, folder=pki.folder)
        chain = [pki.path(out), pki.intermediate]
    else:
        how = ("-certfile", leaf, "-certfile", pki.intermediate, "-out", out)
        outform = ("-outform", "DER") if form == "p7b-der" else ()
        openssl("crl2pkcs7", "-nocrl", *how, *outform, folder=pki.folder)
        chain = [pki.path(out)]
    install(*chain, ca=pki.root, key=pki.path("leaf.key"))
    assert works(store)


@pytest.mark.parametrize("kind", ["sec1", "pkcs1", "der", "p384", "ed25519"])
def test_other_forms_and_kinds_of_keys_become_pkcs8(
    store: CertificateStore, pki: Pki, install: Install, kind: str
) -> None:
    algorithms = {
        "pkcs1": ("rsa:2048",),
        "p384": ("ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
        "ed25519": ("ed25519",),
    }
    leaf = pki.sign("leaf", key=algorithms.get(kind, ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")))
    key = pki.path("leaf.key")
    if kind in ("sec1", "pkcs1", "der"):
        form = ("-outform", "DER") if kind == "der" else ("-traditional",)
        openssl("pkey", "-in", "leaf.key", *form, "-out", "other.key", folder=pki.folder)
        key = pki.path("other.key")
    install(leaf, pki.intermediate, ca=pki.root, key=key)
    assert works(store)
    assert store.server_file.read_bytes().startswith(PKCS8)


def test_a_self_signed_certificate_is_its_own_ca(
    store: CertificateStore, pki: Pki, install: Install
) -> None:
    own = pki.self_signed("alone", "self_signed", "-addext", f"subjectAltName=DNS:{NAME}")
    described, notes = install(own, ca=own, key=pki.path("alone.key"))
    assert works(store)
    assert described.issuer == described.subject == "CN=alone"
    assert notes == ()
    assert store.roots() == store.chain()
    with pytest.raises(Conflict, match=r"comes from CN=alone, not from our own CA.*cert request"):
        certificates.renew(store, [], None, NOW)


def test_a_bare_self_signed_one_as_old_howtos_make_it(
    store: CertificateStore, pki: Pki, install: Install
) -> None:
    own = pki.self_signed("bare", "bare")
    install(own, ca=own, key=pki.path("bare.key"))
    assert store.roots() == store.chain()


def test_what_only_strict_clients_mind_is_a_note(pki: Pki, install: Install) -> None:
    leaf = pki.sign("leaf", by="root", extensions="no_identifiers")
    _described, [note] = install(leaf, ca=pki.root, key=pki.path("leaf.key"))
    assert "strict TLS clients will refuse CN=leaf: Missing Authority Key Identifier" in note


def test_more_roots_than_the_one_used_go_to_the_agents(
    store: CertificateStore, pki: Pki, install: Install
) -> None:
    next_root = pki.self_signed("next", "ca")
    leaf = pki.sign("leaf", by="root")
    bundle = pki.joined("bundle.pem", next_root, pki.root)
    install(leaf, ca=bundle, key=pki.path("leaf.key"))
    assert works(store)
    assert [certificates.describe(each).subject for each in store.roots()] == ["CN=root", "CN=next"]


def test_a_certificate_without_names_is_taken_with_a_note(
    store: CertificateStore, pki: Pki, install: Install
) -> None:
    request = pki.path("cn.csr")
    openssl(
        *("req", "-new", "-newkey", "rsa:2048", "-noenc", "-keyout", "cn.key"),
        *("-out", "cn.csr", "-subj", "/CN=deploy.example.org"),
        folder=pki.folder,
    )
    leaf = pki.sign("cn", by="root", request=request)
    _described, [note] = install(leaf, ca=pki.root, key=pki.path("cn.key"))
    assert "no subject alternative name" in note
    assert "cert request --host NAME" in note


# What does not fit


def test_a_key_of_another_certificate(
    pki: Pki, install: Install, untouched: Callable[[], bool]
) -> None:
    leaf = pki.sign("leaf")
    with pytest.raises(
        SpecError, match=r"belongs to none of .*\(CN=leaf; CN=intermediate\).*--key"
    ):
        install(leaf, pki.intermediate, ca=pki.root, key=pki.path("root.key"))
    with pytest.raises(SpecError, match="belongs to none"):
        install(leaf, pki.intermediate, ca=pki.root)
    assert untouched()


def test_an_expired_certificate(pki: Pki, install: Install, untouched: Callable[[], bool]) -> None:
    leaf = pki.sign("leaf", "-days", "10")
    with pytest.raises(SpecError, match=r"CN=leaf expired on 20\d\d-.*Ask its issuer"):
        install(
            leaf,
            pki.intermediate,
            ca=pki.root,
            key=pki.path("leaf.key"),
            now=NOW + timedelta(days=11),
        )
    with pytest.raises(SpecError, match=r"CN=leaf is not valid before .*clock"):
        install(
            leaf,
            pki.intermediate,
            ca=pki.root,
            key=pki.path("leaf.key"),
            now=NOW - timedelta(days=1),
        )
    assert untouched()


def test_a_missing_link(pki: Pki, install: Install, untouched: Callable[[], bool]) -> None:
    leaf = pki.sign("leaf")
    with pytest.raises(SpecError, match=r"that signed CN=leaf is missing: CN=intermediate"):
        install(leaf, ca=pki.root, key=pki.path("leaf.key"))
    with pytest.raises(SpecError, match=r"that signed CN=intermediate is missing: CN=root"):
        install(leaf, pki.intermediate, ca=pki.intermediate, key=pki.path("leaf.key"))
    assert untouched()


def test_a_ca_that_did_not_sign_it(
    pki: Pki, install: Install, untouched: Callable[[], bool]
) -> None:
    leaf = pki.sign("leaf")
    stranger = pki.self_signed("stranger", "ca")
    with pytest.raises(SpecError, match=r"did not sign CN=leaf: its chain ends in CN=root"):
        install(leaf, pki.intermediate, pki.root, ca=stranger, key=pki.path("leaf.key"))
    twin = Pki(pki.folder / "twin").root  # the same name, another key
    with pytest.raises(SpecError, match=r"that signed CN=intermediate is missing"):
        install(leaf, pki.intermediate, ca=twin, key=pki.path("leaf.key"))
    assert untouched()


def test_a_certificate_for_something_else(
    pki: Pki, install: Install, untouched: Callable[[], bool]
) -> None:
    leaf = pki.sign("leaf", by="root", extensions="client")
    with pytest.raises(SpecError, match=r"TLS clients refuse CN=leaf: .*purpose.*web server"):
        install(leaf, ca=pki.root, key=pki.path("leaf.key"))
    signed_by_leaf = pki.sign("below", by="leaf")
    with pytest.raises(SpecError, match=r"CN=leaf may not sign certificates"):
        install(signed_by_leaf, leaf, ca=pki.root, key=pki.path("below.key"))
    assert untouched()


def test_keys_that_cannot_be_used(
    pki: Pki, install: Install, untouched: Callable[[], bool], tmp_path: Path
) -> None:
    leaf = pki.sign("leaf", by="root")
    openssl(
        *("pkey", "-in", "leaf.key", "-aes256", "-passout", "pass:x", "-out", "locked.key"),
        folder=pki.folder,
    )
    with pytest.raises(SpecError, match=r"locked\.key is encrypted.*openssl pkey"):
        install(leaf, ca=pki.root, key=pki.path("locked.key"))
    openssl("genrsa", "-out", "small.key", "1024", folder=pki.folder)
    with pytest.raises(SpecError, match=r"small\.key is of a kind .*RSA of 2048"):
        install(leaf, ca=pki.root, key=pki.path("small.key"))
    with pytest.raises(SpecError, match=r"leaf\.crt holds no private key"):
        install(leaf, ca=pki.root, key=leaf)
    assert untouched()


def test_files_that_are_something_else(
    pki: Pki, install: Install, untouched: Callable[[], bool], tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_text("hello")
    damaged = tmp_path / "damaged"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(SpecError, match=r"nothing holds no certificate.*PEM, DER or PKCS#7"):
        install(nothing, ca=pki.root)
    with pytest.raises(SpecError, match=r"damaged holds a damaged certificate"):
        install(pki.root, ca=damaged)
    with pytest.raises(SpecError, match=r"absent cannot be read: No such file"):
        install(tmp_path / "absent", ca=pki.root)
    assert untouched()

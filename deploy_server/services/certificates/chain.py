"""Whether a key, a certificate, its chain and a CA fit together, and in which order they are sent.

Every refusal names the certificate it is about. What passes was also shown to a TLS client: a
handshake in memory, with nothing but the CA trusted, has the last word.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from deploy_server.domain.errors import SpecError
from deploy_server.services.certificates.reading import ServerKey, key_pem, pem
from deploy_server.storage.types import utc_text


@dataclass(frozen=True)
class Material:
    """What a TLS server needs, checked.

    Attributes:
        key: the server's private key.
        chain: the server's certificate, then those that lead to the CA, without the CA.
        roots: what agents get as cacert.pem; the one that the chain ends in comes first.
        notes: what is allowed but will surprise somebody.
    """

    key: ServerKey
    chain: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]
    notes: tuple[str, ...] = ()


def name_of(certificate: x509.Certificate) -> str:
    """The subject as people write it; the serial number where it has none."""
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:X}"


def fit(
    key: ServerKey,
    certificates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> Material:
    """Put certificates in order for `key` and check that they work together.

    Args:
        key: the private key the server would use.
        certificates: the server's own and intermediate ones, in any order.
        authorities: the CA, perhaps with intermediate ones and further CAs.
        now: for the periods of validity.

    Raises:
        SpecError: which certificate does not fit, why, and what to do.
    """
    pool = [*authorities, *certificates]  # a root given wins over a cross-signed twin
    leaf = _belonging_to(key, certificates)
    path = _path(leaf, pool)
    root = path[-1]
    if root not in authorities:
        raise SpecError(
            "ca",
            f"the CA given did not sign {name_of(leaf)}: its chain ends in {name_of(root)}",
            "Give that certificate with --ca",
        )
    for certificate in path:
        _check_dates(certificate, now)
    _check_signers(path)
    chain = tuple(path[:-1]) or (leaf,)
    others = [each for each in authorities if each != root and _is_self_signed(each)]
    material = Material(key, chain, (root, *others))
    return Material(key, chain, material.roots, tuple(_shake_hands(material)))


def _belonging_to(key: ServerKey, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    for certificate in certificates:
        if certificate.public_key() == key.public_key():
            return certificate
    names = "; ".join(name_of(each) for each in certificates)
    raise SpecError(
        "cert",
        f"the key belongs to none of the certificates given ({names})",
        "Give the key this certificate was requested with (--key), or request a new one",
    )


def _path(leaf: x509.Certificate, pool: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """From the server's certificate to a self-signed one."""
    path = [leaf]
    while not _is_self_signed(path[-1]):
        issuer = next((each for each in pool if signed(path[-1], each)), None)
        if issuer is None or issuer in path:
            raise SpecError(
                "ca",
                f"the certificate that signed {name_of(path[-1])} is missing: "
                f"{path[-1].issuer.rfc4514_string()}",
                "Give it too: intermediate certificates with --cert or --ca, the root with --ca",
            )
        path.append(issuer)
    return path


def signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` signed `certificate`."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_self_signed(certificate: x509.Certificate) -> bool:
    return signed(certificate, certificate)


def _check_dates(certificate: x509.Certificate, now: datetime) -> None:
    if now > certificate.not_valid_after_utc:
        raise SpecError(
            "cert",
            f"{name_of(certificate)} expired on {utc_text(certificate.not_valid_after_utc)}",
            "Ask its issuer for a new one",
        )
    if now < certificate.not_valid_before_utc:
        raise SpecError(
            "cert",
            f"{name_of(certificate)} is not valid before "
            f"{utc_text(certificate.not_valid_before_utc)}",
            "Check this machine's clock, or wait",
        )


def _check_signers(path: Sequence[x509.Certificate]) -> None:
    """Those that signed others must be allowed to; the handshake says it less clearly."""
    for certificate in path[1:]:
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
            allowed = constraints.value.ca
        except x509.ExtensionNotFound:
            allowed = False
        if not allowed:
            raise SpecError(
                "ca",
                f"{name_of(certificate)} may not sign certificates (basicConstraints)",
                "Give the certificate of a CA",
            )


def _shake_hands(material: Material) -> list[str]:
    """Let a strict and then an ordinary TLS client judge; what only the strict one minds."""
    failure = _judge(material, strict=True)
    if failure is None:
        return []
    ordinary = _judge(material, strict=False)
    if ordinary is not None:
        raise SpecError(
            "cert",
            f"TLS clients refuse {name_of(material.chain[0])}: {ordinary}",
            "Have it issued again for a web server (TLS server authentication)",
        )
    return [f"strict TLS clients will refuse {name_of(material.chain[0])}: {failure}"]


def _judge(material: Material, *, strict: bool) -> str | None:
    """What a client that trusts only the roots says about the chain; None is good."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cadata=pem(material.roots).decode())
    if strict:
        client.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        _handshake(_server_context(material), client)
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message)
    except ssl.SSLError as error:
        return str(error.reason or error)
    return None


def _server_context(material: Material) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Python reads keys from files only; this one is in memory and has no name.
    descriptor = os.memfd_create("server.pem")
    try:
        os.write(descriptor, key_pem(material.key) + pem(material.chain))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    # Three flights are enough; a client that refuses raises in its second turn.
    for end in (*ends, *ends, *ends):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue

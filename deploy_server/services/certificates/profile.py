"""The certificate profile: what our own CA, server certificates and requests contain.

EC P-256 keys; every extension that RFC 5280 asks for, so that the strictest verifiers agree. The
same profile in OpenSSL's words is certs/openssl.cnf.
"""

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy_server.domain.errors import SpecError

CA_DAYS = 3650

#: No strict verifier takes a server certificate that lives longer.
SERVER_DAYS = 825

#: Names every server certificate of ours has: people and programs on the machine itself.
LOCAL_NAMES = ("localhost", "127.0.0.1")

#: A computer whose clock is this much behind trusts a new certificate at once.
_CLOCK_SKEW = timedelta(hours=1)

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_CN_MAX = 64


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def server_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """The subject alternative names for `hosts` and this machine's own names, none twice.

    Raises:
        SpecError: one of them is no name and no address.
    """
    names: list[x509.GeneralName] = []
    for host in (*hosts, *LOCAL_NAMES):
        name = _general_name(host)
        if name not in names:
            names.append(name)
    return names


def _general_name(host: str) -> x509.GeneralName:
    text = host.strip().removeprefix("[").removesuffix("]")
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        name = text.removesuffix(".").encode("idna").decode().lower()
    except UnicodeError:
        name = ""
    labels = name.removeprefix("*.").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise SpecError(
            "host",
            f"{host!r} is no host name and no IP address",
            "Give a name without scheme, port and path, like deploy.example.org",
        )
    return x509.DNSName(name)


def common_name(text: str) -> x509.Name:
    """A subject with this CN; without one where it is longer than X.509 allows."""
    if len(text) > _CN_MAX:
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tranche")])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_ca(key: ec.EllipticCurvePrivateKey, name: str, now: datetime) -> x509.Certificate:
    """A self-signed CA certificate, ten years, that may sign servers but no other CA."""
    subject = common_name(f"Tranche CA {name}")
    builder = _builder(subject, subject, key.public_key(), now, now + timedelta(days=CA_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
    return _sign(builder, key.public_key(), key)


def make_server(
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    ca: tuple[ec.EllipticCurvePrivateKey, x509.Certificate],
    now: datetime,
    days: int = SERVER_DAYS,
) -> x509.Certificate:
    """A server certificate for `names`, signed by `ca`; it never outlives its CA."""
    ca_key, ca_certificate = ca
    end = min(now + timedelta(days=days), ca_certificate.not_valid_after_utc + _CLOCK_SKEW)
    subject = common_name(str(names[0].value))
    builder = _builder(subject, ca_certificate.subject, key.public_key(), now, end)
    for extension, critical in _server_extensions(names):
        builder = builder.add_extension(extension, critical)
    return _sign(builder, ca_key.public_key(), ca_key)


def make_request(
    key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName], subject: x509.Name
) -> x509.CertificateSigningRequest:
    """A request that asks for the same extensions as our own server certificates have."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    for extension, critical in _server_extensions(names):
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def parse_subject(text: str) -> x509.Name:
    """A subject as RFC 4514 (``CN=a,O=b``) or OpenSSL (``/O=b/CN=a``) writes it.

    Raises:
        SpecError: it is neither.
    """
    try:
        if text.startswith("/"):
            parts = re.split(r"(?<!\\)/", text[1:])
            text = ",".join(
                part.replace("\\/", "/").replace(",", "\\,") for part in reversed(parts)
            )
        return x509.Name.from_rfc4514_string(text)
    except ValueError:
        raise SpecError(
            "subject",
            f"{text!r} is no subject",
            "Write it like CN=deploy.example.org,O=Example,C=DE",
        ) from None


def _server_extensions(
    names: Sequence[x509.GeneralName],
) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    ]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(end - _CLOCK_SKEW)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    issuer_key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return builder.add_extension(identifier, critical=False).sign(signer, hashes.SHA256())

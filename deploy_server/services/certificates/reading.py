"""Certificates and keys out of the files that people and PKIs have: PEM, DER, PKCS#7."""

import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs7,
)

from deploy_server.domain.errors import SpecError

ServerKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_KEY_BLOCK = re.compile(
    rb"-----BEGIN (?:\w+ )*PRIVATE KEY-----.*?-----END (?:\w+ )*PRIVATE KEY-----", re.DOTALL
)
_CURVES = ("secp256r1", "secp384r1")
_RSA_BITS = range(2048, 8193)


def read_certificates(files: Sequence[Path]) -> list[x509.Certificate]:
    """Every certificate in `files`, in their order, none twice.

    Raises:
        SpecError: a file cannot be read or holds no certificate.
    """
    found: list[x509.Certificate] = []
    for file in files:
        for certificate in _certificates(_read(file), file):
            if certificate not in found:
                found.append(certificate)
    return found


def _certificates(data: bytes, file: Path) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            return x509.load_pem_x509_certificates(data)
        if b"-----BEGIN PKCS7-----" in data:
            return _pkcs7(pkcs7.load_pem_pkcs7_certificates, data)
    except ValueError as error:
        raise SpecError("cert", f"{file} holds a damaged certificate: {error}") from None
    for load in (_der, partial(_pkcs7, pkcs7.load_der_pkcs7_certificates)):
        try:
            return load(data)
        except (ValueError, UnsupportedAlgorithm):
            continue
    raise SpecError(
        "cert", f"{file} holds no certificate", "Give a file in PEM, DER or PKCS#7 form"
    )


def _pkcs7(load: Callable[[bytes], list[x509.Certificate]], data: bytes) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        # OpenSSL and Windows write BER, which is no reason to alarm anybody.
        warnings.simplefilter("ignore", UserWarning)
        return load(data)


def _der(data: bytes) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(data)]


def has_key(file: Path) -> bool:
    """Whether a private key stands in this file, as in one that holds key and chain."""
    return _KEY_BLOCK.search(_read(file)) is not None


def read_key(file: Path) -> ServerKey:
    """The private key in `file`, whatever else it holds.

    Raises:
        SpecError: none, an encrypted one, or of a kind that TLS servers do not take.
    """
    data = _read(file)
    block = _KEY_BLOCK.search(data)
    try:
        key = load_pem_private_key(block[0], None) if block else load_der_private_key(data, None)
    except TypeError:
        raise SpecError(
            "key",
            f"the key in {file} is encrypted",
            "The server must start without a person. Decrypt it: openssl pkey -in KEY -out NEW",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SpecError("key", f"{file} holds no private key", "Give a key in PEM form") from None
    return _usable(key, file)


def _usable(key: object, file: Path) -> ServerKey:
    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name in _CURVES:
            return key
        case rsa.RSAPrivateKey() if key.key_size in _RSA_BITS:
            return key
        case ed25519.Ed25519PrivateKey():
            return key
    raise SpecError(
        "key",
        f"the key in {file} is of a kind that this server cannot use",
        "Take EC P-256 or P-384, RSA of 2048 to 8192 bits, or Ed25519",
    )


def key_pem(key: ServerKey) -> bytes:
    """The key as PKCS#8, the only form that every TLS library reads."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """The certificates in PEM form, in their order."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SpecError("file", f"{file} cannot be read: {error.strerror}") from None

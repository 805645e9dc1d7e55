"""What certificates in `ca_file` say about themselves, for people who look for a fault."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from deploy_agent.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes:
        kind: which of the three ways to trust a server it belongs to, in words.
        name: whose it is.
        begins: from when it is valid, UTC.
        ends: until when.
    """

    kind: str
    name: str
    begins: datetime
    ends: datetime


def describe(der: bytes) -> Certificate:
    """Return what a certificate in DER says.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        found = x509.load_der_x509_certificate(der)
        return Certificate(
            kind=_kind(found),
            name=_name(found.subject),
            begins=found.not_valid_before_utc,
            ends=found.not_valid_after_utc,
        )
    except ValueError as error:
        raise ConfigError(
            f"ca_file holds a damaged certificate: {error}",
            "Copy it again from the server; 'deploy-server cert show --ca' prints it",
        ) from error


def _kind(found: x509.Certificate) -> str:
    if found.subject != found.issuer:
        return "CA below another" if _is_ca(found) else "a server's certificate from a CA"
    return "a server's self-signed certificate" if _names_a_server(found) else "CA"


def _is_ca(found: x509.Certificate) -> bool:
    try:
        return found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _names_a_server(found: x509.Certificate) -> bool:
    try:
        found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return not _is_ca(found)
    return True


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()

"""Who may speak for the server: only what `ca_file` holds, whatever the system trusts.

Three kinds of `ca_file` work: an own CA; a PKI's CA, with or without intermediates (an
intermediate alone is enough); the server's own self-signed certificate. The last one is trusted as
that exact certificate, whatever name it bears. Everywhere else a subject alternative name has to
match; a CN never does. Source: contract.md 3.
"""

import re
import ssl
from pathlib import Path
from typing import Any

from urllib3.util.ssl_match_hostname import CertificateError, match_hostname

from deploy_agent.domain.errors import ConfigError, TlsReason, TlsRefused

_PEM = re.compile(
    rb"-----BEGIN (?:X509 )?CERTIFICATE-----.+?-----END (?:X509 )?CERTIFICATE-----",
    re.DOTALL,
)
_FILE_MAX = 4 * 1024 * 1024  # bytes; a whole trust store has a quarter of it

# X509_V_ERR_*. Source: openssl/x509_vfy.h
_UNKNOWN_CA = {2, 18, 19, 20, 21}
_EXPIRED = 10
_NOT_YET_VALID = 9

_PLAIN_HTTP = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}


class NameRefused(ssl.SSLError):
    """The certificate is trusted, but it is not one for this host.

    Attributes:
        has_san: whether it has any subject alternative name.
    """

    def __init__(self, message: str, *, has_san: bool) -> None:
        super().__init__(message)
        self.has_san = has_san


class PinnedContext(ssl.SSLContext):
    """Verifies against given certificates and nothing else, then checks the name."""

    _exact: frozenset[bytes] = frozenset()

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Shake hands; nothing is sent before the name is checked too."""
        connection = super().wrap_socket(*args, **kwargs)
        try:
            self._check_name(connection, str(kwargs.get("server_hostname") or ""))
        except NameRefused:
            connection.close()
            raise
        return connection

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """Refuse TLS inside TLS, which would go past the check of the name."""
        raise ssl.SSLError("TLS through a proxy that itself is spoken to by TLS is not supported")

    def pin(self, certificates: list[bytes]) -> None:
        """Trust `certificates`, each in DER."""
        self.load_verify_locations(cadata=b"".join(certificates))
        self._exact = frozenset(certificates)

    def _check_name(self, connection: ssl.SSLSocket, host: str) -> None:
        certificate = connection.getpeercert() or {}
        self_signed = certificate.get("subject") == certificate.get("issuer")
        if self_signed and connection.getpeercert(binary_form=True) in self._exact:
            return
        try:
            match_hostname(certificate, host)  # type: ignore[arg-type]
        except CertificateError as error:
            has_san = bool(certificate.get("subjectAltName"))
            raise NameRefused(str(error), has_san=has_san) from error


def pinned_context(ca_file: Path) -> PinnedContext:
    """Return a context that trusts what `ca_file` holds.

    Raises:
        ConfigError: it cannot be read, or holds no certificate.
    """
    context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    # The name is checked after the handshake, where the exact certificate is known.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # Whatever the file holds is an anchor, also an intermediate without its root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.pin(read_certificates(ca_file))
    except ssl.SSLError as error:
        raise ConfigError(
            f"ca_file '{ca_file}' holds a damaged certificate: {error.reason or error}",
            "Copy it again from the server; 'deploy-server cert show --ca' prints it",
        ) from error
    return context


def read_certificates(ca_file: Path) -> list[bytes]:
    """Return the certificates in `ca_file`, PEM or DER, each in DER.

    Raises:
        ConfigError: it cannot be read, or holds none.
    """
    hint = "Copy cacert.pem from the server there; 'deploy-server cert show --ca' prints it"
    try:
        with ca_file.open("rb") as file:
            data = file.read(_FILE_MAX)
    except OSError as error:
        raise ConfigError(f"ca_file '{ca_file}' cannot be read: {error.strerror}", hint) from error
    blocks = _PEM.findall(data)
    if not blocks and data[:1] == b"\x30":
        return [data]
    try:
        certificates = [ssl.PEM_cert_to_DER_cert(_plain_pem(block)) for block in blocks]
    except ValueError as error:
        raise ConfigError(
            f"ca_file '{ca_file}' holds a damaged certificate: {error}", hint
        ) from error
    if not certificates:
        raise ConfigError(f"ca_file '{ca_file}' holds no certificate", hint)
    return certificates


def explain(error: ssl.SSLError, host: str, port: int, ca_file: Path) -> TlsRefused:
    """Return `error` as a person can use it: which of the ways to fail, and what to do."""
    where = f"{host}:{port}"
    if isinstance(error, NameRefused):
        return _explain_name(error, host)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, where, ca_file)
    reason = getattr(error, "reason", None)  # only errors of OpenSSL's own have one
    if reason in _PLAIN_HTTP:
        return TlsRefused(
            f"{where} does not speak TLS; it answers in plain HTTP, or something else",
            reason=TlsReason.PLAIN_HTTP,
            hint="Look whether the port is the server's HTTPS port",
        )
    return TlsRefused(
        f"{where} refused the TLS connection: {reason or error}",
        reason=TlsReason.OTHER,
        hint="The server needs TLS 1.2 or newer and a certificate of today's strength",
    )


def _explain_name(error: NameRefused, host: str) -> TlsRefused:
    if error.has_san:
        return TlsRefused(
            f"the server's certificate is trusted, but not for '{host}': {error.args[0]}",
            reason=TlsReason.WRONG_NAME,
            hint="Use a name that is in the certificate, or make one that has this name too: "
            f"deploy-server cert renew --host {host}, with a --host for each name that stays",
        )
    return TlsRefused(
        f"the server's certificate names '{host}' at most in its CN, which counts for nothing",
        reason=TlsReason.NO_SAN,
        hint="Make one with a subject alternative name: "
        f"deploy-server cert renew --host {host}, or openssl req with "
        f"-addext subjectAltName={'IP' if _is_address(host) else 'DNS'}:{host}",
    )


def _explain_certificate(
    error: ssl.SSLCertVerificationError, where: str, ca_file: Path
) -> TlsRefused:
    if error.verify_code in _UNKNOWN_CA:
        return TlsRefused(
            f"the certificate of {where} is not from a CA in '{ca_file}': {error.verify_message}",
            reason=TlsReason.UNKNOWN_CA,
            hint="Put the server's CA, or its self-signed certificate, into that file; "
            "the trust store of the system does not count",
        )
    if error.verify_code == _EXPIRED:
        return TlsRefused(
            f"the certificate of {where} has expired, or this computer's clock is ahead",
            reason=TlsReason.EXPIRED,
            hint="On the server: deploy-server cert renew",
        )
    if error.verify_code == _NOT_YET_VALID:
        return TlsRefused(
            f"the certificate of {where} is not yet valid, or this computer's clock is behind",
            reason=TlsReason.NOT_YET_VALID,
            hint="Set the clock",
        )
    return TlsRefused(
        f"the certificate of {where} is refused: {error.verify_message}",
        reason=TlsReason.OTHER,
        hint="Make a new one: deploy-server cert renew, or have it issued again by your CA",
    )


def _plain_pem(block: bytes) -> str:
    """Return a PEM block under the one heading that Python reads."""
    body = block.split(b"-----")[2]
    return f"{ssl.PEM_HEADER}{body.decode('ascii', 'replace')}{ssl.PEM_FOOTER}"


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()

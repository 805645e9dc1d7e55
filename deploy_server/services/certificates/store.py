"""The files in ``<data>/certs``, and what they mean when some are missing.

    server.pem    the server's private key, its certificate, the chain; mode 0600
    cacert.pem    what agents must have; public
    ca.key        our own CA: its private key and certificate; mode 0600; absent with a PKI
    pending.key   the key of the last `cert request`; mode 0600; gone after `cert install`

Key and chain stand in one file on purpose: one rename replaces both. But TLS libraries open a file
once for the certificate and once more for the key, so a server starts from a `snapshot`: a copy
made by one read, which nobody replaces.
"""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services.certificates.chain import Material
from deploy_server.services.certificates.reading import (
    ServerKey,
    key_pem,
    pem,
    read_certificates,
    read_key,
)
from deploy_server.storage.atomic import replace_file

OwnCa = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


class CertificateStore:
    """Reads and replaces the files of one data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server_file = folder / "server.pem"
        self.ca_file = folder / "cacert.pem"
        self._own_ca_file = folder / "ca.key"
        self._pending_file = folder / "pending.key"

    def chain(self) -> list[x509.Certificate]:
        """The server's certificate and the ones that lead to its CA.

        Raises:
            NotFound: there is none.
        """
        return read_certificates([self._existing(self.server_file)])

    def roots(self) -> list[x509.Certificate]:
        """The CA that agents must have; the one that signed for this server comes first.

        Raises:
            NotFound: there is none.
        """
        return read_certificates([self._existing(self.ca_file)])

    def own_ca(self) -> OwnCa | None:
        """Our own CA, if this server has one."""
        key = _own_key(self._own_ca_file)
        return None if key is None else (key, read_certificates([self._own_ca_file])[0])

    def save_own_ca(self, ca: OwnCa) -> None:
        """Keep our own CA."""
        self._make_folder()
        replace_file(self._own_ca_file, key_pem(ca[0]) + pem([ca[1]]))

    def key(self) -> ServerKey | None:
        """The key that a certificate is installed for: the requested one, else the current one."""
        for file in (self._pending_file, self.server_file):
            if file.exists():
                return read_key(file)
        return None

    def pending_key(self) -> ec.EllipticCurvePrivateKey | None:
        """The key of a request whose certificate has not come yet."""
        return _own_key(self._pending_file)

    def save_pending_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Keep the key of a request."""
        self._make_folder()
        replace_file(self._pending_file, key_pem(key))

    def replace(self, material: Material) -> None:
        """Make this the server's certificate and CA; running servers notice by themselves.

        A crash in between leaves a server that works with the certificate it had.
        """
        self._make_folder()
        replace_file(self.ca_file, pem(material.roots), mode=0o644)
        replace_file(self.server_file, key_pem(material.key) + pem(material.chain))
        pending = self.pending_key()
        if pending is not None and pending.public_key() == material.key.public_key():
            self._pending_file.unlink()

    def snapshot(self, target: Path) -> x509.Certificate:
        """Copy ``server.pem`` to `target`, for a server to start with; its certificate.

        Raises:
            NotFound: there is none.
            SpecError: it was damaged: no key, no certificate, or not of each other.
        """
        replace_file(target, self._existing(self.server_file).read_bytes())
        try:
            leaf = read_certificates([target])[0]
            fits = read_key(target).public_key() == leaf.public_key()
        except SpecError as error:
            target.unlink()
            raise SpecError(error.field, f"{self.server_file} is damaged: {error}") from None
        if not fits:
            target.unlink()
            raise SpecError(
                "cert",
                f"{self.server_file} is damaged: its key is not its certificate's",
                "Run deploy-server cert renew, or cert install",
            )
        return leaf

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)

    @staticmethod
    def _existing(file: Path) -> Path:
        if not file.exists():
            raise NotFound(
                f"there is no certificate: {file} is missing",
                "Run deploy-server init, or deploy-server cert install",
            )
        return file


def _own_key(file: Path) -> ec.EllipticCurvePrivateKey | None:
    """A key that we made ourselves, so it is of our one kind."""
    if not file.exists():
        return None
    key = read_key(file)
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None

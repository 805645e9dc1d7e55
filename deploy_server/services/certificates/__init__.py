"""The server's certificates: our own CA, a PKI's chain, or a self-signed one; one way in for each.

`create_own` makes CA and server certificate; `request` and `install` are the PKI's way, `install`
alone the self-signed one; `renew` repeats what our own CA signed; `describe` and `warnings` say
how things stand. Nothing here restarts a server: a running one watches ``server.pem``.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from deploy_server.domain.errors import Conflict, DeployError, SpecError
from deploy_server.services.certificates import profile
from deploy_server.services.certificates.chain import Material, fit, name_of, signed
from deploy_server.services.certificates.reading import has_key, read_certificates, read_key
from deploy_server.services.certificates.store import CertificateStore as CertificateStore
from deploy_server.services.certificates.store import OwnCa

#: From this long before a certificate's end, people are told.
WARN_DAYS = 60


@dataclass(frozen=True)
class Description:
    """A certificate in the words people look for.

    Attributes:
        subject: its subject, like ``CN=deploy.example.org``.
        names: what a client may call the server: names and addresses.
        issuer: who signed it.
        not_before: the beginning of its validity.
        not_after: the end of its validity.
        fingerprint: SHA-256 of the certificate, like ``openssl x509 -fingerprint -sha256`` has it.
        serial: its serial number, hexadecimal.
    """

    subject: str
    names: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime
    fingerprint: str
    serial: str

    def days_left(self, now: datetime) -> int:
        """Whole days until its end; negative afterwards."""
        return (self.not_after - now) // timedelta(days=1)


def create_own(store: CertificateStore, hosts: Sequence[str], now: datetime) -> Description:
    """Make our own CA, unless it exists, and a server certificate for `hosts`."""
    names = profile.server_names(hosts)
    ca = store.own_ca()
    if ca is None:
        key = profile.new_key()
        ca = (key, profile.make_ca(key, str(names[0].value), now))
        store.save_own_ca(ca)
    return _issue(store, ca, names, profile.SERVER_DAYS, now)


def renew(
    store: CertificateStore, hosts: Sequence[str], days: int | None, now: datetime
) -> Description:
    """Let our own CA sign a new server certificate, with a new key.

    Args:
        store: the files.
        hosts: the new names; none keeps those of the current certificate.
        days: how long it is valid; None is 825.
        now: this moment.

    Raises:
        Conflict: the certificate does not come from our own CA, or that CA has ended.
        SpecError: a host or the number of days.
    """
    days = profile.SERVER_DAYS if days is None else days
    if not 1 <= days <= profile.SERVER_DAYS:
        raise SpecError(
            "days",
            f"{days} days: a server certificate of ours lives 1 to {profile.SERVER_DAYS} days",
            "Strict TLS clients refuse longer ones",
        )
    ca = store.own_ca()
    if ca is None or ca[1] not in store.roots():
        raise Conflict(
            f"the certificate comes from {name_of(store.roots()[0])}, not from our own CA",
            "Get the next one the same way: deploy-server cert request, then cert install",
        )
    if now > ca[1].not_valid_after_utc:
        raise Conflict(
            f"this server's own CA ended on {_day(ca[1].not_valid_after_utc)}",
            "Make a new CA (certs/README.rst), install it, and give agents the new cacert.pem",
        )
    names = profile.server_names(hosts) if hosts else _alternative_names(store.chain()[0])
    return _issue(store, ca, names, days, now)


def _issue(
    store: CertificateStore,
    ca: OwnCa,
    names: Sequence[x509.GeneralName],
    days: int,
    now: datetime,
) -> Description:
    key = profile.new_key()
    certificate = profile.make_server(key, names, ca, now, days)
    store.replace(Material(key, (certificate,), (ca[1],)))
    return describe(certificate)


def request(store: CertificateStore, hosts: Sequence[str], subject: str | None) -> bytes:
    """A certificate request in PEM form, for `hosts`; its key waits for `install`.

    A second request uses the key of the first one, so whichever certificate comes back fits.
    """
    names = profile.server_names(hosts)
    asked = profile.parse_subject(subject) if subject else profile.common_name(str(names[0].value))
    key = store.pending_key()
    if key is None:
        key = profile.new_key()
        store.save_pending_key(key)
    return profile.make_request(key, names, asked).public_bytes(Encoding.PEM)


def install(
    store: CertificateStore,
    certificates: Sequence[Path],
    key: Path | None,
    authorities: Sequence[Path],
    now: datetime,
) -> tuple[Description, tuple[str, ...]]:
    """Make a certificate from elsewhere the server's.

    Args:
        store: the files.
        certificates: the server's certificate and its chain, in one file or several, any order.
        key: its private key; None takes one out of `certificates`, else that of the last request,
            else the current one.
        authorities: what agents will get as cacert.pem; for a self-signed certificate, itself.
        now: this moment.

    Returns:
        What was installed, and notes for the administrator.

    Raises:
        SpecError: something does not fit; nothing was changed.
    """
    found = read_certificates(certificates)
    with_key = key or next((file for file in certificates if has_key(file)), None)
    private = read_key(with_key) if with_key else store.key()
    if private is None:
        raise SpecError("key", "there is no private key yet", "Give it with --key")
    material = fit(private, found, read_certificates(authorities), now)
    store.replace(material)
    notes = [*material.notes, *_name_notes(material)]
    return describe(material.chain[0]), tuple(notes)


def _name_notes(material: Material) -> list[str]:
    leaf = material.chain[0]
    if _alternative_names(leaf) or leaf == material.roots[0]:
        return []
    return [
        f"{name_of(leaf)} has no subject alternative name: OCS's agents take it, ours and browsers "
        "refuse it. Ask for one with: deploy-server cert request --host NAME -o FILE"
    ]


def describe(certificate: x509.Certificate) -> Description:
    """What people want to know of a certificate."""
    return Description(
        subject=name_of(certificate),
        names=tuple(str(name.value) for name in _alternative_names(certificate)),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        serial=f"{certificate.serial_number:X}",
    )


def file_digest(file: Path) -> str:
    """SHA-256 of a file, as ``sha256sum`` prints it: for comparing copies of cacert.pem."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def warnings(store: CertificateStore, now: datetime) -> list[str]:
    """Sentences about everything that ends within 60 days, has ended, or does not fit."""
    try:
        chain, roots = store.chain(), store.roots()
    except DeployError as error:
        return [str(error)]
    own_ca = store.own_ca()
    renewal = "cert renew" if own_ca and own_ca[1] == roots[0] else "cert request and cert install"
    found = [_ending(chain[0], f"Run: deploy-server {renewal}", now)]
    found += [_ending(each, "Ask its issuer for a new chain", now) for each in chain[1:]]
    if roots[0] != chain[0]:
        found.append(_ending(roots[0], "Every agent needs the next cacert.pem before that", now))
    if chain[-1] not in roots and not any(signed(chain[-1], root) for root in roots):
        found.append(
            f"{store.ca_file} did not sign {name_of(chain[0])}: agents will refuse this server. "
            "Run deploy-server cert install again"
        )
    return [each for each in found if each]


def _ending(certificate: x509.Certificate, remedy: str, now: datetime) -> str:
    end = certificate.not_valid_after_utc
    days = (end - now) // timedelta(days=1)
    if days >= WARN_DAYS:
        return ""
    when = f"ended on {_day(end)}" if now > end else f"ends on {_day(end)}, in {days} days"
    return f"The certificate {name_of(certificate)} {when}. {remedy}"


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(extension.value)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")

"""`deploy-server cert`: the server's certificate, its CA, and the ways to get another one."""

from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import DBAPIError

from deploy_server.cli.common import (
    data_option,
    json_option,
    now,
    open_session,
    plain,
    print_json,
    say,
)
from deploy_server.domain.errors import DeployError
from deploy_server.services import audit, certificates
from deploy_server.services.backup import load_settled
from deploy_server.services.certificates import CertificateStore, Description

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

_HOST_HELP = "A name or address by which the server is reached; repeat it for more. "


@click.group()
def cert() -> None:
    """The server's certificate and its CA; certs/README.rst has the ways step by step."""


@cert.command()
@click.option("--ca", is_flag=True, help="The CA that agents need, with where its file is.")
@json_option
@data_option
def show(data: Path, ca: bool, as_json: bool) -> None:
    """Say what is installed, for which names and until when."""
    store = CertificateStore(load_settled(data).certs)
    certificate = (store.roots() if ca else store.chain())[0]
    record = _record(certificates.describe(certificate))
    if ca:
        record["file"] = str(store.ca_file)
        record["file_sha256"] = certificates.file_digest(store.ca_file)
    if as_json:
        print_json(record)
    else:
        for name, value in record.items():
            click.echo(f"{name.replace('_', ' ') + ':':14} {plain(value)}")
    for warning in certificates.warnings(store, now()):
        say(f"Warning: {warning}")


@cert.command()
@click.option(
    "--host", "hosts", metavar="N", multiple=True, help=_HOST_HELP + "[default: server.toml's]"
)
@click.option("--subject", metavar="S", help="Like CN=deploy.example.org,O=Example,C=DE")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="F",
    help="Where the request goes; - is standard output.",
)
@data_option
def request(data: Path, hosts: tuple[str, ...], subject: str | None, output: Path) -> None:
    """Ask a PKI for a certificate; the private key is made here and stays here."""
    config = load_settled(data)
    store = CertificateStore(config.certs)
    pem = certificates.request(store, hosts or config.hosts, subject)
    with click.open_file(str(output), "wb") as stream:
        stream.write(pem)
    say("Let your PKI sign it for a web server, then run:")
    say("deploy-server cert install --cert CERTIFICATE --ca ROOT")


@cert.command()
@click.option(
    "--cert",
    "chain",
    type=_FILE,
    metavar="F",
    multiple=True,
    required=True,
    help="The certificate, and those between it and the root; repeat it for more files.",
)
@click.option(
    "--key", type=_FILE, metavar="F", help="[default: the requested one, else the current one]"
)
@click.option(
    "--ca",
    type=_FILE,
    metavar="F",
    multiple=True,
    required=True,
    help="The root; agents get it as cacert.pem. For a self-signed certificate, itself.",
)
@data_option
def install(data: Path, chain: tuple[Path, ...], key: Path | None, ca: tuple[Path, ...]) -> None:
    """Take a certificate from a PKI, or a self-signed one; a running server uses it at once."""
    store = CertificateStore(load_settled(data).certs)
    before = store.ca_file.read_bytes() if store.ca_file.exists() else b""
    old = _current(store)
    described, notes = certificates.install(store, chain, key, ca, now())
    _report(described)
    _enter(data, "certificate.install", old, described)
    for note in notes:
        say(f"Warning: {note}")
    if store.ca_file.read_bytes() != before:
        say(f"Agents need the new CA before they trust this server again: {store.ca_file}")


@cert.command()
@click.option(
    "--host", "hosts", metavar="N", multiple=True, help=_HOST_HELP + "[default: as it is]"
)
@click.option("--days", type=int, metavar="N", help="How long it is valid. [default: 825]")
@data_option
def renew(data: Path, hosts: tuple[str, ...], days: int | None) -> None:
    """Let the server's own CA sign a new certificate; a running server uses it at once."""
    config = load_settled(data)
    store = CertificateStore(config.certs)
    old = _current(store)
    described = certificates.renew(store, hosts, days, now())
    _report(described)
    _enter(data, "certificate.renew", old, described)
    if hosts and config.hosts[0] not in hosts:
        say(f"server.toml still has {config.hosts[0]} in the URLs of new activations")


def _current(store: CertificateStore) -> Description | None:
    """The certificate that is installed; None where none can be read."""
    try:
        return certificates.describe(store.chain()[0])
    except DeployError:
        return None


def _enter(data: Path, action: str, before: Description | None, after: Description) -> None:
    """Enter the change into the audit log.

    The files are changed by then. A certificate that has to be replaced today does not wait for a
    database that is down; who replaces it is told that the entry is missing.
    """
    was = None if before is None else _said(before)
    try:
        with open_session(data) as session, session.begin():
            target = after.subject
            audit.record(session, action, target, now=now(), before=was, after=_said(after))
    except (DeployError, DBAPIError) as error:
        say(f"Warning: this is not in the audit log, because the database refuses: {error}")


def _said(described: Description) -> dict[str, Any]:
    return {name: value for name, value in _record(described).items() if name != "days_left"}


def _report(described: Description) -> None:
    names = ", ".join(described.names) or "no name"
    click.echo(
        f"Installed {described.subject} for {names}, valid until {plain(described.not_after)}"
    )


def _record(described: Description) -> dict[str, Any]:
    return {
        "subject": described.subject,
        "names": list(described.names),
        "issuer": described.issuer,
        "not_before": described.not_before,
        "not_after": described.not_after,
        "days_left": described.days_left(now()),
        "fingerprint": described.fingerprint,
        "serial": described.serial,
    }

"""`deploy-server init`: a data directory with everything a server needs."""

import os
import socket
from pathlib import Path

import click

from deploy_server.cli.common import actor, data_option, now, say
from deploy_server.cli.passwords import password_option, show_password, take_password
from deploy_server.config import ServerConfig, from_environ
from deploy_server.domain.errors import Conflict, SpecError
from deploy_server.services import certificates
from deploy_server.services.certificates import CertificateStore, profile
from deploy_server.services.initialising import FirstUser, initialise
from deploy_server.storage.stores import fragment_store


@click.command()
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name or address by which agents and people reach this server; repeat it for more. "
    "[default: this machine's name]",
)
@click.option("--admin", default="admin", show_default=True, help="Who may log in first.")
@password_option
@click.option(
    "--agents-over-http",
    is_flag=True,
    help="Let agents talk to this server without TLS; README.rst says what that means.",
)
@data_option
def init(
    data: Path,
    hosts: tuple[str, ...],
    admin: str,
    password_file: Path | None,
    agents_over_http: bool,
) -> None:
    """Make the data directory: certificates, database and the first user.

    DEPLOY_SERVER_DATABASE_URL takes another database than the SQLite file in the directory, and
    DEPLOY_SERVER_PACKAGES a bucket for packages, as in server.toml.
    """
    config = _config(data, hosts)
    _check_packages(config)
    password, made = take_password(password_file)
    initialise(
        config,
        FirstUser(admin, password),
        agents_over_http=agents_over_http,
        now=now(),
        actor=actor(),
    )
    _report(config, given=bool(hosts))
    show_password(admin, password, made=made)
    say(f"Next: deploy-server run --data {data}")


def _config(data: Path, hosts: tuple[str, ...]) -> ServerConfig:
    values = from_environ(os.environ)
    named = hosts or values.get("hosts") or (_own_name(),)
    kept = {name: values[name] for name in ("database_url", "packages") if name in values}
    return ServerConfig(data=data, hosts=named, **kept)


def _check_packages(config: ServerConfig) -> None:
    """Return when a bucket for packages answers and is nobody's yet.

    Raises:
        Conflict: it has packages.
        StorageError: it does not answer.
    """
    if config.bucket is not None and fragment_store(config).ids():
        raise Conflict(
            f"the bucket {config.bucket} has packages of another server there",
            "Name another prefix in DEPLOY_SERVER_PACKAGES; a server that is to have them is"
            " restored from its backup",
        )


def _own_name() -> str:
    name = socket.getfqdn()
    try:
        profile.server_names([name])
    except SpecError:
        return "localhost"
    return name


def _report(config: ServerConfig, *, given: bool) -> None:
    store = CertificateStore(config.certs)
    described = certificates.describe(store.roots()[0])
    click.echo(f"Initialised {config.data} for {', '.join(config.hosts)}.")
    click.echo(f"CA for the agents: {store.ca_file}")
    click.echo(f"SHA-256 of the file: {certificates.file_digest(store.ca_file)}")
    click.echo(f"Fingerprint (SHA-256): {described.fingerprint}")
    if not given:
        say(
            f"No --host was given: agents must reach this server as {config.hosts[0]}. "
            "Other names: deploy-server cert renew --host NAME, and hosts in server.toml"
        )

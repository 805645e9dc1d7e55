"""`deploy-server install` and `uninstall`: the server as a service of systemd."""

import sys
from pathlib import Path

import click
from sqlalchemy import exists, make_url, select

from deploy_server.cli.common import data_option, open_server, say
from deploy_server.config import ServerConfig
from deploy_server.services.installing import (
    SYSTEM,
    Service,
    check_reachable,
    own_program,
    require_root,
    require_systemd,
)
from deploy_server.services.unit import NAME, Work
from deploy_server.storage.models import Activation

_ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=SYSTEM,
    help="Below this folder instead of /, for an image in the making.",
)
_PORT = click.IntRange(1, 65535)


@click.command()
@click.option("--http-port", type=_PORT, default=80, show_default=True, help="For fragments.")
@click.option(
    "--https-port", type=_PORT, default=443, show_default=True, help="For everything else."
)
@_ROOT
@data_option
def install(data: Path, root: Path, http_port: int, https_port: int) -> None:
    """Let systemd start the server with the machine, and now, as a user of its own."""
    root = root.absolute()
    program = own_program()
    ports = ["--http-port", str(http_port), "--https-port", str(https_port)]
    command = [str(program), "run", "--data", str(data), *ports]
    require_systemd(command)
    database: Path | None = None
    if root == SYSTEM:
        require_root()
        for path in (program, Path(sys.executable)):
            check_reachable(path)
        database = _look(data, https_port)
    work = Work(command, data, database, Path(sys.executable).resolve())
    for line in Service(root).install(work):
        click.echo(line)
    click.echo(f"Look at it: systemctl status {NAME}, journalctl -u {NAME}")


@click.command()
@_ROOT
@data_option
def uninstall(data: Path, root: Path) -> None:
    """Stop the service and remove it; its user and the data stay."""
    root = root.absolute()
    if root == SYSTEM:
        require_root()
    for line in Service(root).uninstall():
        click.echo(line)
    click.echo(f"{data} stays, with its keys and packages, and so does the user who owns it.")


def _look(data: Path, https_port: int) -> Path | None:
    """Return the database where it is a file outside of `data`; warn of addresses that move."""
    with open_server(data) as (config, session):
        before = config.in_use().https_port
        told = session.scalar(select(exists().where(Activation.ended_at.is_(None))))
    if told and before != https_port:
        say(
            f"Warning: agents were told of packages at port {before}, and the service answers at"
            f" {https_port}. Activate those packages again, or give --https-port {before}"
        )
    return _database_elsewhere(config)


def _database_elsewhere(config: ServerConfig) -> Path | None:
    url = make_url(config.database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    file = Path(url.database).resolve()
    return None if file.is_relative_to(config.data.resolve()) else file

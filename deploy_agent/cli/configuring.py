"""`configure` and `config show`."""

from pathlib import Path

import click

from deploy_agent.cli.common import ANY_PATH, config_file, load_config, printable, shared


@click.command()
@shared
@click.option("--server", required=True, metavar="URL", help="https://HOST[:PORT] of the server.")
@click.option(
    "--ca",
    required=True,
    type=ANY_PATH,
    help="The CA or self-signed certificate that makes the server yours.",
)
@click.option("--tag", help="TAG of this computer, until the server has one of its own.")
@click.option(
    "--secret-file", type=ANY_PATH, help="Refused: no server of this version asks for a secret."
)
@click.pass_obj
def configure(
    given: dict[str, Path], server: str, ca: Path, tag: str | None, secret_file: Path | None
) -> None:
    """Write the configuration file; what else stands in it stays."""
    from deploy_agent.config import server_url
    from deploy_agent.machine.configfile import write_config
    from deploy_agent.machine.owners import check_believable
    from deploy_agent.machine.tls import read_certificates

    if secret_file is not None:
        raise click.BadParameter(
            "computers do not enrol in this version, so a secret would protect nothing and is not "
            "kept. Configure without it",
            param_hint="--secret-file",
        )
    try:
        url = server_url(server)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error
    ca_file = ca.expanduser().absolute()
    read_certificates(ca_file)
    check_believable(ca_file, "ca_file")
    file = config_file(given)
    state = given.get("state")
    changed = write_config(
        file,
        {
            "server": url,
            "ca_file": str(ca_file),
            "tag": tag,
            "state": None if state is None else str(state.absolute()),
        },
    )
    if changed:
        click.echo(f"The configuration is in {file}. A daemon reads it when it starts.")
    else:
        click.echo(f"The configuration in {file} says that already.")


@click.group()
@shared
def config() -> None:
    """Look at the configuration."""


@config.command()
@shared
@click.pass_obj
def show(given: dict[str, Path]) -> None:
    """Show every value with where it comes from."""
    loaded = load_config(given)
    from deploy_agent.config import shown

    for name, text, origin in shown(loaded):
        click.echo(f"{name:<22} {printable(text):<40} {origin}")

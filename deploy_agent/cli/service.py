"""`install` and `uninstall`: the agent as a service of systemd."""

from pathlib import Path

import click

from deploy_agent.cli.common import ANY_PATH, config_file, shared

SYSTEM = Path("/")


@click.command()
@shared
@click.option(
    "--root",
    type=ANY_PATH,
    default=SYSTEM,
    help="Below this folder instead of /, for an image in the making.",
)
@click.pass_obj
def install(given: dict[str, Path], root: Path) -> None:
    """Let systemd start the agent with the computer, and now."""
    from deploy_agent.config import load
    from deploy_agent.machine.owners import check_believable
    from deploy_agent.machine.service import (
        Service,
        check_program,
        own_program,
        require_root,
        require_systemd,
    )

    root = root.absolute()
    file = config_file(given)
    state = given.get("state")
    command = [str(own_program()), "--config", str(file)]
    command += [] if state is None else ["--state", str(state.absolute())]
    command += ["run"]
    require_systemd(command)
    if root == SYSTEM:
        require_root()
    # The service has no environment of anybody's, so the file has to say everything.
    config = load(file, {}, {"state": state})
    if root == SYSTEM:
        for what, path in config.believed(file):
            check_believable(path, what)
        check_program(own_program())
    for line in Service(root).install(command):
        click.echo(line)
    click.echo(f"It works for {config.server} by {file}. Look at it: deploy-agent check")


@click.command()
@shared
@click.option("--root", type=ANY_PATH, default=SYSTEM, help="As with install.")
@click.pass_obj
def uninstall(given: dict[str, Path], root: Path) -> None:
    """Stop the service and remove it; configuration and state stay."""
    from deploy_agent.config import SYSTEM_STATE, AgentConfig, load
    from deploy_agent.domain.errors import ConfigError
    from deploy_agent.machine.service import Service, require_root

    root = root.absolute()
    if root == SYSTEM:
        require_root()
    for line in Service(root).uninstall():
        click.echo(line)
    file = config_file(given)
    state = given.get("state")
    try:
        config: AgentConfig | None = load(file, {}, {"state": state})
    except ConfigError:  # it has to go even where nothing of it is right
        config = None
    folder = config.state if config else state or SYSTEM_STATE
    click.echo(
        f"The configuration stays in {file}, and in {folder} the device id, the history and the "
        "packages in progress. An action that runs goes on. Remove them by hand if this computer "
        "is not to be known any more."
    )

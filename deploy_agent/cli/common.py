"""What every command of `deploy-agent` shares: its group, its options, its words for a terminal."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deploy_agent.domain.errors import AgentError, ConfigError, LocalError

if TYPE_CHECKING:
    from deploy_agent.config import AgentConfig

FAILED = 1
# Whoever opens the file says better than click what is wrong with it, and with which exit status.
ANY_PATH = click.Path(path_type=Path, readable=False)
F = TypeVar("F", bound=Callable[..., Any])


class Program(click.Group):
    """Says every error that a person can meet in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except AgentError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            status = error.exit_status if isinstance(error, LocalError) else FAILED
            ctx.exit(status)


def shared(command: F) -> F:
    """Give a command --config and --state; they may also stand before its name."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> None:
        if value is not None:
            ctx.ensure_object(dict)[parameter.name] = value

    for name, text in (
        ("--state", "The folder of the agent's state."),
        ("--config", "The configuration file."),
    ):
        command = click.option(name, type=ANY_PATH, expose_value=False, callback=keep, help=text)(
            command
        )
    return command


def load_config(given: dict[str, Path]) -> "AgentConfig":
    """Return the configuration that the command line, the environment and the file make.

    Raises:
        ConfigError: something in it is wrong or missing.
    """
    from deploy_agent.config import default_file, load

    file = given.get("config")
    with suppress(PermissionError):  # then reading it says so
        if file is not None and not file.exists():
            raise ConfigError(
                f"there is no configuration '{file}'",
                "Write one with: deploy-agent configure --server URL --ca FILE",
            )
    return load(file or default_file(), os.environ, {"state": given.get("state")})


def printable(text: str) -> str:
    """Return `text` without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def show_json(value: Any) -> None:
    """Print `value` as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))

"""What every command of `deploy-agent` shares: its group, its options, its words for a terminal."""

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deploy_agent.domain.errors import AgentError, ConfigError, LocalError

if TYPE_CHECKING:
    from deploy_agent.config import AgentConfig

FAILED = 1
INTERRUPTED = 130  # 128 + SIGINT, as a shell says it
# Whoever opens the file says better than click what is wrong with it, and with which exit status.
ANY_PATH = click.Path(path_type=Path, readable=False)
# What JSON leaves as it is: DEL, the C1 controls, and what turns the direction of a text.
_OBEYED = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
F = TypeVar("F", bound=Callable[..., Any])


class Program(click.Group):
    """Says every error that a person can meet in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Stopped by Ctrl-C; nothing was under way.", err=True)
            ctx.exit(INTERRUPTED)
        except AgentError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            status = error.exit_status if isinstance(error, LocalError) else FAILED
            ctx.exit(status)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly when `| head` has seen enough
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"Error: {where}{error.strerror or error}", err=True)
            ctx.exit(FAILED)


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


def load_config(given: dict[str, Path], *, believe: bool = False) -> "AgentConfig":
    """Return the configuration that the command line, the environment and the file make.

    Args:
        given: --config and --state.
        believe: refuse, as root, what others could have written; for commands that act on it.

    Raises:
        ConfigError: something in it is wrong or missing.
    """
    from deploy_agent.config import load

    file = config_file(given)
    with suppress(PermissionError):  # then reading it says so
        if "config" in given and not file.exists():
            raise ConfigError(
                f"there is no configuration '{file}'",
                "Write one with: deploy-agent configure --server URL --ca FILE",
            )
    config = load(file, os.environ, {"state": given.get("state")})
    if believe:
        from deploy_agent.machine.owners import check_believable

        for what, path in config.believed(file):
            check_believable(path, what)
    return config


def config_file(given: dict[str, Path]) -> Path:
    """Return the whole path of the configuration file."""
    from deploy_agent.config import default_file

    return (given.get("config") or default_file()).expanduser().absolute()


def printable(text: str) -> str:
    """Return `text` without anything that a terminal would obey."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def local_time(text: str) -> str:
    """Return a time of the state as people read it: by this computer's clock, to the second."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table; the first row is its head."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        texts = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield "  ".join(texts).rstrip()


def show_json(value: Any) -> None:
    """Print `value` as JSON, without anything that a terminal would obey."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(_OBEYED.sub(lambda found: f"\\u{ord(found.group()):04x}", text))

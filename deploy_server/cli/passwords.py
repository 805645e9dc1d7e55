"""Passwords on the command line: out of a file or standard input, else made; never an argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deploy_server.domain.errors import SpecError
from deploy_server.services import accounts

Command = TypeVar("Command", bound=Callable[..., Any])


def password_option(command: Command) -> Command:
    """Give a command ``--password-file F``; its function takes ``password_file``."""
    return click.option(
        "--password-file",
        type=click.Path(path_type=Path, allow_dash=True),
        metavar="F",
        help="Read the password from this file, or from standard input (-). "
        "Without it one is made and printed once.",
    )(command)


def take_password(file: Path | None) -> tuple[str, bool]:
    """The password, and whether it was made here and has to be shown.

    The line's end is not part of it; only the first line counts.
    """
    if file is None:
        return accounts.make_password(), True
    with click.open_file(str(file), "rb") as stream:
        line = stream.readline().rstrip(b"\r\n")
    try:
        return line.decode(), False
    except UnicodeDecodeError:
        raise SpecError("password", f"{file} is not UTF-8 text") from None


def show_password(name: str, password: str, *, made: bool) -> None:
    """Print a password that was made here, once."""
    if made:
        click.echo(f"The password of {name}, shown only now: {password}")

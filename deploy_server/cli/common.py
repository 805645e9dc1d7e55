"""What every command shares: the data directory, a session, errors in one line, JSON and tables.

Commands print what programs read on stdout, and what only people read on stderr.
"""

import errno
import getpass
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from deploy_server.config import ServerConfig, data_dir
from deploy_server.domain.errors import DeployError
from deploy_server.services.audit import act_for
from deploy_server.services.backup import load_settled
from deploy_server.storage import schema
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.owning import hand_over
from deploy_server.storage.types import utc_text

Command = TypeVar("Command", bound=Callable[..., Any])

#: Bytes that would move the cursor, change colours or hide text on a terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_OS_HINTS = {
    errno.ENOSPC: "Free some space on that disk",
    errno.EDQUOT: "Free some space on that disk",
    errno.EACCES: "Run this as the user the server belongs to, or correct the rights",
    errno.EPERM: "Run this as the user the server belongs to, or correct the rights",
    errno.EROFS: "Make that file system writable",
    errno.ENOENT: "Check the path",
    errno.ENOTDIR: "Check the path",
    errno.EISDIR: "Name a file, not a folder",
}


def data_option(command: Command) -> Command:
    """Give a command ``--data DIR``; its function takes ``data: Path``.

    What root's command leaves there belongs to whom the directory belongs.
    """

    def chosen(context: click.Context, _parameter: click.Parameter, value: str | None) -> Path:
        data = data_dir(value)
        context.call_on_close(lambda: hand_over(data))
        return data

    return click.option(
        "--data",
        metavar="DIR",
        callback=chosen,
        help="Where the server keeps everything. "
        "[default: $DEPLOY_SERVER_DATA, else /var/lib/deploy-server for root]",
    )(command)


def json_option(command: Command) -> Command:
    """Give a command ``--json``; its function takes ``as_json: bool``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


@contextmanager
def open_session(data: Path) -> Iterator[Session]:
    """A session on the database of an initialised directory whose schema fits this program.

    Nothing is committed for the caller: ``with open_session(data) as session, session.begin():``.
    """
    with open_server(data) as (_config, session):
        yield session


@contextmanager
def open_server(data: Path) -> Iterator[tuple[ServerConfig, Session]]:
    """The same as `open_session`, for commands that need the configuration too."""
    config = load_settled(data)
    engine = make_engine(config.database_url)
    try:
        schema.require_current(engine)
        with session_factory(engine)() as session:
            yield config, session
    finally:
        engine.dispose()


def now() -> datetime:
    """This moment, in UTC and whole seconds, as the database keeps it."""
    return datetime.now(UTC).replace(microsecond=0)


def actor() -> str:
    """Who acts, for the records: the login name on this machine."""
    return f"{getpass.getuser()} (command line)"


def say(text: str) -> None:
    """Tell the person at the terminal something that no program reads."""
    click.echo(text, err=True)


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 computer, 2 computers."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """The verb that goes with it: 1 computer is, 2 computers are."""
    return "is" if number == 1 else "are"


def print_json(value: Any) -> None:
    """Print one JSON document on stdout; times are UTC with Z."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_as_json))


def print_rows(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool, empty: str
) -> None:
    """Print a listing: every name of every row as JSON, or the named columns as a table.

    Args:
        rows: all with the same names, the ones that ``show`` has.
        columns: which of them a person sees, in this order.
        as_json: what ``--json`` said.
        empty: what a person reads instead of an empty table, on stderr.
    """
    if as_json:
        print_json(list(rows))
    elif rows:
        print_table(columns, ([row[name] for name in columns] for row in rows))
    else:
        say(empty)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print aligned columns with a heading on stdout."""
    heading = [title.upper().replace("_", " ") for title in titles]
    lines = [heading, *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def plain(value: Any) -> str:
    """A value as text that is safe on a terminal, whoever wrote it; None is ``-``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "-"
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))


def _as_json(value: Any) -> str:
    if isinstance(value, datetime):
        return utc_text(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Program(click.Group):
    """A group of commands whose refusals are one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn what people can mend into `Refusal`."""
        act_for(actor(), "command line")
        try:
            return super().invoke(ctx)
        except DeployError as error:
            raise Refusal(str(error)) from error
        except DBAPIError as error:
            raise Refusal(_one_line(f"the database refused: {error.orig}")) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly when `| head` has seen enough
            where = f"{error.filename}: " if error.filename else ""
            why = f"{where}{error.strerror or error}"
            hint = _OS_HINTS.get(error.errno or 0)
            raise Refusal(_one_line(f"{why}. {hint}" if hint else why)) from error


class Refusal(click.ClickException):
    """The command was refused or failed; nothing else needs to be said."""

    def show(self, file: Any = None) -> None:
        """Print the line on stderr."""
        click.echo(plain(self.message), err=True, file=file)


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""`deploy-server user`: who may log in to the console."""

from pathlib import Path

import click

from deploy_server.cli.common import data_option, json_option, now, open_session, print_rows, say
from deploy_server.cli.passwords import password_option, show_password, take_password
from deploy_server.services import accounts

_COLUMNS = ("name", "role", "tags", "disabled", "last_login")


@click.group()
def user() -> None:
    """People who may log in to the console."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(accounts.ROLES), default="viewer", show_default=True)
@click.option(
    "--tag",
    "tags",
    metavar="T",
    multiple=True,
    help="See only computers with this tag; repeat it for more. [default: every computer]",
)
@password_option
@data_option
def add(
    data: Path, name: str, role: str, tags: tuple[str, ...], password_file: Path | None
) -> None:
    """Let somebody log in."""
    password, made = take_password(password_file)
    with open_session(data) as session, session.begin():
        added = accounts.add_user(session, name, password, role, tags, now=now())
    say(f"{added.name} may log in as {role}")
    show_password(added.name, password, made=made)


@user.command("list")
@json_option
@data_option
def list_command(data: Path, as_json: bool) -> None:
    """List everybody, disabled ones too."""
    with open_session(data) as session:
        listed = accounts.list_users(session)
    rows = [
        {
            "name": each.name,
            "role": each.role,
            "tags": list(each.tags),
            "disabled": each.disabled_at is not None,
            "created": each.created_at,
            "last_login": each.last_login,
            "locked_until": each.locked_until,
        }
        for each in listed
    ]
    print_rows(rows, _COLUMNS, as_json=as_json, empty="Nobody may log in")


@user.command()
@click.argument("name")
@data_option
def disable(data: Path, name: str) -> None:
    """Log somebody out everywhere and keep them out."""
    with open_session(data) as session, session.begin():
        disabled = accounts.disable_user(session, name, now=now())
    say(f"{disabled.name} may no longer log in")


@user.command()
@click.argument("name")
@data_option
def enable(data: Path, name: str) -> None:
    """Let somebody in again who was disabled, or locked after too many wrong passwords."""
    with open_session(data) as session, session.begin():
        enabled = accounts.enable_user(session, name, now=now())
    say(f"{enabled.name} may log in again")


@user.command()
@click.argument("name")
@password_option
@data_option
def password(data: Path, name: str, password_file: Path | None) -> None:
    """Give somebody another password; they are logged out everywhere."""
    new, made = take_password(password_file)
    with open_session(data) as session, session.begin():
        changed = accounts.set_password(session, name, new, now=now())
    say(f"{changed.name} has another password")
    show_password(changed.name, new, made=made)

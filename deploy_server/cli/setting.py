"""`deploy-server setting`: OCS's options, for everybody, a group or one computer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from sqlalchemy.orm import Session

from deploy_server.cli.common import (
    actor,
    data_option,
    json_option,
    now,
    open_session,
    print_rows,
    say,
)
from deploy_server.services import settings
from deploy_server.services.settings import EVERYBODY, Scope, SettingView

Command = TypeVar("Command", bound=Callable[..., Any])

_COLUMNS = ("name", "value", "unit", "default", "meaning")


def _scope_options(command: Command) -> Command:
    command = click.option("--group", metavar="NAME", help="For whoever is in the group.")(command)
    return click.option("--computer", metavar="DEVICEID", help="For one computer.")(command)


def _scope(session: Session, computer: str | None, group: str | None) -> Scope:
    if computer is not None and group is not None:
        raise click.UsageError("A value is for a --computer or for a --group, not for both.")
    if computer is not None:
        return settings.computer_scope(session, computer)
    return EVERYBODY if group is None else settings.group_scope(session, group)


@click.group()
def setting() -> None:
    """Options by their OCS names; a computer's value counts before its groups' and everybody's."""


@setting.command("list")
@_scope_options
@data_option
@json_option
def list_command(data: Path, computer: str | None, group: str | None, as_json: bool) -> None:
    """List the options with their values."""
    with open_session(data) as session:
        views = settings.list_settings(session, _scope(session, computer, group))
    print_rows([_record(view) for view in views], _COLUMNS, as_json=as_json, empty="")


@setting.command("get")
@click.argument("name")
@_scope_options
@data_option
def get_command(data: Path, name: str, computer: str | None, group: str | None) -> None:
    """Print one value."""
    with open_session(data) as session:
        view = settings.get_setting(session, name, _scope(session, computer, group))
    click.echo(view.value)


@setting.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("value")
@_scope_options
@data_option
def set_command(data: Path, name: str, value: str, computer: str | None, group: str | None) -> None:
    """Set one value; agents learn it at their next contact."""
    with open_session(data) as session, session.begin():
        scope = _scope(session, computer, group)
        view = settings.set_setting(session, name, value, scope, actor=actor(), now=now())
    say(f"{view.name} is {view.value}{' ' + view.unit if view.unit else ''}")
    if view.warning:
        say(f"Warning: {view.warning}")


@setting.command("unset")
@click.argument("name")
@_scope_options
@data_option
def unset_command(data: Path, name: str, computer: str | None, group: str | None) -> None:
    """Remove a value, so that the next wider one counts again."""
    with open_session(data) as session, session.begin():
        scope = _scope(session, computer, group)
        was_set = settings.unset_setting(session, name, scope, actor=actor(), now=now())
    say(f"{name} is {'back to what counts elsewhere' if was_set else 'not set there'}")


def _record(view: SettingView) -> dict[str, Any]:
    return {
        "name": view.name,
        "value": view.value,
        "is_set": view.is_set,
        "default": view.default,
        "unit": view.unit,
        "meaning": view.meaning,
    }

"""`deploy-server group`: make groups and say who is in them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from deploy_server.cli.common import (
    actor,
    counted,
    data_option,
    json_option,
    now,
    open_session,
    plain,
    print_json,
    print_rows,
    say,
)
from deploy_server.services import groups

_COLUMNS = ("name", "kind", "members", "visible", "expression", "description")


@click.group()
def group() -> None:
    """Groups of computers."""


@group.command("add")
@click.argument("name")
@click.option("--static", is_flag=True, help="Computers are put in by hand (the default).")
@click.option("--dynamic", "expression", metavar="EXPR", help="Whoever matches, at any time.")
@click.option("--visible", is_flag=True, help="Operators may put their computers into it.")
@click.option("--description", default="", metavar="TEXT")
@data_option
def add_command(
    data: Path, name: str, static: bool, expression: str | None, visible: bool, description: str
) -> None:
    """Make a group."""
    if static and expression is not None:
        raise click.UsageError("A group is --static or --dynamic, not both.")
    with open_session(data) as session, session.begin():
        made = groups.add_group(
            session,
            name,
            expression=expression,
            description=description,
            visible=visible,
            actor=actor(),
            now=now(),
        )
    say(f"Made the {made.kind} group {made.name}; it has {counted(made.members, 'member')}")


@group.command("list")
@data_option
@json_option
def list_command(data: Path, as_json: bool) -> None:
    """List the groups."""
    with open_session(data) as session:
        rows = [_record(row) for row in groups.list_groups(session, now=now())]
    empty = "There are no groups; `deploy-server group add NAME` makes one"
    print_rows(rows, _COLUMNS, as_json=as_json, empty=empty)


@group.command("show")
@click.argument("name")
@data_option
@json_option
def show_command(data: Path, name: str, as_json: bool) -> None:
    """Show a group and who is in it."""
    with open_session(data) as session:
        record = _record(groups.get_group(session, name, now=now()))
        record["device_ids"] = list(_member_ids(session, name))
    if as_json:
        print_json(record)
        return
    members = record.pop("device_ids")
    for key, value in record.items():
        click.echo(f"{key.replace('_', ' '):12}  {plain(value)}")
    for device_id in members:
        click.echo(plain(device_id))


@group.command("delete")
@click.argument("name")
@data_option
def delete_command(data: Path, name: str) -> None:
    """Remove a group, its settings and its assignments; no computer is touched."""
    with open_session(data) as session, session.begin():
        groups.delete_group(session, name, now=now())
    say(f"Deleted the group {name}")


def _by_hand(
    name: str, change: Callable[..., int], done: str, description: str, *, named: bool = True
) -> None:
    """Add the command `name`, which applies `change` to a group and computers."""

    @group.command(name, help=description)
    @click.argument("group_name", metavar="NAME")
    @click.argument("device_ids", metavar="DEVICEID...", nargs=-1, required=True)
    @data_option
    def command(data: Path, group_name: str, device_ids: tuple[str, ...]) -> None:
        who: dict[str, Any] = {"actor": actor()} if named else {}
        with open_session(data) as session, session.begin():
            number = change(session, group_name, device_ids, now=now(), **who)
        say(f"{done} {number} of {len(device_ids)}")


_by_hand("include", groups.include, "Included", "Put computers into a group.")
_by_hand("exclude", groups.exclude, "Excluded", "Keep computers out, whatever the expression says.")
_by_hand(
    "reset", groups.reset, "Reset", "Forget what was said by hand about computers.", named=False
)


def _member_ids(session: Session, name: str) -> Iterator[str]:
    moment, number = now(), 1
    while True:
        page = groups.group_members(session, name, now=moment, page=number, page_size=1000)
        yield from (row.device_id for row in page.rows)
        if number >= page.pages:
            return
        number += 1


def _record(row: groups.GroupRow) -> dict[str, Any]:
    record = asdict(row)
    del record["id"]
    return record

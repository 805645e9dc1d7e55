"""`deploy-server computer`: look at computers, search them, tag them, delete them."""

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
    print_table,
    say,
)
from deploy_server.domain.telling import Told
from deploy_server.services import computers, fleet, status, withdrawing
from deploy_server.services.assigning import Selection

_COLUMNS = ("device_id", "name", "tag", "os", "ip", "last_contact", "last_inventory")


@click.group()
def computer() -> None:
    """Computers: what their agents say of them."""


@computer.command("list")
@data_option
@json_option
def list_command(data: Path, as_json: bool) -> None:
    """List every computer, by name."""
    _print_matching(data, "", as_json, "There are no computers yet; the first contact makes one")


@computer.command("search")
@click.argument("expression", metavar="EXPR")
@data_option
@json_option
def search_command(data: Path, expression: str, as_json: bool) -> None:
    """List the computers that match EXPR, such as 'os ~ debian and last_contact < 7d'."""
    _print_matching(data, expression, as_json, "No computer matches")


@computer.command("show")
@click.argument("device_id", metavar="DEVICEID")
@data_option
@json_option
def show_command(data: Path, device_id: str, as_json: bool) -> None:
    """Show one computer and how far its packages are."""
    with open_session(data) as session:
        found = _show(session, device_id)
    if as_json:
        print_json(found)
        return
    deployments, withdrawn = found.pop("deployments"), found.pop("withdrawn")
    width = max(map(len, found))
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {plain(value)}")
    if deployments:
        click.echo()
        titles = ("package", "name", "status", "since", "reason")
        print_table(titles, ([each[title] for title in titles] for each in deployments))
    else:
        say("No package is assigned to it")
    if withdrawn:
        click.echo()
        titles = ("package", "name", "at", "by", "word")
        rows = ({**each, "word": each["word"] or "not answered yet"} for each in withdrawn)
        click.echo("Taken back after the agent was told:")
        print_table(titles, ([each[title] for title in titles] for each in rows))


@computer.command("delete")
@click.argument("device_ids", metavar="DEVICEID...", nargs=-1, required=True)
@data_option
def delete_command(data: Path, device_ids: tuple[str, ...]) -> None:
    """Forget computers; their results stay in history, and an agent that contacts is back."""
    with open_session(data) as session, session.begin():
        number = computers.delete_computers(session, device_ids, actor=actor(), now=now())
    say(f"Deleted {counted(number, 'computer')}")


@computer.command("tag")
@click.argument("tag", metavar="TAG")
@click.argument("device_ids", metavar="[DEVICEID]...", nargs=-1)
@click.option("--search", "expression", metavar="EXPR", help="All that match, instead of ids.")
@data_option
def tag_command(data: Path, tag: str, device_ids: tuple[str, ...], expression: str | None) -> None:
    """Give computers TAG; '' takes it away, and the agent's own counts again.

    Agents learn it with the answer to their next inventory.
    """
    if bool(device_ids) == (expression is not None):
        raise click.UsageError("Name computers, or give --search EXPR, and not both")
    selection = Selection(device_ids=device_ids or None, expression=expression)
    with open_session(data) as session, session.begin():
        number = fleet.set_tag(session, selection, tag, actor=actor(), now=now())
    say(f"Changed the tag of {counted(number, 'computer')}")


def as_record(row: computers.ComputerRow) -> dict[str, Any]:
    """Return `row` with the names that JSON has."""
    record = asdict(row)
    del record["id"]
    return record


def _print_matching(data: Path, expression: str, as_json: bool, empty: str) -> None:
    with open_session(data) as session:
        found = computers.iter_computers(session, expression, now=now())
        print_rows([as_record(row) for row in found], _COLUMNS, as_json=as_json, empty=empty)


def _show(session: Session, device_id: str) -> dict[str, Any]:
    row = computers.get_computer(session, device_id)
    deployments = [
        {
            "package": f"{each.package:010d}",
            "name": each.name,
            "status": each.status,
            "since": each.since,
            "reason": each.reason,
            "activation": each.activation,
            "group": each.group,
            "attempt": each.attempt,
            "force": each.force,
            "schedule": each.schedule,
            "postcmd": each.postcmd,
            "assigned_at": each.assigned_at,
            "assigned_by": each.assigned_by,
            **_told(each.told),
        }
        for each in status.computer_deployments(session, row.id, now=now())
    ]
    withdrawn = [
        {**asdict(each), "package": f"{each.package:010d}"}
        for each in withdrawing.withdrawn_from(session, row.id)
    ]
    return {**as_record(row), "deployments": deployments, "withdrawn": withdrawn}


def _told(told: Told | None) -> dict[str, Any]:
    """Return what our agent said last; nothing where it said nothing."""
    return {
        "state": told.state if told else None,
        "state_at": told.at if told else None,
        "done": told.done if told else None,
        "total": told.total if told else None,
        "exit_code": told.exit_code if told else None,
        "output": told.output if told else "",
        "truncated": told.truncated if told else False,
    }

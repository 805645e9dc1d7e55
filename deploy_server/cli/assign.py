"""`deploy-server assign`, `unassign`, `stats` and `validate`: packages and computers together."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from deploy_agent.wire.result import ResultClass
from deploy_server.cli.common import (
    actor,
    counted,
    data_option,
    json_option,
    now,
    open_session,
    plain,
    print_json,
    print_table,
    say,
)
from deploy_server.domain.errors import NotFound
from deploy_server.services import assigning, status
from deploy_server.services.assigning import AssignResult, Selection

Command = TypeVar("Command", bound=Callable[..., Any])


def _selectors(command: Command) -> Command:
    for option in (
        click.option("--group", metavar="NAME", help="Whoever is in the group, now and later."),
        click.option("--search", metavar="EXPR", help="Whoever matches now."),
        click.option("--computer", "computers", metavar="DEVICEID", multiple=True),
    ):
        command = option(command)
    return command


def _selection(
    computers: tuple[str, ...], search: str | None, group: str | None, *, other: str = ""
) -> Selection:
    """Return what the three options say; they exclude each other."""
    if sum((bool(computers), search is not None, group is not None)) != 1:
        raise click.UsageError(f"Say whom: one of --computer, --search, --group{other}.")
    if search is not None and not search.strip():
        # An empty variable of a script must not mean the whole fleet.
        raise click.UsageError("--search is empty. For every computer: 'device_id is not empty'.")
    return Selection(device_ids=computers or None, expression=search, group=group)


@click.command()
@click.argument("target", metavar="ACTIVATION|PACKAGE")
@_selectors
@click.option("--force", is_flag=True, help="Also where the computer has done it before.")
@click.option("--only-new", is_flag=True, help="Only where it never succeeded.")
@click.option("--schedule", default="", metavar="'YYYY/MM/DD HH:MM'", help="The computer's time.")
@click.option("--postcmd", default="", metavar="C", help="REBOOT, SHUTDOWN or a command line.")
@data_option
@json_option
def assign(
    data: Path,
    target: str,
    computers: tuple[str, ...],
    search: str | None,
    group: str | None,
    force: bool,
    only_new: bool,
    schedule: str,
    postcmd: str,
    as_json: bool,
) -> None:
    """Give a package to computers; who had it before starts again."""
    selection = _selection(computers, search, group)
    with open_session(data) as session, session.begin():
        done = assigning.assign(
            session,
            target,
            selection,
            force=force,
            only_new=only_new,
            schedule=schedule,
            postcmd=postcmd,
            actor=actor(),
            now=now(),
        )
    if as_json:
        skipped = [{"device_id": each.device_id, "reason": each.reason} for each in done.skipped]
        print_json({"assigned": done.assigned, "skipped": skipped})
    else:
        _say_assigned(done)


def _say_assigned(done: AssignResult) -> None:
    click.echo(f"Assigned to {counted(done.assigned, 'computer')}")
    for reason, number in Counter(each.reason for each in done.skipped).most_common():
        say(f"Skipped {number}: {plain(reason)}")


@click.command()
@click.argument("target", metavar="ACTIVATION|PACKAGE")
@_selectors
@click.option("--not-notified", is_flag=True, help="Whoever was not told of it yet.")
@data_option
def unassign(
    data: Path,
    target: str,
    computers: tuple[str, ...],
    search: str | None,
    group: str | None,
    not_notified: bool,
) -> None:
    """Take a package back; what a computer has done already stays done."""
    anybody = bool(computers) or search is not None or group is not None
    if not_notified and anybody:
        raise click.UsageError("--not-notified stands alone.")
    selection = (
        None if not_notified else _selection(computers, search, group, other=", --not-notified")
    )
    with open_session(data) as session, session.begin():
        number = assigning.unassign(
            session, target, selection, not_notified=not_notified, actor=actor(), now=now()
        )
    click.echo(f"Unassigned from {counted(number, 'computer')}")


@click.command()
@click.argument("package", metavar="PACKAGE")
@click.option("--by", type=click.Choice(["status", "group", "hour"]), default="status")
@data_option
@json_option
def stats(data: Path, package: str, by: Literal["status", "group", "hour"], as_json: bool) -> None:
    """Show how far a package is on its computers."""
    package_id = package_number(package)
    with open_session(data) as session:
        counts = status.package_status(session, package_id, now=now())
        slices = status.statistics(session, package_id, by=by, now=now())
    if as_json:
        found = {"package": package, "total": counts.total, "by_status": counts.by_status}
        print_json(found if by == "status" else {**found, f"by_{by}": _as_json(slices)})
        return
    names = [each.name.lower() for each in ResultClass]
    rows = [(each.key, each.total, *(_count(each, name) for name in names)) for each in slices]
    sums = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    rows.append(("total", *(sums or [0] * (len(names) + 1))))
    print_table([by, "computers", *names], rows)


def _count(each: status.Slice, name: str) -> int:
    return each.by_class.get(ResultClass[name.upper()], 0)


def _as_json(slices: list[status.Slice]) -> dict[str, dict[str, int]]:
    names = [each.name.lower() for each in ResultClass]
    return {
        each.key: {"total": each.total, **{name: _count(each, name) for name in names}}
        for each in slices
    }


@click.command()
@click.argument("package", metavar="PACKAGE")
@click.option("--success", "what", flag_value="success", help="Clear those that succeeded.")
@click.option("--not-notified", "what", flag_value="not_notified", help="Withdraw those that wait.")
@click.option("--all", "what", flag_value="all", help="Clear every one, errors too.")
@data_option
def validate(data: Path, package: str, what: status.Validation | None) -> None:
    """Take computers out of a package's counters; their results stay in history."""
    if what is None:
        raise click.UsageError("Say which: --success, --not-notified or --all.")
    with open_session(data) as session, session.begin():
        number = status.validate(session, package_number(package), what, actor=actor(), now=now())
    click.echo(f"Cleared {counted(number, 'computer')}")


def package_number(text: str) -> int:
    """Return the id that somebody typed.

    Raises:
        NotFound: it is no package id.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound(
            f"there is no package {text}", "`deploy-server package list` shows their ids"
        )
    return int(text)

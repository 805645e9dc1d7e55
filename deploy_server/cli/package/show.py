"""`deploy-server package list`, `show`, `hide`, `delete`, `export` and `lint`."""

import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from deploy_server.cli.common import (
    actor,
    are,
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
from deploy_server.cli.package.group import open_store, package
from deploy_server.services import packages, status
from deploy_server.services.activation import list_activations
from deploy_server.services.describing import describe_package
from deploy_server.services.hiding import set_hidden
from deploy_server.services.linting import lint as findings_in
from deploy_server.storage.models import Activation

_COLUMNS = (
    *("id", "name", "os", "action", "priority", "fragments", "size", "activations"),
    *("waiting", "notified", "success", "error"),
)


@package.command("list")
@click.option("--deleted", is_flag=True, help="Those that were deleted.")
@data_option
@json_option
def list_command(data: Path, deleted: bool, as_json: bool) -> None:
    """List the packages, newest first."""
    with open_session(data) as session:
        rows = packages.list_packages(session, now=now(), deleted=deleted)
        activations: dict[int, list[Activation]] = defaultdict(list)
        for each in list_activations(session):
            activations[each.package_id].append(each)
        found = [
            describe_package(row.package, activations[row.package.id], row.status) for row in rows
        ]
    if as_json:
        print_json(found)
    elif found:
        print_table(_COLUMNS, ([_cell(each, column) for column in _COLUMNS] for each in found))
    else:
        say("There are none. Build one: deploy-server package build --help")


@package.command()
@click.argument("package_id", metavar="ID")
@data_option
@json_option
def show(data: Path, package_id: str, as_json: bool) -> None:
    """Show everything about a package."""
    with open_session(data) as session:
        found = packages.get_package(session, package_id, deleted=True)
        described = describe_package(
            found,
            list_activations(session, found.id),
            status.package_status(session, found.id, now=now()),
        )
    if as_json:
        print_json(described)
        return
    described |= described.pop("options")
    for name in described:
        click.echo(f"{name.replace('_', ' ')}:  {plain(_cell(described, name))}")


@package.command()
@click.argument("package_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Show them to everybody again.")
@data_option
def hide(data: Path, package_ids: tuple[str, ...], undo: bool) -> None:
    """Hide packages from operators and viewers of the console; computers notice nothing."""
    with open_session(data) as session, session.begin():
        ids = [packages.get_package(session, each).id for each in package_ids]
        changed = set_hidden(session, ids, not undo, now=now(), actor=actor())
    say(f"{'Showed' if undo else 'Hid'} {counted(len(changed), 'package')}")


@package.command()
@click.argument("package_ids", metavar="ID...", nargs=-1, required=True)
@data_option
def delete(data: Path, package_ids: tuple[str, ...]) -> None:
    """Delete packages with their files, activations and open assignments; results stay."""
    with open_store(data) as (_, session, store):
        ids = [packages.get_package(session, each).id for each in package_ids]
        gone = packages.delete_packages(session, store, ids, now=now(), actor=actor())
    say(
        f"Deleted {counted(gone.packages, 'package')};"
        f" {counted(gone.activations, 'activation')} ended,"
        f" {counted(gone.waiting, 'computer')} {are(gone.waiting)} no longer told,"
        f" {gone.notified} had been told already"
    )


@package.command()
@click.argument("package_id", metavar="ID")
@click.option("-o", "--output", metavar="F", required=True, help="The zip; - is standard output.")
@data_option
def export(data: Path, package_id: str, output: str) -> None:
    """Write the published folder as a zip."""
    with open_store(data) as (_, session, store):
        found = packages.get_package(session, package_id)
        pieces = packages.export_package(session, store, found.id)
        session.rollback()
        with _written(output) as file:
            for piece in pieces:
                file.write(piece)


@package.command()
@click.argument("file", metavar="F")
def lint(file: str) -> None:
    """Check an exported package, or an archive that is to be built; exits 1 with its findings."""
    with Path(file).open("rb") as opened:
        found = findings_in(opened)
    for each in found:
        say(f"{file}: {plain(each)}")
    if found:
        sys.exit(1)
    say(f"{file}: nothing is wrong with it")


def _cell(described: dict[str, Any], column: str) -> Any:
    value = described[column]
    return [each["id"] for each in value] if column == "activations" else value


@contextmanager
def _written(output: str) -> Iterator[BinaryIO]:
    """Yield a file that has its name only when it is complete."""
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)  # also on Ctrl-C
        raise

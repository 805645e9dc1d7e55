"""`deploy-server package build` and `edit`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.cli.common import actor, counted, data_option, json_option, now, print_json, say
from deploy_server.cli.package.activate import activate_built
from deploy_server.cli.package.group import open_store, package
from deploy_server.cli.package.options import fields_of, options_named, spec_options
from deploy_server.cli.package.progress import ProgressReport
from deploy_server.domain.fields import read_spec, write_spec
from deploy_server.domain.layout import package_name
from deploy_server.services import packages, status
from deploy_server.services.activation import is_automatic, list_activations
from deploy_server.services.building import build_package, usual_protocol
from deploy_server.services.describing import describe_package
from deploy_server.services.settings import get_setting
from deploy_server.storage.models import Package


@package.command()
@click.argument("name")
@click.option("--os", required=True, metavar="linux|windows|macos|any")
@click.option("--action", required=True, metavar="launch|execute|store")
@spec_options
@click.option("--hidden", is_flag=True, help="Only administrators see it in the console.")
@data_option
@json_option
def build(data: Path, as_json: bool, name: str, hidden: bool, **options: Any) -> None:
    """Build a package; prints its id."""
    action, file = options["action"], options["file"]
    fields = {"name": name, **fields_of(options, action)}
    with open_store(data) as (config, session, store), options_named(action, file):
        fields.setdefault("protocol", usual_protocol(session))
        spec, warnings = read_spec(fields, file is not None, period_length=_period_length(session))
        with _opened(file) as source, ProgressReport() as progress:
            built = build_package(
                session,
                store,
                spec,
                source,
                now=now(),
                actor=actor(),
                file_name=_name_of(file),
                max_bytes=config.max_package_bytes,
                progress=progress,
                hidden=hidden,
            )
        automatic = is_automatic(session)
        became = activate_built(config, session, store, built) if automatic else []
        _print(built, session, as_json)
        for sentence in became:
            say(sentence)
        _warn(warnings)


@package.command()
@click.argument("package_id", metavar="ID")
@click.option("--name", metavar="NAME")
@click.option("--os", metavar="linux|windows|macos|any")
@click.option("--action", metavar="launch|execute|store")
@spec_options
@data_option
@json_option
def edit(data: Path, as_json: bool, package_id: str, **options: Any) -> None:
    """Change a package under its id; what is not given stays, an empty text removes a message."""
    if not any(value not in (None, (), False) for value in options.values()):
        raise click.UsageError("Say what to change: give at least one option.")
    file = options["file"]
    with open_store(data) as (config, session, store):
        before = packages.get_package(session, package_id)
        action = options["action"] or before.action
        fields = _changed(write_spec(packages.spec_of(before)), fields_of(options, action))
        with options_named(action, file):
            spec, warnings = read_spec(
                fields,
                file is not None or before.fragments > 0,
                period_length=_period_length(session),
            )
            with _opened(file) as source, ProgressReport() as progress:
                changed = packages.edit_package(
                    session,
                    store,
                    before.id,
                    spec,
                    source,
                    now=now(),
                    actor=actor(),
                    file_name=_name_of(file),
                    max_bytes=config.max_package_bytes,
                    progress=progress,
                )
        _print(changed, session, as_json)
        _warn([*warnings, *_about_holders(session, changed, file is not None)])


def _changed(fields: dict[str, str], changes: dict[str, str]) -> dict[str, str]:
    """Return the fields of an edited package: an empty text takes a dialog away."""
    if "fragments" in changes:
        fields.pop("fragment_size", None)
    fields |= changes
    if not fields.get("notify_text"):
        for name in ("notify_text", "notify_countdown", "can_abort", "can_delay"):
            fields.pop(name, None)
    if not fields.get("done_text"):
        fields.pop("done_text", None)
    return fields


def _about_holders(session: Session, changed: Package, new_file: bool) -> list[str]:
    found = status.package_status(session, changed.id, now=now())
    told = found.by_class.get(ResultClass.NOTIFIED, 0)
    if not told:
        return []
    also = " and end with ERR_BAD_DIGEST where they are downloading" if new_file else ""
    return [
        f"{counted(told, 'computer')} {'was' if told == 1 else 'were'} told of the package before:"
        " our agents take the new revision,"
        f" agents of OCS keep the old info file{also}. A new package avoids that."
    ]


def _period_length(session: Session) -> int:
    return int(get_setting(session, "DOWNLOAD_PERIOD_LENGTH").value)


@contextmanager
def _opened(file: str | None) -> Iterator[BinaryIO | None]:
    """Yield the file; a signal to end works like Ctrl-C meanwhile, so that nothing is left."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if file is None or file == "-":
            yield None if file is None else sys.stdin.buffer
        else:
            with Path(file).open("rb", buffering=0) as source:
                yield source
    finally:
        signal.signal(signal.SIGTERM, before)


def _name_of(file: str | None) -> str:
    return "" if file in (None, "-") else Path(str(file)).name


def _print(made: Package, session: Session, as_json: bool) -> None:
    if as_json:
        print_json(describe_package(made, list_activations(session, made.id)))
        return
    click.echo(package_name(made.id))
    content = "a command without a file"
    if made.fragments:
        plural = "" if made.fragments == 1 else "s"
        content = f"{made.size} bytes in {made.fragments} fragment{plural}"
    say(f"{made.name}: revision {made.revision}, {content}")


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        say(f"Warning: {warning}")

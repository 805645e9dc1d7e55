"""`deploy-server package activate`, `activations` and `deactivate`."""

from pathlib import Path

import click
from sqlalchemy.orm import Session

from deploy_server.cli.common import (
    actor,
    are,
    counted,
    data_option,
    json_option,
    now,
    open_session,
    print_json,
    print_rows,
    say,
)
from deploy_server.cli.package.group import open_store, package
from deploy_server.cli.package.options import options_named
from deploy_server.config import ServerConfig
from deploy_server.domain.errors import Conflict, SpecErrors
from deploy_server.domain.layout import package_name
from deploy_server.domain.location import is_local
from deploy_server.services import activation, packages
from deploy_server.services.assigning import find_activation
from deploy_server.services.describing import describe_activation
from deploy_server.storage.fragments import FragmentStore
from deploy_server.storage.models import Activation, Package

_COLUMNS = ("id", "package", "info_url", "fragment_url", "created_at", "created_by")


@package.command()
@click.argument("package_id", metavar="ID")
@click.option("--info-url", metavar="H/P", help="Where the info file is, over HTTPS.")
@click.option("--fragment-url", metavar="H/P", help="Where the fragments are.")
@click.option("--no-check", is_flag=True, help="Do not look whether they are there.")
@data_option
@json_option
def activate(
    data: Path,
    package_id: str,
    info_url: str | None,
    fragment_url: str | None,
    no_check: bool,
    as_json: bool,
) -> None:
    """Say where agents find a package; prints the id of the activation."""
    with open_store(data) as (config, session, store), options_named("", None):
        found = packages.get_package(session, package_id)
        info, fragments = activation.default_locations(session, config, found)
        info = info if info_url is None else info_url
        fragments = fragments if fragment_url is None else fragment_url
        if not no_check:
            _check(session, config, store, found, info, fragments)
        made = activation.activate(session, found, info, fragments, now=now(), actor=actor())
        session.commit()
    if as_json:
        print_json(describe_activation(made))
    else:
        click.echo(f"A{made.id}")
    for warning in _about_places(made):
        say(warning)


@package.command()
@click.argument("package_id", metavar="[ID]", required=False)
@data_option
@json_option
def activations(data: Path, package_id: str | None, as_json: bool) -> None:
    """List the activations, of one package or of all."""
    with open_session(data) as session:
        wanted = None if package_id is None else packages.get_package(session, package_id).id
        rows = [describe_activation(each) for each in activation.list_activations(session, wanted)]
    empty = "There are none. Activate a package: deploy-server package activate ID"
    print_rows(rows, _COLUMNS, as_json=as_json, empty=empty)


@package.command()
@click.argument("targets", metavar="ACTIVATION...", nargs=-1, required=True)
@data_option
def deactivate(data: Path, targets: tuple[str, ...]) -> None:
    """End activations: files stay, no computer is touched, who waits is no longer told."""
    with open_session(data) as session, session.begin():
        ids = [find_activation(session, each).id for each in targets]
        gone = activation.deactivate(session, ids, now=now(), actor=actor())
    say(
        f"Ended {counted(gone.activations, 'activation')};"
        f" {counted(gone.waiting, 'computer')} {are(gone.waiting)} no longer told,"
        f" {gone.notified} were told already"
    )


def activate_built(
    config: ServerConfig, session: Session, store: FragmentStore, built: Package
) -> list[str]:
    """Activate a package at the usual addresses if agents would find it there; say what became.

    It has been built either way, so what is in the way is no error.
    """
    info, fragments = activation.default_locations(session, config, built)
    try:
        _check(session, config, store, built, info, fragments)
        made = activation.activate(session, built, info, fragments, now=now(), actor=actor())
        session.commit()
    except (Conflict, SpecErrors) as error:
        session.rollback()
        again = f"When that is corrected: deploy-server package activate {package_name(built.id)}"
        return [f"Warning: DOWNLOAD_AUTO_ACTIVATE did not activate it: {error.message}", again]
    return [f"Activated as A{made.id}, as DOWNLOAD_AUTO_ACTIVATE says", *_about_places(made)]


def _about_places(made: Activation) -> list[str]:
    return [
        f"Warning: agents that are told {place} would look on themselves."
        for place in dict.fromkeys((made.info_url, made.fragment_url))
        if is_local(place)
    ]


def _check(
    session: Session,
    config: ServerConfig,
    store: FragmentStore,
    found: Package,
    info: str,
    fragments: str,
) -> None:
    """Look as agents would; nothing is locked meanwhile.

    Raises:
        Conflict: something is not there.
    """
    session.commit()
    checks = activation.check_locations(config, store, found, info, fragments)
    wrong = [f"{each.url}: {each.sentence.rstrip('.')}" for each in checks if not each.ok]
    if wrong:
        raise Conflict("; ".join(wrong), "Correct that, or give --no-check")

"""`deploy-server run`: the server itself."""

import dataclasses
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy.exc import DBAPIError

from deploy_server.cli.common import data_option, now, open_server
from deploy_server.config import FACES, LOG_FORMATS, ServerConfig
from deploy_server.domain.errors import DeployError
from deploy_server.services.audit import sweep_audit
from deploy_server.services.backup import clear, load_settled
from deploy_server.services.backup.switching import AREA
from deploy_server.services.events import sweep_events
from deploy_server.services.refusals import sweep_refusals
from deploy_server.services.settings import audit_days
from deploy_server.services.status import sweep_results
from deploy_server.services.sweeping import sweep_orphans
from deploy_server.storage.statistics import refresh_statistics
from deploy_server.storage.stores import fragment_store

log = logging.getLogger(__name__)


@click.command()
@click.option("--bind", metavar="A", help="The address to listen on. [default: all, IPv4 and IPv6]")
@click.option("--http-port", type=click.IntRange(0, 65535), help="For fragments. [default: 8080]")
@click.option(
    "--https-port", type=click.IntRange(0, 65535), help="For everything else. [default: 8443]"
)
@click.option("--workers", type=click.IntRange(1, 64), help="Processes for each port. [default: 1]")
@click.option("--log-format", type=click.Choice(LOG_FORMATS), help="[default: text]")
@click.option("--faces", help=f"The parts to answer with. [default: {','.join(FACES)}]")
@data_option
def run(data: Path, faces: str | None, **options: Any) -> None:
    """Run the server until Ctrl-C or SIGTERM; it logs to standard error.

    What agents do goes to DIR/log, a file for each day; a week of them is kept.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if faces is not None:
        given["faces"] = tuple(part.strip() for part in faces.split(",") if part.strip())
    config = dataclasses.replace(settled(data), **given)
    # Flask and granian take a third of a second to import, which other commands do not need.
    from deploy_server.serving.activity import log_activity_to
    from deploy_server.serving.logs import log_to_stderr
    from deploy_server.serving.run import serve
    from deploy_server.web.app import create_app
    from deploy_server.web.board import Board

    log_to_stderr(config.log_format)
    log_activity_to(config.data / "log")
    board = Board()
    serve(
        config,
        lambda scheme, stopping: create_app(
            config, faces=config.faces, scheme=scheme, stopping=stopping, board=board
        ),
        click.echo,
        lambda: _sweep(data) if config.bucket is None else _apart(data, config.log_format),
    )


def sweep_once(data: Path, log_format: str) -> None:
    """Do what is due once a day, in a process that does nothing else."""
    from deploy_server.serving.logs import log_to_stderr

    log_to_stderr(log_format)
    try:
        _sweep(data)
    except (DeployError, DBAPIError, OSError) as error:
        log.error("Left for tomorrow: %s", error)


def settled(data: Path) -> ServerConfig:
    """The configuration of a directory in which no restoration is half done any more."""
    if (data / AREA).exists():
        # What that takes may have to do with a bucket. Where it fails, it fails here again.
        program = "import sys; from pathlib import Path; from deploy_server.services import backup"
        call = "backup.load_settled(Path(sys.argv[1]))"
        command = [sys.executable, "-c", f"{program}; {call}", str(data)]
        subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    return load_settled(data)


def _apart(data: Path, log_format: str) -> None:
    """Let a process of its own put things in order, and do not wait for that.

    What talks to a bucket has threads, and the parent of all workers must have none.
    """
    program = "import sys; from pathlib import Path; from deploy_server.cli.run import sweep_once"
    call = "sweep_once(Path(sys.argv[1]), sys.argv[2])"
    subprocess.Popen([sys.executable, "-c", f"{program}; {call}", str(data), log_format])


def _sweep(data: Path) -> None:
    """Put package files in order and forget what is old; what was done is logged."""
    with open_server(data) as (config, session):
        clear(config.staging)
        sweep_orphans(session, fragment_store(config), now())
        said = sweep_events(session, now())
        said += sweep_results(session, now())
        sweep_refusals(session, now())
        said += sweep_audit(session, audit_days(session), now())
        refresh_statistics(session)
        for sentence in said:
            log.info("%s", sentence)

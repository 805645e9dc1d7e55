"""`deploy-server backup` and `restore`."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from deploy_server.cli.common import actor, counted, data_option, now, say
from deploy_server.cli.package.progress import ProgressReport
from deploy_server.services import backup as backups
from deploy_server.services.backup import Place, load_settled

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("-o", "--output", metavar="FILE", required=True, type=_FILE, help="Where to.")
@data_option
def backup(data: Path, output: Path) -> None:
    """Save everything in one file, while the server runs.

    It holds the database, the packages, certificates with their keys, server.toml and the key of
    the sessions: whoever has it can be this server. Only its owner can read it; keep it so.
    """
    config = load_settled(data)
    with _ended_by_signals(), ProgressReport() as progress:
        saved = backups.save(config, output, now=now(), actor=actor(), progress=progress)
    for package_id in saved.manifest.missing:
        say(f"Warning: package {package_id} has no files here, so the backup has none either")
    packages = counted(saved.manifest.packages, "package")
    say(f"{output}: {saved.size:,} bytes, {packages}, schema {saved.manifest.schema}")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--replace", is_flag=True, help="Throw away what is in the data directory.")
@data_option
def restore(data: Path, file: Path, replace: bool) -> None:
    """Make the data directory what it was when the backup FILE was made.

    The server must not run. Every byte of the file is verified first; what happens then happens as
    a whole or not at all. DEPLOY_SERVER_DATABASE_URL restores into another database than the
    backup's, DEPLOY_SERVER_PACKAGES packages into a bucket or with "disk" onto the disk: this is
    the way from one to the other and back.
    """
    place = Place(data, os.environ, replace)
    with _ended_by_signals(), ProgressReport() as verified, ProgressReport() as written:
        manifest = backups.restore(
            file, place, now=now(), actor=actor(), verified=verified, written=written
        )
    packages = counted(manifest.packages, "package")
    say(f"Restored {data} as it was at {manifest.made_at}: {packages}")
    say(f"Next: deploy-server run --data {data}")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A signal to end works like Ctrl-C, so that nothing half done is left."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Packages whose fragments come from somewhere else than the server that built them."""

import os
from pathlib import Path

from tests.support.archives import tar_gz
from tests.support.server import RunningServer
from tests.support.webfolder import PlainWebServer


def build(server: RunningServer, folder: Path, *options: str, size: int = 100_000) -> str:
    """A STORE package of ``size`` random bytes, not activated; its id."""
    archive = tar_gz(folder / f"{len(list(folder.iterdir()))}.tar.gz", {"p": os.urandom(size)})
    made = server.json(
        "package",
        "build",
        f"{folder} {archive.name}",
        "--os",
        "linux",
        "--action",
        "store",
        "--file",
        archive,
        "--path",
        str(folder / "stored"),
        *options,
    )
    return str(made["id"])


def activate_on(server: RunningServer, mirror: PlainWebServer, package_id: str) -> None:
    """Copy the published folder to the mirror and activate: info from here, fragments there."""
    where = mirror.publish(server.package_folder(package_id))
    info = f"localhost:{server.https_port}/download"
    server.json("package", "activate", package_id, "--info-url", info, "--fragment-url", where)

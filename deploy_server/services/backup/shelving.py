"""Packages of a restoration that go to a bucket: unseen until it happens, or gone.

Their folders have the restoration's own name. A note in its area says which bucket and which name,
so whoever completes a restoration that was killed, or takes it back, knows what to do. Both may be
done again.
"""

import json
from pathlib import Path

from deploy_server.config import ServerConfig
from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import Conflict
from deploy_server.services.backup.archive import Counted
from deploy_server.storage.atomic import replace_file, sync_folder
from deploy_server.storage.locks import FileLocks
from deploy_server.storage.s3.files import NewStoredFile, Sender
from deploy_server.storage.s3.shelf import Current, Shelf, new_folder
from deploy_server.storage.stores import bucket_at

_NOTE = "bucket.json"
_PIECE = 1024 * 1024


class Shelving:
    """Puts packages of a backup into a bucket; made by `begin`.

    Args:
        shelf: of all packages.
        folder: the name of the new folders.
    """

    def __init__(self, shelf: Shelf, folder: str) -> None:
        self._shelf = shelf
        self._folder = folder
        self._sender = Sender(shelf.bucket)

    def put(self, package_id: int, name: str, source: Counted) -> None:
        """Write a file of a package."""
        place = self._shelf.folder(package_id, self._folder)
        file = NewStoredFile(self._sender, f"{place}/{name}")
        while data := source.read(_PIECE):
            file.write(data)
        file.close()

    def finish(self) -> None:
        """Return when everything is in the bucket."""
        self._sender.wait()

    def stop(self) -> None:
        """Do nothing more."""
        self._sender.stop()


def begin(config: ServerConfig, area: Path, *, replace: bool) -> Shelving | None:
    """Return what takes the packages, None where they go to a folder.

    Args:
        config: of the restored server.
        area: of the restoration.
        replace: whether packages that are there may go.

    Raises:
        Conflict: there are packages.
        StorageError: the bucket refuses.
    """
    if config.bucket is None:
        return None
    shelf = _shelf(config.packages, area)
    if not replace and (found := shelf.ids()):
        raise Conflict(
            f"the bucket {config.bucket} has packages already ({found[0]} among others)",
            "Give --replace to throw away what is there, or name another place in"
            " DEPLOY_SERVER_PACKAGES",
        )
    folder = new_folder()
    note = {"packages": config.packages, "folder": folder}
    replace_file(area / _NOTE, json.dumps(note).encode())
    return Shelving(shelf, folder)


def carry_out(area: Path) -> None:
    """Let readers see what was restored, and nothing else."""
    for shelf, folder, package_id in _noted(area):
        folders = shelf.folders(package_id)
        seen = None
        if folder in folders:
            seen = Current(folder, shelf.revision(package_id, folder))
        shelf.show(package_id, seen)
        for other in folders:
            if other != folder:
                shelf.remove(package_id, other)
    # For good, before the journal goes: without that, the note alone would mean to take it back.
    (area / _NOTE).unlink(missing_ok=True)
    sync_folder(area)


def take_back(area: Path) -> None:
    """Remove what was not to be seen."""
    for shelf, folder, package_id in _noted(area):
        shelf.remove(package_id, folder)


def _noted(area: Path) -> list[tuple[Shelf, str, int]]:
    """Return bucket, folder and packages of a restoration; nothing where it has no bucket."""
    try:
        note: dict[str, str] = json.loads((area / _NOTE).read_bytes())
    except FileNotFoundError:
        return []
    shelf = _shelf(note["packages"], area)
    return [(shelf, note["folder"], package_id) for package_id in shelf.ids()]


def _shelf(packages: str, area: Path) -> Shelf:
    # Nobody else works with it: a server that runs keeps a restoration from beginning.
    return Shelf(bucket_at(BucketAddress.parse(packages)), FileLocks(area))

"""How far a build has read its file: written down by whoever builds, for whoever asks meanwhile.

The request that builds is answered when it is done, and the one that asks may come to another
process of this host. So the number lies in a file of a few bytes, which is replaced as a whole and
gone with the build; on a host that does not build there is none.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy_server.services.intake import Progress
from deploy_server.storage.uploads import Upload
from deploy_server.web.services import services

#: Seconds between two numbers.
_EVERY_S = 0.5


@contextmanager
def told(upload: Upload) -> Iterator[Progress]:
    """Give what a build tells its progress to; nobody's number is left when it is over."""
    path, last = _path(upload.id), time.monotonic()

    def progress(done: int, _total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last < _EVERY_S:
            return
        last = time.monotonic()
        # A number that cannot be told is no reason to stop a build.
        with suppress(OSError):
            new = path.with_suffix(".new")
            new.write_text(str(done))
            new.replace(path)

    try:
        yield progress
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def built(upload: Upload) -> int | None:
    """Return how many bytes of it were built into a package; None where no build runs here."""
    try:
        return int(_path(upload.id).read_text())
    except (OSError, ValueError):
        return None


def _path(upload_id: str) -> Path:
    return services().config.run / f"building-{upload_id}"

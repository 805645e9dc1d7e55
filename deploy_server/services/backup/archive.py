"""The file that a backup is: a tar archive whose last member says what the others must be.

    server.toml, secret_key, metrics_token, certs/...   as in the data directory
    database.jsonl.gz                                   storage/dump
    download/<id>/...                                   published packages
    manifest.json                                       name, size and SHA-256 of each

A file that was cut off has no manifest, so it is noticed whatever is missing.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, BinaryIO

from deploy_agent import __version__
from deploy_server.domain.errors import SpecError
from deploy_server.storage.types import utc_text

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "database.jsonl.gz"

#: Called with the bytes done so far and all of them.
Progress = Callable[[int, int | None], None]

_PIECE = 1024 * 1024
_MANIFEST_MAX = 512 * 1024**2  # bytes; a member takes about 120 of them
_NAMES = re.compile(
    r"server\.toml|secret_key|metrics_token|manifest\.json|database\.jsonl\.gz"
    r"|certs/[A-Za-z0-9_][A-Za-z0-9._-]*"
    r"|download/([0-9]{10})/(?:info|fragments\.sha256|\1-[1-9][0-9]{0,6})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        made_at: ISO 8601, UTC.
        version: of the program that made it.
        schema: the number of the database's schema.
        missing: packages whose files were not there.
        members: size and SHA-256 of each member.
    """

    made_at: str
    version: str
    schema: str
    missing: tuple[int, ...]
    members: dict[str, tuple[int, str]]

    @property
    def packages(self) -> int:
        """How many packages it has the files of."""
        return sum(name.startswith("download/") and name.endswith("/info") for name in self.members)

    @property
    def size(self) -> int:
        """The bytes of everything in it."""
        return sum(size for size, _digest in self.members.values())


class Writer:
    """Writes members, then the manifest.

    Args:
        file: where to.
        progress: told how far it is.
        total: bytes that will come, for `progress`.
    """

    def __init__(self, file: BinaryIO, progress: Progress, total: int) -> None:
        # Closed by `finish`; `file` belongs to the caller.
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        self._progress = progress
        self._total = total
        self._done = 0
        self._members: dict[str, tuple[int, str]] = {}

    def add(self, name: str, source: IO[bytes], size: int, modified: float = 0) -> None:
        """Add `size` bytes of `source`; a shorter one is an OSError."""
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, modified
        reader = Counted(source, self._tell)
        self._tar.addfile(info, reader)
        _forget_members(self._tar)
        self._members[name] = (size, reader.digest.hexdigest())

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a small member."""
        self.add(name, io.BytesIO(data), len(data))

    def finish(self, made_at: datetime, schema: str, missing: list[int]) -> Manifest:
        """Write the manifest and the archive's end."""
        manifest = Manifest(
            utc_text(made_at), __version__, schema, tuple(missing), dict(self._members)
        )
        text = {
            "backup": FORMAT,
            "made_at": manifest.made_at,
            "version": manifest.version,
            "schema": schema,
            "missing": missing,
            "members": manifest.members,
        }
        self.add_bytes(MANIFEST, json.dumps(text, indent=0).encode())
        self._tar.close()
        return manifest

    def _tell(self, count: int) -> None:
        self._done += count
        self._progress(self._done, max(self._total, self._done))


def verify(path: Path, progress: Progress) -> Manifest:
    """Return the manifest of a backup of which every byte was compared with it.

    Raises:
        SpecError: it is none, or it is damaged; the message says how.
    """
    manifest, found = _read_all(path, progress)
    for name in sorted(found.keys() ^ manifest.members.keys()):
        raise _damaged(path, f"{name} is {'not in its list' if name in found else 'missing'}")
    for name, member in manifest.members.items():
        if found[name] != member:
            raise _damaged(path, f"{name} has changed since it was written")
    for name in ("server.toml", "secret_key", DATABASE):
        if name not in found:
            raise _damaged(path, f"{name} is missing")
    return manifest


@contextmanager
def members(path: Path, progress: Progress) -> Iterator[Iterator[tuple[str, int, "Counted"]]]:
    """Open a backup; yields name, size and content of each member, in the order of the file.

    Raises:
        SpecError: it is no backup, or it is damaged; also where that shows while it is read.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            yield _members(path, tar, progress)
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(path, str(error) or "it ends in the middle") from error


def _members(
    path: Path, tar: tarfile.TarFile, progress: Progress
) -> Iterator[tuple[str, int, "Counted"]]:
    total, done = path.stat().st_size, 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress(done, max(total, done))

    for member in tar:
        _forget_members(tar)
        source = tar.extractfile(member) if member.isreg() else None
        if source is None or not _NAMES.fullmatch(member.name):
            raise _damaged(path, f"{member.name[:200]!r} belongs to no backup")
        yield member.name, member.size, Counted(source, tell)


def _read_all(path: Path, progress: Progress) -> tuple[Manifest, dict[str, tuple[int, str]]]:
    found: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    with members(path, progress) as each:
        for name, size, source in each:
            if name in found or manifest is not None:
                raise _damaged(path, f"{name} is in it twice, or after its end")
            if name == MANIFEST:
                manifest = _read_manifest(path, source, size)
                continue
            while source.read(_PIECE):
                pass
            found[name] = (size, source.digest.hexdigest())
    if manifest is None:
        raise _damaged(path, "its end is missing")
    return manifest, found


def _read_manifest(path: Path, source: "Counted", size: int) -> Manifest:
    if size > _MANIFEST_MAX:
        raise _damaged(path, "its list is too long")
    try:
        text: dict[str, Any] = json.loads(source.read(size))
        if text["backup"] != FORMAT:
            raise SpecError(
                "file",
                f"{path} was made by a program that writes backups in another form"
                f" ({text['backup']}, not {FORMAT})",
                f"Restore it with version {text['version']} of deploy-server",
            )
        members = {
            str(name): (int(n), str(digest)) for name, (n, digest) in text["members"].items()
        }
        missing = tuple(int(number) for number in text["missing"])
        return Manifest(text["made_at"], text["version"], text["schema"], missing, members)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, "its list cannot be read") from error


def _forget_members(tar: tarfile.TarFile) -> None:
    """Tarfile remembers every member: those of a hundred thousand fragments fill the memory."""
    tar.members.clear()  # type: ignore[attr-defined]


def _damaged(path: Path, why: str) -> SpecError:
    return SpecError(
        "file", f"{path} is not a whole backup: {why}", "Take another one; nothing was changed"
    )


class Counted:
    """A file that is hashed and counted while it is read.

    Attributes:
        digest: SHA-256 of what was read.
    """

    def __init__(self, source: IO[bytes], tell: Callable[[int], None]) -> None:
        self._source = source
        self._tell = tell
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self._source.read(size)
        self.digest.update(data)
        self._tell(len(data))
        return data

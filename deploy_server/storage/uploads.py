"""Files that people send, while they are on their way and until a package is built from them.

An upload is two files in `<data>/uploads`: the bytes, and who sends them under which name. Its
length on the disk is how far it is, so it goes on where it stopped after a dropped connection or a
restart. It lies on the disk of the packages: what fits here fits there, and nothing is copied
twice. It belongs to the person who began it and vanishes after `KEEP`.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from deploy_server.domain.errors import StorageError, TooLarge
from deploy_server.storage.disk import room_in, storage_errors
from deploy_server.storage.lock import FileLock
from deploy_server.storage.refusals import (
    being_written,
    check_size,
    file_name,
    is_id,
    is_too_much,
    not_complete,
    not_here,
    not_what_was_sent,
    other_offset,
)

#: How long an upload that nobody built from is kept.
KEEP = timedelta(days=2)

_PIECE = 1024 * 1024  # bytes in memory


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way.

    Attributes:
        id: 32 hex digits; nobody guesses it.
        owner: who may go on with it; the id of a user.
        name: as the file was called, for people and for its suffix.
        length: bytes that were announced; None where nobody said.
        offset: bytes that are here.
    """

    id: str
    owner: int
    name: str
    length: int | None
    offset: int

    @property
    def complete(self) -> bool:
        """Whether every byte that was announced is here."""
        return self.length is not None and self.offset == self.length


@dataclass(frozen=True, slots=True)
class Proof:
    """What the sender says of the bytes from `start` to the end of what it sends.

    Attributes:
        start: an offset before or at which the sent bytes begin.
        sha256: of all of them, hex.
    """

    start: int
    sha256: str


class Uploads(Protocol):
    """Where uploads are. Every method may raise StorageError."""

    def begin(self, owner: int, name: str, length: int | None) -> Upload:
        """Make an empty upload.

        Raises:
            TooLarge: longer than the limit.
            SpecError: no name, or a length below 0.
        """

    def get(self, upload_id: str, owner: int) -> Upload:
        """Return an upload as far as it is.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """

    def append(
        self, upload: Upload, offset: int, pieces: Iterable[bytes], proof: Proof | None = None
    ) -> Upload:
        """Write `pieces` from `offset` on, and return the upload as far as it is then.

        What arrived before a connection broke is kept; what a `proof` shows to be wrong is not.

        Raises:
            Conflict: somebody else writes to it, it does not end at `offset`, or what is here is
                not what was sent.
            TooLarge: more than was announced, or than the limit.
        """

    def finish(self, upload: Upload) -> Upload:
        """Say that what is here is all of it; for senders that announced no length."""

    def open(self, upload: Upload) -> BinaryIO:
        """Open a complete upload for reading.

        Raises:
            Conflict: bytes are missing.
        """

    def writer(self, upload: Upload) -> BinaryIO:
        """Open an empty upload for a parser that writes it from its first byte to its last."""

    def delete(self, upload: Upload) -> None:
        """Remove an upload; nothing if it is gone."""

    def sweep(self, now: datetime) -> int:
        """Remove what nobody touched for `KEEP`; returns how many files went."""


class UploadStore:
    """The uploads of this server, on its disk.

    Attributes:
        folder: where they lie.
        limit: bytes of the largest one.
        reserve: bytes of the disk that are not for uploads.
    """

    def __init__(self, folder: Path, limit: int, reserve: int = 0) -> None:
        self.folder = folder
        self.limit = limit
        self.reserve = reserve

    def begin(self, owner: int, name: str, length: int | None) -> Upload:
        """Make an empty upload."""
        name = file_name(name)
        self._check_length(length or 0)
        upload = Upload(secrets.token_hex(16), owner, name, length, 0)
        with storage_errors("the upload cannot be begun"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write_meta(upload)
            self._bytes(upload.id).touch(mode=0o600)
        return upload

    def get(self, upload_id: str, owner: int) -> Upload:
        """Return an upload as far as it is."""
        if is_id(upload_id):
            try:
                meta = json.loads(self._meta(upload_id).read_bytes())
                offset = self._bytes(upload_id).stat().st_size
            except FileNotFoundError:
                meta = {}
            if meta.get("owner") == owner:
                return Upload(upload_id, owner, meta["name"], meta["length"], offset)
        raise not_here()

    def append(
        self, upload: Upload, offset: int, pieces: Iterable[bytes], proof: Proof | None = None
    ) -> Upload:
        """Write `pieces` from `offset` on, and return the upload as far as it is then."""
        lock = FileLock.take(self.folder / f"{upload.id}.lock")
        if lock is None:
            raise being_written()
        with lock:
            here = self.get(upload.id, upload.owner).offset
            if here != offset:
                raise other_offset(here, offset)
            with storage_errors("the free space cannot be told"):
                room = room_in(self.folder, self.reserve)
            limit = self.limit if upload.length is None else upload.length
            pieces = _that_fit(pieces, room)
            with self._bytes(upload.id).open("ab", buffering=0) as file:
                _write(file, pieces, offset, limit)
            if proof is not None:
                self._compare(upload, proof)
            return self.get(upload.id, upload.owner)

    def finish(self, upload: Upload) -> Upload:
        """Say that what is here is all of it; for senders that announced no length."""
        done = Upload(upload.id, upload.owner, upload.name, upload.offset, upload.offset)
        with storage_errors("the upload cannot be finished"):
            self._write_meta(done)
        return done

    def open(self, upload: Upload) -> BinaryIO:
        """Open a complete upload for reading."""
        if not upload.complete:
            raise not_complete(upload.name, upload.offset, upload.length)
        with storage_errors("the upload cannot be read"):
            return self._bytes(upload.id).open("rb")

    def writer(self, upload: Upload) -> BinaryIO:
        """Open an empty upload for a parser that writes and reads it."""
        with storage_errors("the upload cannot be written"):
            return self._bytes(upload.id).open("w+b")

    def delete(self, upload: Upload) -> None:
        """Remove an upload; nothing if it is gone."""
        with storage_errors("the upload cannot be removed"):
            self._bytes(upload.id).unlink(missing_ok=True)
            self._meta(upload.id).unlink(missing_ok=True)

    def sweep(self, now: datetime) -> int:
        """Remove what nobody touched for `KEEP`; returns how many files went."""
        oldest = (now - KEEP).timestamp()
        removed = 0
        with storage_errors("old uploads cannot be removed"):
            for path in self.folder.glob("*") if self.folder.is_dir() else ():
                if path.stat().st_mtime < oldest:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _compare(self, upload: Upload, proof: Proof) -> None:
        """Read what was written back from the disk, and keep it only if it is what was sent."""
        with (
            storage_errors("the upload cannot be read"),
            self._bytes(upload.id).open("r+b") as file,
        ):
            file.seek(proof.start)
            digest = hashlib.sha256()
            while piece := file.read(_PIECE):
                digest.update(piece)
            if digest.hexdigest() == proof.sha256:
                return
            file.truncate(proof.start)
        raise not_what_was_sent(upload.name, proof.start)

    def _check_length(self, length: int) -> None:
        check_size(length, self.limit)
        with storage_errors("the free space cannot be told"):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            free = room_in(self.folder, self.reserve)
        if not free:
            raise _no_room()
        # Once for the upload and once for the fragments that are cut from it.
        if 2 * length > free:
            raise TooLarge(
                f"building from {length:,} bytes takes twice as much and {free:,} are free for it",
                "Free some space on the server's disk; min_free_bytes in server.toml is kept free",
            )

    def _write_meta(self, upload: Upload) -> None:
        meta = {name: value for name, value in asdict(upload).items() if name != "offset"}
        self._meta(upload.id).write_text(json.dumps(meta), encoding="utf-8")

    def _bytes(self, upload_id: str) -> Path:
        return self.folder / f"{upload_id}.bytes"

    def _meta(self, upload_id: str) -> Path:
        return self.folder / f"{upload_id}.json"


def _that_fit(pieces: Iterable[bytes], room: int) -> Iterator[bytes]:
    """Yield what the disk takes without its reserve.

    Raises:
        StorageError: that was all.
    """
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            raise _no_room()
        yield piece


def _no_room() -> StorageError:
    return StorageError(
        "the server's disk has no room for more packages",
        "Free some space on it; what is left is kept for the reports of agents (min_free_bytes in"
        " server.toml)",
    )


def _write(file: BinaryIO, pieces: Iterable[bytes], offset: int, limit: int) -> None:
    for piece in pieces:
        offset += len(piece)
        if offset > limit:
            raise is_too_much(limit)
        rest = memoryview(piece)
        # Only what the disk refuses: a connection that breaks is an OSError too.
        with storage_errors("the upload cannot be written"):
            while rest:
                rest = rest[file.write(rest) :]

"""Uploads in a bucket: whichever process or host is asked, it goes on where another one stopped.

    uploads/<id>/about.json               who sends it, under which name, how long it is
    uploads/<id>/00000000000000000000-40  the bytes from offset 0 on, 40 of them

The names of the pieces say how far an upload is, so nobody has to keep that anywhere else.
"""

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from itertools import groupby
from typing import BinaryIO, cast

from deploy_server.domain.errors import StorageError
from deploy_server.storage.locks import Locks
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
from deploy_server.storage.s3.bucket import Bucket, NoObject
from deploy_server.storage.s3.files import PART, Piece, open_pieces
from deploy_server.storage.uploads import KEEP, Proof, Upload

_ROOT = "uploads"
_ABOUT = "about.json"
_PIECE = re.compile(r"([0-9]{20})-([1-9][0-9]{0,19})", re.ASCII)
_BLOCK = 1024**2


class S3UploadStore:
    """The uploads of everybody who uses the bucket.

    Args:
        bucket: where.
        locks: shared by all of them.
        limit: bytes of the largest upload.
    """

    def __init__(self, bucket: Bucket, locks: Locks, limit: int) -> None:
        self._bucket = bucket
        self._locks = locks
        self.limit = limit

    def begin(self, owner: int, name: str, length: int | None) -> Upload:
        """Make an empty upload."""
        name = file_name(name)
        check_size(length or 0, self.limit)
        upload = Upload(secrets.token_hex(16), owner, name, length, 0)
        self._write_about(upload)
        return upload

    def get(self, upload_id: str, owner: int) -> Upload:
        """Return an upload as far as it is."""
        if is_id(upload_id):
            with contextlib.suppress(NoObject):
                upload = self._about(upload_id)
                if upload.owner == owner:
                    return replace(upload, offset=_end(self._pieces(upload_id)))
        raise not_here()

    def append(
        self, upload: Upload, offset: int, pieces: Iterable[bytes], proof: Proof | None = None
    ) -> Upload:
        """Write `pieces` from `offset` on, and return the upload as far as it is then."""
        lock = self._locks.take(f"upload-{upload.id}")
        if lock is None:
            raise being_written()
        with lock:
            upload = self.get(upload.id, upload.owner)
            if upload.offset != offset:
                raise other_offset(upload.offset, offset)
            digest = None if proof is None else self._digest(upload, proof.start)
            writer = _Writer(self._bucket, upload, self.limit)
            try:
                for piece in pieces:
                    writer.write(piece)
                    if digest is not None:
                        digest.update(piece)
            finally:
                # What arrived before a connection broke is kept.
                writer.flush()
            if proof is not None and digest is not None and digest.hexdigest() != proof.sha256:
                self._truncate(upload.id, proof.start)
                raise not_what_was_sent(upload.name, proof.start)
            return replace(upload, offset=writer.offset)

    def finish(self, upload: Upload) -> Upload:
        """Say that what is here is all of it; for senders that announced no length."""
        done = replace(upload, length=upload.offset)
        self._write_about(done)
        return done

    def open(self, upload: Upload) -> BinaryIO:
        """Open a complete upload for reading."""
        if not upload.complete:
            raise not_complete(upload.name, upload.offset, upload.length)
        pieces = self._pieces(upload.id)
        if _end(pieces) != upload.length:  # something went away since
            raise not_complete(upload.name, _end(pieces), upload.length)
        return open_pieces(self._bucket, pieces)

    def writer(self, upload: Upload) -> BinaryIO:
        """Open an empty upload for a parser that writes it; only bytes that follow each other."""
        return cast(BinaryIO, _Writer(self._bucket, upload, self.limit))

    def delete(self, upload: Upload) -> None:
        """Remove an upload; nothing if it is gone."""
        # The first name is the one that makes it an upload.
        self._bucket.delete([f"{_ROOT}/{upload.id}/{_ABOUT}"])
        self._bucket.delete([each.name for each in self._bucket.listed(f"{_ROOT}/{upload.id}")])

    def sweep(self, now: datetime) -> int:
        """Remove what nobody touched for `KEEP`; returns how many objects went."""
        removed = 0
        listed = sorted(self._bucket.listed(_ROOT), key=lambda each: each.name)
        for _, group in groupby(listed, key=lambda each: each.name.split("/")[1]):
            objects = list(group)
            if max(each.modified for each in objects) < now - KEEP:
                self._bucket.delete([each.name for each in objects])
                removed += len(objects)
        return removed

    def _digest(self, upload: Upload, start: int) -> "hashlib._Hash":
        """Return the SHA-256 of what is here from `start` on."""
        digest = hashlib.sha256()
        if start < upload.offset:
            with open_pieces(self._bucket, self._pieces(upload.id)) as file:
                file.seek(start)
                while block := file.read(_BLOCK):
                    digest.update(block)
        return digest

    def _truncate(self, upload_id: str, length: int) -> None:
        """Let go of what follows the first `length` bytes."""
        for piece in reversed(self._all_pieces(upload_id)):
            if piece.start < length < piece.start + piece.length:
                kept, _ = self._bucket.get_range(piece.name, 0, length - piece.start)
                self._bucket.put(_name(upload_id, piece.start, len(kept)), kept)
            if piece.start + piece.length > length:
                self._bucket.delete([piece.name])

    def _pieces(self, upload_id: str) -> list[Piece]:
        """Return the pieces that follow each other without a gap, from the first byte on."""
        return _farthest(self._all_pieces(upload_id))

    def _all_pieces(self, upload_id: str) -> list[Piece]:
        """Return every piece, by where it begins; nothing else that lies there."""
        place = f"{_ROOT}/{upload_id}/"
        found = []
        for each in self._bucket.listed(f"{_ROOT}/{upload_id}"):
            named = _PIECE.fullmatch(each.name.removeprefix(place))
            if named is not None and int(named[2]) == each.size:
                found.append(Piece(each.name, int(named[1]), each.size))
        return sorted(found, key=lambda piece: (piece.start, piece.length))

    def _about(self, upload_id: str) -> Upload:
        name = f"{_ROOT}/{upload_id}/{_ABOUT}"
        try:
            about = json.loads(self._bucket.get(name)) | {"id": upload_id, "offset": 0}
            upload = Upload(**about)
            if not (isinstance(upload.name, str) and isinstance(upload.length, int | None)):
                raise TypeError
        except (ValueError, TypeError):
            raise StorageError(
                f"{name} cannot be read: the store answers with something else",
                "Choose the file again; if that does not help, look whether endpoint in packages"
                " in server.toml is the store's own",
            ) from None
        return upload

    def _write_about(self, upload: Upload) -> None:
        about = {name: value for name, value in asdict(upload).items() if name != "offset"}
        self._bucket.put(f"{_ROOT}/{upload.id}/{_ABOUT}", json.dumps(about).encode())


class _Writer:
    """Makes pieces of what it is given.

    Attributes:
        offset: of the byte after the last one.
    """

    def __init__(self, bucket: Bucket, upload: Upload, limit: int) -> None:
        self._bucket = bucket
        self._upload = upload
        self._limit = limit if upload.length is None else upload.length
        self._left = bytearray()
        self.offset = upload.offset

    def write(self, data: bytes) -> int:
        """Append bytes."""
        if self.offset + len(data) > self._limit:
            raise is_too_much(self._limit)
        self._left += data
        self.offset += len(data)
        if len(self._left) >= PART:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Let the bucket have what was written."""
        if self._left:
            data, self._left = bytes(self._left), bytearray()
            start = self.offset - len(data)
            self._bucket.put(_name(self._upload.id, start, len(data)), data)

    def seek(self, _offset: int, _whence: int = 0) -> int:
        """Stay: a parser goes back to the start when it is through, and nobody reads here."""
        return 0

    def close(self) -> None:
        """Let the bucket have the rest."""
        self.flush()


def _name(upload_id: str, start: int, length: int) -> str:
    return f"{_ROOT}/{upload_id}/{start:020d}-{length}"


def _farthest(pieces: Sequence[Piece]) -> list[Piece]:
    """Return those that lead from the first byte as far as any do; `pieces` by their starts.

    Where two overlap, one was on its way when its sender died or gave up, and may come at any
    time; the bytes are the same. So a late one may lead farther, but takes nothing back.
    """
    best: dict[int, tuple[int, Piece]] = {}
    for piece in reversed(pieces):
        end = piece.start + piece.length
        farthest = best[end][0] if end in best else end
        if piece.start not in best or farthest > best[piece.start][0]:
            best[piece.start] = (farthest, piece)
    chain: list[Piece] = []
    while (found := best.get(_end(chain))) is not None:
        chain.append(found[1])
    return chain


def _end(pieces: Sequence[Piece]) -> int:
    return pieces[-1].start + pieces[-1].length if pieces else 0

"""Files of any length in a bucket, with no more than a few pieces of them in memory.

A file is the object of its name and, where it is longer than `PART`, objects beside it:

    1800000001-1               the first 8 MiB
    1800000001-1.more/000001   the next ...

So nothing is ever written in parts that only the object store sees, and that it would keep, and
charge for, when their writer was killed.
"""

import io
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, cast

from deploy_server.domain.errors import StorageError
from deploy_server.storage.s3.bucket import Bucket, NoObject

PART = 8 * 1024**2  # bytes
MORE = ".more"

_BLOCK = 1024**2  # bytes that are fetched at once
_BUFFER = 64 * 1024
_THREADS = 4
_WAITING_MAX = 24 * 1024**2  # bytes that wait for their turn


@dataclass(frozen=True, slots=True)
class Piece:
    """An object that is a part of a file.

    Attributes:
        name: of the object.
        start: where in the file it begins.
        length: its bytes; at least 1.
    """

    name: str
    start: int
    length: int


def open_file(bucket: Bucket, name: str) -> BinaryIO:
    """Return a stored file for reading; its first bytes are here already.

    Raises:
        NoObject: there is none.
        StorageError: the store does not answer.
    """
    block, size = bucket.get_range(name, 0, _BLOCK)
    pieces = [Piece(name, 0, size)]
    if size == PART:
        for each in sorted(bucket.listed(name + MORE), key=lambda each: each.name):
            last = pieces[-1]
            pieces.append(Piece(each.name, last.start + last.length, each.size))
    return open_pieces(bucket, pieces, block)


def open_pieces(bucket: Bucket, pieces: Sequence[Piece], block: bytes = b"") -> BinaryIO:
    """Return pieces that follow each other as one file; `block` is the beginning of it."""
    return cast(BinaryIO, io.BufferedReader(_Reader(bucket, pieces, block), _BUFFER))


class _Reader(io.RawIOBase):
    """Reads a block at a time, each with a request of its own that is repeated where it fails."""

    def __init__(self, bucket: Bucket, pieces: Sequence[Piece], block: bytes) -> None:
        self._bucket = bucket
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._size = pieces[-1].start + pieces[-1].length if pieces else 0
        self._position = 0
        self._block_start = 0
        self._block = block

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._position >= self._size:
            return 0
        skipped = self._position - self._block_start
        if not 0 <= skipped < len(self._block):
            self._fetch()
            skipped = 0
        found = memoryview(self._block)[skipped : skipped + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _fetch(self) -> None:
        piece = self._pieces[bisect_right(self._starts, self._position) - 1]
        inside = self._position - piece.start
        length = min(_BLOCK, piece.length - inside)
        try:
            block, size = self._bucket.get_range(piece.name, inside, length)
        except NoObject as error:
            # There is no open file that would keep it: a newer revision took its place.
            raise StorageError(
                f"{piece.name} went away while it was read", "Ask for it again"
            ) from error
        if size != piece.length:
            raise StorageError(f"{piece.name} changed while it was read", "Ask for it again")
        self._block = block
        self._block_start = self._position


class Sender:
    """Writes and copies objects, a few at a time, while the next ones are made."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")
        self._waiting: deque[tuple[Future[None], int]] = deque()
        self._bytes = 0

    def put(self, name: str, data: bytes) -> None:
        """Write an object; whoever sends too fast waits here.

        Raises:
            StorageError: an earlier one was refused.
        """
        self._add(self._pool.submit(self._bucket.put, name, data), len(data))

    def run(self, work: Callable[[], None]) -> None:
        """Do something else that asks the store.

        Raises:
            StorageError: something earlier was refused.
            Whatever it raised.
        """
        self._add(self._pool.submit(work), _WAITING_MAX // 64)

    def wait(self) -> None:
        """Return when everything is there; raises as `put`."""
        while self._waiting:
            self._settle_first()

    def stop(self) -> None:
        """Do nothing more; returns when nobody works any more."""
        self._pool.shutdown(cancel_futures=True)

    def _add(self, done: Future[None], size: int) -> None:
        self._waiting.append((done, size))
        self._bytes += size
        while self._bytes > _WAITING_MAX:
            self._settle_first()

    def _settle_first(self) -> None:
        done, size = self._waiting.popleft()
        self._bytes -= size
        done.result()


class NewStoredFile:
    """A file on its way into a bucket; see `fragments.NewFile`."""

    def __init__(self, sender: Sender, name: str) -> None:
        self._sender = sender
        self._name = name
        self._parts = 0
        self._left = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`."""
        rest = memoryview(data)
        while rest:
            taken = rest[: PART - len(self._left)]
            self._left += taken
            rest = rest[len(taken) :]
            if len(self._left) == PART:
                self._send()

    def close(self) -> None:
        """Say that the file is complete."""
        if self._left or not self._parts:
            self._send()

    def _send(self) -> None:
        suffix = f"{MORE}/{self._parts:06d}" if self._parts else ""
        data, self._left = bytes(self._left), bytearray()
        self._parts += 1
        self._sender.put(self._name + suffix, data)

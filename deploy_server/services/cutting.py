"""Cuts a stream into the fragments of a package, and takes every digest on the way.

What looks at the stream runs side by side: hashing, inflating and writing leave Python alone while
they work on a block, so that two processors do the work of two.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from deploy_agent.wire.digest import DigestAlgorithm, Hasher
from deploy_agent.wire.fragment import (
    FRAGMENTS_FILE,
    FragmentPlan,
    fragment_lines,
    fragment_name,
)
from deploy_server.domain.layout import Content, check_count
from deploy_server.storage.fragments import NewFile, Staging

Lane = Callable[[bytes], None]

_SHA256_BYTES = 32


def cut(
    blocks: Iterable[bytes],
    staging: Staging,
    package: str,
    fragment_size: int,
    algorithm: DigestAlgorithm,
    lanes: Sequence[Lane] = (),
) -> Content:
    """Write the fragments of `package` and their list into `staging`.

    Args:
        blocks: the file, in pieces of any size.
        staging: where to.
        package: its id, ten digits.
        fragment_size: bytes.
        algorithm: of DIGEST.
        lanes: who else wants to see every block, in order.

    Raises:
        SpecError: too many fragments.
        StorageError: the disk is full or refuses.
        Whatever `blocks` and `lanes` raise.
    """
    # One hasher for each, so that they can run side by side.
    hashers = {which: Hasher([which]) for which in {algorithm, DigestAlgorithm.SHA256}}
    cutter = _Cutter(staging, package, fragment_size)
    _run(blocks, [*(hasher.update for hasher in hashers.values()), cutter.feed, *lanes])
    fragments_sha256 = cutter.finish()
    sha256 = hashers[DigestAlgorithm.SHA256]
    return Content(
        plan=FragmentPlan(sha256.length, fragment_size),
        digest=hashers[algorithm].raw(algorithm),
        sha256=sha256.raw(DigestAlgorithm.SHA256),
        fragments_sha256=fragments_sha256,
    )


def _run(blocks: Iterable[bytes], lanes: Sequence[Lane]) -> None:
    """Give every block to every lane; the next block is fetched while they work."""
    with ThreadPoolExecutor(len(lanes), thread_name_prefix="cut") as pool:
        working: list[Callable[[], None]] = []
        for block in blocks:
            for wait in working:
                wait()
            working = [pool.submit(lane, block).result for lane in lanes]
        for wait in working:
            wait()


class _Cutter:
    """Writes what it is fed as fragments."""

    def __init__(self, staging: Staging, package: str, fragment_size: int) -> None:
        self._staging = staging
        self._package = package
        self._size = fragment_size
        self._file: NewFile | None = None
        self._room = 0
        self._hash = hashlib.sha256()
        self._digests = bytearray()  # 32 bytes for each fragment

    def feed(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            if self._file is None:
                self._file = self._next()
            piece = view[: self._room]
            self._file.write(piece)
            self._hash.update(piece)
            self._room -= len(piece)
            view = view[len(piece) :]
            if not self._room:
                self._close()

    def finish(self) -> bytes:
        """Write the list of fragments; the raw SHA-256 of it."""
        if self._file is not None:
            self._close()
        digests = (
            bytes(self._digests[at : at + _SHA256_BYTES])
            for at in range(0, len(self._digests), _SHA256_BYTES)
        )
        listed = self._staging.create(FRAGMENTS_FILE)
        digest = hashlib.sha256()
        for line in fragment_lines(self._package, digests):
            listed.write(line)
            digest.update(line)
        listed.close()
        return digest.digest()

    def _next(self) -> NewFile:
        number = len(self._digests) // _SHA256_BYTES + 1
        check_count(number)
        self._room = self._size
        self._hash = hashlib.sha256()
        return self._staging.create(fragment_name(self._package, number))

    def _close(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None
        self._digests += self._hash.digest()

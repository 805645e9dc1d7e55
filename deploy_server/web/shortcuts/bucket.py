"""Whole files of packages from a bucket, on the short way and in threads of their own.

So a store that is slow to answer holds up nobody but those who want something of it.
"""

from collections.abc import Iterator
from contextlib import closing
from io import SEEK_END
from typing import BinaryIO

from deploy_server.storage.fragments import FragmentStore
from deploy_server.web.files import INFO, FileKind
from deploy_server.web.gateway.answer import Answer
from deploy_server.web.gateway.exchange import Scope
from deploy_server.web.observing import Watch
from deploy_server.web.shortcuts.asking import answer
from deploy_server.web.shortcuts.files import FileShortcut, asked_for, headers_of

#: Bytes of a file that is here as a whole before its answer begins, so that there is still another
#: answer when the store goes away meanwhile. A longer one breaks off then.
_WHOLE = 4 * 1024**2

_PIECE = 1024**2  # bytes


class BucketShortcut(FileShortcut):
    """Answers GET of whole files that lie in a bucket.

    Args:
        store: where they are.
        watch: where requests are counted.
        threads: how many wait for the store at the same time.
        is_plain: whether requests come without TLS; there are no info files then.
    """

    name = "bucket"

    def __init__(self, store: FragmentStore, watch: Watch, threads: int, *, is_plain: bool) -> None:
        super().__init__(store, watch)
        self.threads = threads
        self._is_plain = is_plain

    def takes(self, scope: Scope, length: int) -> bool:
        """Whether a request is for here; `length` of its body, in bytes."""
        asked = asked_for(scope, length)
        return asked is not None and not (self._is_plain and asked[2] is INFO)

    def _whole(self, package: int, name: str, kind: FileKind) -> tuple[Answer, int]:
        file = self._store.open(package, name)
        try:
            size = file.seek(0, SEEK_END)
            file.seek(0)
            if size <= _WHOLE:
                with file:
                    return answer(200, file.read(), headers_of(kind), ""), size
            made = Answer(200, [(b"content-length", b"%d" % size), *headers_of(kind)])
            made.fill(_pieces(file))
        except BaseException:
            file.close()
            raise
        return made, size


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with closing(file):
        while piece := file.read(_PIECE):
            yield piece

"""Files that come with a request, written straight to where uploads lie.

Two ways: a script of ours sends the bytes alone and goes on after a dropped connection (`PUT`);
a plain form sends them inside, and the parser writes them to an upload of its own. Either way the
bytes are written once, on the disk where packages are built, and no more than a piece is in memory.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any, BinaryIO, cast

from flask import Request, g, request

from deploy_server.domain.errors import NotFound, StorageError
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.stores import upload_store
from deploy_server.storage.uploads import Upload, Uploads
from deploy_server.web.security import person
from deploy_server.web.services import services

#: Bytes that are read from a connection at once.
PIECE = 1024 * 1024


class UploadRequest(Request):
    """A request whose files become uploads instead of temporary files elsewhere."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if not filename or g.get("person") is None:
            return super()._get_file_stream(
                total_content_length, content_type, filename, content_length
            )
        store = uploads()
        store.sweep(services().now())
        upload = store.begin(person().id, filename, total_content_length)
        g.receiving = (upload, store.writer(upload))
        return cast(IO[bytes], _Receiver(g.receiving[1]))


class _Receiver:
    """A file that says what the disk refuses in our words."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        with storage_errors("the upload cannot be written"):
            return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def uploads() -> Uploads:
    """The uploads of this server."""
    return upload_store(services().config)


def received() -> Upload | None:
    """The file that came inside this form, complete; None where none came."""
    if "file" not in request.files or "receiving" not in g:
        return None
    upload, file = g.pop("receiving")
    with storage_errors("the upload cannot be written"):
        file.close()
    store = uploads()
    return store.finish(store.get(upload.id, upload.owner))


def sent_file(values: dict[str, str]) -> Upload | None:
    """The file of a form: from inside it, or the one that was sent before it; None for none.

    Args:
        values: of the form; its `upload` is set to what was found.
    """
    upload = received()
    if upload is None and values["upload"]:
        with suppress(NotFound):
            upload = uploads().get(values["upload"], person().id)
    values["upload"] = upload.id if upload else ""
    return upload


def let_go(upload: Upload) -> None:
    """Remove an upload of which a package was made: whatever becomes of it, that is done."""
    with suppress(StorageError):  # then it goes when it is old
        uploads().delete(upload)


def abandon(_error: BaseException | None = None) -> None:
    """Remove what came inside a form that was refused; for the end of a request."""
    if "receiving" in g:
        upload, file = g.pop("receiving")
        with suppress(OSError, StorageError):  # who refused the rest refuses what is in the buffer
            file.close()
        let_go(upload)


def pieces_of_body() -> Iterator[bytes]:
    """The body of this request, piece by piece."""
    while piece := request.stream.read(PIECE):
        yield piece

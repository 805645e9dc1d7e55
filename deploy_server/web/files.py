"""GET /download: info files, fragments and their lists, from the disk or from a bucket.

No database and no session: a web server or an object store may take this face's place. Every
answer is the whole file (200) or one range of it (206), with its length; never 304, which OCS's
Unix agent takes for a failure, so there are no validators either. Source: protocol.md 2.
"""

import io
import logging
import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from flask import Blueprint, Response, request
from werkzeug.wsgi import wrap_file

from deploy_agent.wire.fragment import FRAGMENTS_FILE, INFO_FILE
from deploy_server.domain.errors import DeployError, NotFound, StorageError
from deploy_server.web.services import services

log = logging.getLogger(__name__)

blueprint = Blueprint("files", __name__)

_ID = re.compile(r"[0-9]{10}\Z", re.ASCII)
_NUMBER = re.compile(r"[1-9][0-9]{0,6}\Z", re.ASCII)
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z", re.ASCII)
_PIECE = 256 * 1024  # bytes


@blueprint.get("/download/<package>/<name>")
def published(package: str, name: str) -> Response:
    """Send a file of a published package.

    Raises:
        NotFound: there is none, or it is not served this way.
        StorageError: it cannot be read now.
    """
    kind = kind_of(package, name)
    if kind is None:
        raise NotFound("there is no such file")
    if kind is INFO and services().scheme != "https":
        raise NotFound("info files are served over HTTPS only", "Ask for it with https://")
    try:
        return _send(services().store.open(int(package), name), kind)
    except StorageError as error:
        raise told_to_strangers(error, request.path) from error


def told_to_strangers(error: DeployError, path: str) -> DeployError:
    """Return what is said of an error: everybody may ask, so the log has where a store is."""
    if not isinstance(error, StorageError):
        return error
    log.warning("%s: %s", path, error)
    return StorageError(
        "packages cannot be read now", "Try again in a minute; the server's log says why"
    )


@dataclass(frozen=True, slots=True)
class FileKind:
    """How files of one kind are sent.

    Attributes:
        content_type: what is in them.
        caching: for how long others may keep them.
    """

    content_type: str
    caching: str

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers of every answer with such a file."""
        return [
            ("Content-Type", self.content_type),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", self.caching),
            ("X-Content-Type-Options", "nosniff"),
        ]


INFO = FileKind("application/xml", "no-store")
# They change only with their package's revision.
FRAGMENT = FileKind("application/octet-stream", "max-age=3600")
FRAGMENT_LIST = FileKind("text/plain; charset=utf-8", "max-age=3600")


def kind_of(package: str, name: str) -> FileKind | None:
    """Return which of the three kinds of files is asked for; None where there are no others."""
    fragment, dash, number = name.partition("-")
    if not _ID.match(package):
        return None
    if name == INFO_FILE:
        return INFO
    if name == FRAGMENTS_FILE:
        return FRAGMENT_LIST
    is_fragment = fragment == package and dash and _NUMBER.match(number)
    return FRAGMENT if is_fragment else None


def _send(file: BinaryIO, kind: FileKind) -> Response:
    try:
        size = _size(file)
        wanted = _range(size)
        if wanted is None:
            response = Response(wrap_file(request.environ, file, _PIECE))
            response.content_length = size
        else:
            start, stop = wanted
            response = Response(_pieces(file, start, stop), status=206)
            response.content_length = stop - start
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            response.call_on_close(file.close)
    except BaseException:
        file.close()
        raise
    response.direct_passthrough = True
    for name, value in kind.headers():
        response.headers[name] = value
    return response


def _size(file: BinaryIO) -> int:
    try:
        return os.fstat(file.fileno()).st_size
    except io.UnsupportedOperation:  # it lies elsewhere
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return size


def _range(size: int) -> tuple[int, int] | None:
    """Return first byte and the one after the last; None where the whole file is the answer.

    So it is for several ranges, for those outside the file, and for If-Range: without validators
    nobody can know that the rest still belongs to what they have.
    """
    found = _RANGE.match(request.headers.get("Range", ""))
    if found is None or "If-Range" in request.headers:
        return None
    first, last = found.groups()
    if first:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
    elif last:
        start, stop = max(0, size - int(last)), size
    else:
        return None
    return (start, stop) if start < stop else None


def _pieces(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """Return the pieces of a range; the first one is read before anything is answered."""
    file.seek(start, io.SEEK_SET)
    first = file.read(min(_PIECE, stop - start))
    return chain([first], _rest(file, stop - start - len(first)))


def _rest(file: BinaryIO, left: int) -> Iterator[bytes]:
    with closing(file):
        while left and (piece := file.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece

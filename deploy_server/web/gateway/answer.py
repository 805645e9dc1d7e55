"""What the WSGI application answers, in a form that can be sent without its thread."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.wsgi import FileWrapper

log = logging.getLogger(__name__)

#: Answers up to this size are complete before they are sent; larger ones go in such pieces.
PIECE = 256 * 1024

_MISTAKE = b"The server made a mistake. Its log says which.\n"

Headers = list[tuple[bytes, bytes]]


class SentFile(FileWrapper):
    """What Flask makes of a file to send; it is read in large pieces."""

    def __init__(self, file: Any, buffer_size: int = PIECE) -> None:
        super().__init__(file, max(buffer_size, PIECE))

    def path(self, length: int) -> str | None:
        """Where the file lies, if `length` bytes from here are all of it; else None."""
        try:
            path = Path(self.file.name).absolute()
            whole = self.file.tell() == 0 and path.stat().st_size == length
        except (AttributeError, TypeError, OSError):
            return None
        return str(path) if whole else None


class Answer:
    """One answer.

    Attributes:
        status: its number.
        headers: names in lower case.
        head: the body, or its first piece.
        rest: what makes the rest of the body; None where `head` is all of it.
        file: the path of the file that is the body, if it is one.
        request_id: the number of its request, '' where whoever asked knows it otherwise.
    """

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        self.head = b""
        self.rest: Iterator[bytes] | None = None
        self.file: str | None = None
        self.request_id = ""
        self._close: Callable[[], object] = lambda: None

    def fill(self, body: Iterable[bytes]) -> None:
        """Take the body, or of a long one the beginning."""
        self._close = getattr(body, "close", self._close)
        if isinstance(body, SentFile):
            self.file = body.path(self._length())
        self.rest = iter(body)
        more = False
        if self.file is None:
            self.head, more = self.next_piece()
        if not more:
            self.rest = None
            self.close()

    def next_piece(self) -> tuple[bytes, bool]:
        """About `PIECE` bytes of the body, and whether there may be more."""
        found, size = [], 0
        for piece in self.rest or ():
            found.append(piece)
            size += len(piece)
            if size >= PIECE:
                return b"".join(found), True
        return b"".join(found), False

    def close(self) -> None:
        """Let the application clean up."""
        self._close()

    def _length(self) -> int:
        return int(dict(self.headers).get(b"content-length", b"-1"))


def ask(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """The application's answer; where it has a mistake, the log says which and people get 500."""
    started: list[Answer] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        lines = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in headers
        ]
        started[:] = [Answer(int(status.split(" ", 1)[0]), lines)]
        return _write

    try:
        body = app(environ, start_response)
        started[0].fill(body)
    except Exception:
        # Whatever it is, one request failed and the next one must be answered.
        log.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        return _mistake()
    return started[0]


def _write(_data: bytes) -> None:
    raise RuntimeError("Flask returns bodies; the old way of WSGI to write them is not supported")


def _mistake() -> Answer:
    answer = Answer(500, [(b"content-type", b"text/plain"), (b"connection", b"close")])
    answer.head = _MISTAKE
    return answer

"""A request's body: taken completely before anybody is asked, or streamed into a thread."""

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO, Any

#: How long a client may send nothing of what it promised, in seconds.
RECEIVE_IDLE_S = 30

#: The slowest client we wait for, in bytes a second, after the first minute.
SLOWEST = 1024
_FIRST_S = 60

#: Who sends nothing for so long after a refusal has seen it, in seconds.
_QUIET_S = 0.3

#: Bodies up to this size stay in memory.
_MEMORY = 256 * 1024

#: Bodies up to this size have the idle time for all of it: two clocks for each message of a fleet
#: cost as much as reading it.
_SHORT = 16 * 1024

Receive = Callable[[], Awaitable[Any]]
NextPiece = Callable[[], Awaitable[tuple[bytes, bool]]]


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class BodyBroken(Exception):
    """The body broke off, or its chunks are none."""


class BodyTooSlow(Exception):
    """The body does not arrive."""


class BodyWithoutLength(Exception):
    """The body is long, and the client did not say how long."""


class Body:
    """The body of one request.

    Attributes:
        stream: what WSGI reads; it ends where the body ends.
        length: its bytes; None where nothing was announced and nothing came.
        is_complete: every byte of it was received.
    """

    def __init__(self, scope: Any, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        headers = dict(scope["headers"])
        self.length = _number(headers.get(b"content-length"))
        self.stream: IO[bytes] = io.BytesIO()
        self.is_complete = not self.length and b"transfer-encoding" not in headers
        self._is_broken = False
        self._receive = receive
        self._loop = loop

    async def take(self, limit: int, folder: Path | None) -> None:
        """Receive all of it, unless it is announced as longer than `limit`.

        Raises:
            BodyTooSlow: it does not arrive.
            BodyWithoutLength: it is longer than `limit`, and nobody said so.
            BodyBroken: it will not arrive.
        """
        if self.is_complete:
            return
        if self.length is not None and self.length > limit:
            self.stream = io.BufferedReader(_Streamed(self), 128 * 1024)
            return
        self.stream = self._spool(folder)
        is_short = self.length is not None and self.length <= _SHORT
        seconds = _FIRST_S + (limit if self.length is None else self.length) / SLOWEST
        try:
            async with asyncio.timeout(min(RECEIVE_IDLE_S, seconds) if is_short else seconds):
                await self._take_pieces(limit, self._next if is_short else self.receive)
        except TimeoutError:
            raise BodyTooSlow from None
        except ClientGone:
            # Perhaps nobody is left to be told; but granian says it to who sent broken chunks.
            raise BodyBroken from None
        self.length = self.stream.tell()
        self.stream.seek(0)

    async def _take_pieces(self, limit: int, receive: NextPiece) -> None:
        more = True
        while more and self.stream.tell() <= limit:
            piece, more = await receive()
            self.stream.write(piece)
        if more:
            raise BodyWithoutLength

    def _spool(self, folder: Path | None) -> IO[bytes]:
        if self.length is not None and self.length <= _MEMORY:
            return io.BytesIO()  # most are small; a spool costs more than their answer
        where = None if folder is None else str(folder)
        return tempfile.SpooledTemporaryFile(_MEMORY, dir=where)

    async def receive(self) -> tuple[bytes, bool]:
        """The next bytes, and whether there are more.

        Raises:
            BodyTooSlow: nothing comes.
            ClientGone: the connection ended in the middle.
        """
        try:
            async with asyncio.timeout(RECEIVE_IDLE_S):
                return await self._next()
        except TimeoutError:
            raise BodyTooSlow from None

    async def _next(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        self.is_complete = not message.get("more_body")
        return message.get("body") or b"", not self.is_complete

    def next_in_thread(self) -> bytes:
        """The next bytes, for a thread, which waits; none at the end, or where it breaks off."""
        piece, more = b"", not (self.is_complete or self._is_broken)
        while more and not piece:
            waiting = asyncio.run_coroutine_threadsafe(self.receive(), self._loop)
            try:
                piece, more = waiting.result()
            except (BodyTooSlow, ClientGone):
                # Flask knows the length, and tells a body that broke off from one that ended.
                self._is_broken, more = True, False
        return piece

    async def discard(self, seconds: float) -> None:
        """Throw away what still comes, for so long at most, or until nothing comes."""
        more = not self.is_complete
        try:
            async with asyncio.timeout(seconds):
                while more:
                    async with asyncio.timeout(_QUIET_S):
                        _piece, more = await self.receive()
        except (TimeoutError, BodyTooSlow, ClientGone):
            return

    def close(self) -> None:
        """Forget it."""
        self.stream.close()


class _Streamed(io.RawIOBase):
    """The body as a file that can be read once."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(self._body.next_in_thread())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _number(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

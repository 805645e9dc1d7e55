"""Connections that nobody can hold for ever, however slowly the other side drips.

http.client reads status lines, headers, sizes of chunks and trailers in loops of its own, and a
byte now and then is enough for a socket's timeout in each of them. So every read and every write
here first asks a `Watch` how much time there is left; no thread is needed, so none can stay behind.

  answer   connecting, TLS, a proxy's tunnel, the request and all headers: `answer_s` together
  body     in every `grace_s` spent on reading, `slowest` bytes of content a second, or its end
  silence  never `silence_s` without a byte
"""

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

SENT_AT_ONCE = 16 * 1024  # bytes
BUFFER = 16 * 1024  # bytes of headers and small answers read at a time


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a server may take.

    Attributes:
        connect_s: seconds for a connection to one address, and for its TLS.
        silence_s: seconds without a byte.
        answer_s: seconds from the beginning of a request to the end of the answer's headers.
        grace_s: seconds of reading after which the pace of a body counts, again and again.
        slowest: bytes of content a second; a byte a minute would be no silence.
    """

    connect_s: float = 15.0
    silence_s: float = 60.0
    answer_s: float = 120.0
    grace_s: float = 60.0
    slowest: int = 512


PATIENT = Limits()


class Overdue(TimeoutError):
    """The other side sends something, but not what it should by now; the text says what."""


class Stale(ConnectionError):
    """A connection that was kept turned out to be dead before it brought a byte of an answer."""


class Watch:
    """Knows by when one connection has to have brought what it is asked for.

    Attributes:
        heard: whether anything of the present answer has come.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._until = 0.0
        self._why = ""
        self._left = 0.0
        self._got = 0
        self.heard = False

    def begin(self) -> None:
        """A request begins, with the connection where there is none yet."""
        self._until = time.monotonic() + self._limits.answer_s
        self._why = f"has not answered a request within {self._limits.answer_s:g} s"

    def begin_body(self) -> None:
        """The headers are all here."""
        self._why = f"sends less than {self._limits.slowest} bytes a second"
        self._renew()
        self._until = time.monotonic() + self._left

    def allow(self, line: socket.socket) -> None:
        """Let `line` be read from or written to once, as long as there is time for it.

        Raises:
            Overdue: there is none left.
        """
        left = self._until - time.monotonic()
        if left <= 0:
            raise Overdue(self._why)
        line.settimeout(min(left, self._limits.silence_s))

    def begin_read(self) -> None:
        """Content is wanted from here on; what was done since the last read is not its time."""
        self._until = time.monotonic() + self._left

    def end_read(self) -> None:
        """No content is wanted for a while."""
        self._left = self._until - time.monotonic()

    def received(self, length: int) -> None:
        """Count content; as soon as there was enough in time, the time begins anew."""
        self._got += length
        if self._got >= self._limits.grace_s * self._limits.slowest:
            self._renew()
            self._until = time.monotonic() + self._left

    def timed_out(self, error: TimeoutError) -> TimeoutError:
        """Return what a timeout of the line is: silence, or the end of the time."""
        return Overdue(self._why) if time.monotonic() >= self._until else error

    def _renew(self) -> None:
        self._left = self._limits.grace_s
        self._got = 0


class _Wire(io.RawIOBase):
    """What is read from a line, under a watch."""

    def __init__(self, raw: io.RawIOBase, line: socket.socket, watch: Watch) -> None:
        self._raw = raw  # keeps the line open, and lets go of it
        self._line = line
        self._watch = watch
        self.is_content = False  # all that comes from now on

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._watch.allow(self._line)
        try:
            length = self._line.recv_into(buffer)
        except TimeoutError as error:
            raise self._watch.timed_out(error) from error
        if self.is_content:
            self._watch.received(length)
        else:
            self._watch.heard |= length > 0
        return length

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """An answer, headers and all, that is read under a watch."""

    def __init__(self, sock: socket.socket, *args: Any, watch: Watch, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._watch = watch
        self._wire = _Wire(self.fp.detach(), sock, watch)
        self.fp = io.BufferedReader(self._wire, BUFFER)

    def begin(self) -> None:
        super().begin()
        self._watch.begin_body()
        self._wire.is_content = not self.chunked

    def read(self, amt: int | None = None) -> bytes:
        self._watch.begin_read()
        data = super().read(amt)
        self._watch.end_read()
        return data

    def read1(self, n: int = -1) -> bytes:
        self._watch.begin_read()
        data = super().read1(n)
        if not self._wire.is_content:  # sizes of chunks and whatever stands beside them is none
            self._watch.received(len(data))
        self._watch.end_read()
        return data


class _Watched(HTTPConnection):
    """A connection under a watch of its own; it belongs to one thread at a time."""

    limits = PATIENT

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watch = Watch(self.limits)
        self._answered = False
        self._reused = False
        self.response_class = partial(_Response, watch=self._watch)  # type: ignore[assignment]

    def connect(self) -> None:
        self._watch.begin()
        self._answered = self._reused = False
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._reused = self.sock is not None and self._answered
        if self._reused:
            self._watch.begin()
        self._watch.heard = False
        with self._perhaps_dead():
            super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        rest = memoryview(data)  # nothing but bytes is ever sent
        while rest:
            self._watch.allow(self.sock)
            try:
                super().send(rest[:SENT_AT_ONCE])
            except TimeoutError as error:
                raise Overdue("does not take what is sent to it") from error
            rest = rest[SENT_AT_ONCE:]

    def getresponse(self) -> Any:
        with self._perhaps_dead():
            response = super().getresponse()
        self._answered = True
        return response

    @contextmanager
    def _perhaps_dead(self) -> Iterator[None]:
        """Tell the death of a kept connection from that of a new one.

        Raises:
            Stale: it was kept, and the other side has not said anything on it.
        """
        try:
            yield
        except OSError as error:
            if self._reused and not self._watch.heard:
                raise Stale("the connection that was kept is dead") from error
            raise


class _WatchedTls(_Watched, HTTPSConnection):
    """The same over TLS."""


def pool_classes(limits: Limits) -> dict[str, Any]:
    """Return urllib3's pools by scheme, for connections that keep to `limits`."""
    bases: dict[str, tuple[type, type]] = {
        "http": (HTTPConnectionPool, _Watched),
        "https": (HTTPSConnectionPool, _WatchedTls),
    }
    return {
        scheme: type(pool.__name__, (pool,), {"ConnectionCls": _limited(connection, limits)})
        for scheme, (pool, connection) in bases.items()
    }


def _limited(connection: type, limits: Limits) -> type:
    return type(connection.__name__, (connection,), {"limits": limits})

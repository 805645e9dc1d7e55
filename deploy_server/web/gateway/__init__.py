"""Flask behind an asynchronous server: an ASGI application that asks a WSGI one in threads.

A WSGI server gives a request its thread until the last byte is sent, so a few dozen slow or
sleeping agents would stop everybody. Here a thread works only while Flask does: a body of normal
size is complete before it begins, files are sent without it, and of other answers it makes one
piece whenever the one before is on its way. A body too large for that is streamed through the
thread, and no byte of it is read before Flask asks: who refuses it, refuses it unread.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from wsgiref.types import WSGIApplication

from deploy_server.storage.turns import Run
from deploy_server.web.gateway.answer import Answer, ask
from deploy_server.web.gateway.arrivals import Arrivals, Arriving
from deploy_server.web.gateway.body import (
    Body,
    BodyBroken,
    BodyTooSlow,
    BodyWithoutLength,
    ClientGone,
)
from deploy_server.web.gateway.environ import make_environ
from deploy_server.web.gateway.exchange import Exchange, Receive, Scope, Send

log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Bytes of a body that are read in no time.
SHORT = 16 * 1024

#: Longer ones that are read at the same time: more would only take turns, and a tree of XML has
#: fifty times the size of its text.
LONG = 2

#: Seconds from a long one to giving back what it took, and others meanwhile: many come together.
REST_S = 5.0

#: How long bytes are thrown away that a client still sends after it was refused, in seconds.
LINGER_S = 5


class Left(Protocol):
    """What is left to do for an answer, and may wait for others; it never fails."""

    def __call__(self) -> Answer:
        """Do it here."""
        ...

    def queue(self, run: Run, done: Callable[[Answer], None]) -> None:
        """Have it done in a thread that `run` finds; `done` is told there."""
        ...


#: Takes a request, the status it is refused with, the seconds it took and the bytes of the answer.
Refused = Callable[[Scope, int, float, int], str]


class Shortcut(Protocol):
    """What answers some requests without the application."""

    #: What its threads are called, and how many requests it takes at the same time. None where it
    #: waits for nobody: to wake a thread costs more than a short answer.
    name: str
    threads: int

    def takes(self, scope: Scope, length: int) -> bool:
        """Whether a request is for here; `length` of its body, in bytes."""
        ...

    def is_long(self, body: bytes) -> bool:
        """Whether it takes long to read; asked where everybody waits for the answer."""
        ...

    def open(self, scope: Scope, body: bytes) -> Answer | Left:
        """Return the answer, or what is left to do for it."""
        ...


class Gateway:
    """The ASGI application.

    Args:
        app: the WSGI application.
        threads: how many requests it works on at the same time.
        spool_bytes: the largest body that is taken before it is asked.
        spool_folder: where bodies lie that are too large for memory; they have no names there.
        access_log: whether each request gets a line.
        shortcuts: what is asked before the application is.
        refused: counts what is refused here, and gives it its number.
        rest: called in a thread some time after long messages; gives memory back.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        threads: int,
        spool_bytes: int,
        spool_folder: Path | None = None,
        access_log: bool = False,
        shortcuts: Sequence[Shortcut] = (),
        refused: Refused | None = None,
        rest: Callable[[], object] = lambda: None,
    ) -> None:
        self._app = app
        self._spool_bytes = spool_bytes
        self._spool_folder = spool_folder
        self._access_log = access_log
        self._is_retiring = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._left_pool = ThreadPoolExecutor(threads, thread_name_prefix="left")
        self._arrivals = Arrivals()
        self._shortcuts = shortcuts
        self._refused = refused
        self._rest = rest
        self._resting: asyncio.TimerHandle | None = None
        self._long_pool = ThreadPoolExecutor(min(threads, LONG), thread_name_prefix="long")
        self._short_pools = {
            shortcut: ThreadPoolExecutor(shortcut.threads, thread_name_prefix=shortcut.name)
            for shortcut in shortcuts
            if shortcut.threads
        }

    def retire(self) -> None:
        """Tell clients from now on that their connection is not for another request."""
        self._is_retiring = True

    def close(self) -> None:
        """Wait for the threads that still work."""
        for pool in (*self._short_pools.values(), self._long_pool, self._left_pool):
            pool.shutdown()
        self._pool.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        try:
            with suppress(ClientGone):
                await self._answer(exchange)
        except Exception:
            # Half an answer is out: the server cuts the connection, so that nobody takes it for
            # a whole one, but says nothing of why.
            log.exception("%s %s broke off", scope["method"], scope["path"])
            raise
        finally:
            if self._access_log:
                exchange.log()

    async def _answer(self, exchange: Exchange) -> None:
        body = Body(exchange.scope, exchange.receive, asyncio.get_running_loop())
        try:
            await body.take(self._spool_bytes, self._spool_folder)
            shortcut = self._shortcut(exchange.scope, body)
            if shortcut is not None:
                await self._send_short(shortcut, exchange, body)
                return
            # What Flask does while it makes pieces belongs to the request it does it for.
            context = contextvars.copy_context()
            environ = make_environ(exchange.scope, body)
            threads = _Threads(self._pool, context)
            answer = await threads.run(ask, self._app, environ)
            exchange.request_id = environ.get("tranche.request_id", "")
            if answer.rest is not None:
                await self._send_long(exchange, answer, body, threads)
            else:
                await self._send(exchange, answer, body, threads)
        except BodyBroken:
            body.is_complete = True
            await self._refuse(exchange, body, 400, "The request broke off. Send it again.")
        except BodyTooSlow:
            body.is_complete = True  # nothing more of it is wanted
            text = "The request did not arrive completely. Send it again."
            await self._refuse(exchange, body, 408, text)
        except BodyWithoutLength:
            text = "So large a request must say its length (Content-Length)."
            await self._refuse(exchange, body, 411, text)
        finally:
            body.close()

    def _shortcut(self, scope: Scope, body: Body) -> Shortcut | None:
        if not body.is_complete:
            return None
        length = body.length or 0
        return next((each for each in self._shortcuts if each.takes(scope, length)), None)

    async def _send_short(self, shortcut: Shortcut, exchange: Exchange, body: Body) -> None:
        loop = asyncio.get_running_loop()
        data = body.stream.read()
        if shortcut.is_long(data):
            # What is long to read must not hold up those who only have a short question; and it
            # takes a lot of memory until it is done, so few are begun at a time.
            opened = await loop.run_in_executor(
                self._long_pool, _whole, shortcut, exchange.scope, data
            )
            self._rest_later(loop)
        else:
            pool = self._short_pools.get(shortcut)
            if pool is None:
                short = shortcut.open(exchange.scope, data)
            else:
                short = await loop.run_in_executor(pool, shortcut.open, exchange.scope, data)
            if isinstance(short, Answer):
                opened = short
            else:
                arriving: Arriving = loop.create_future()
                short.queue(self._left_pool.submit, partial(self._arrivals.add, arriving))
                opened = await arriving
        exchange.request_id = opened.request_id
        if opened.rest is not None:
            # Its pieces wait for what the answer waited for, and there too.
            pool = self._short_pools.get(shortcut, self._left_pool)
            threads = _Threads(pool, contextvars.copy_context())
            await self._send_long(exchange, opened, body, threads)
            return
        if self._is_retiring:
            opened.headers.append((b"connection", b"close"))
        if opened.file is None:
            await exchange.answer(opened.status, opened.headers, opened.head)
        else:
            await exchange.begin(opened.status, opened.headers)
            await exchange.send_file(opened.file)

    async def _send_long(
        self, exchange: Exchange, answer: Answer, body: Body, threads: "_Threads"
    ) -> None:
        try:
            await self._send(exchange, answer, body, threads)
        finally:
            await threads.run(answer.close)

    def _rest_later(self, loop: asyncio.AbstractEventLoop) -> None:
        def rest() -> None:
            self._resting = None
            with suppress(RuntimeError):  # closed meanwhile
                self._long_pool.submit(self._rest)

        if self._resting is None:
            self._resting = loop.call_later(REST_S, rest)

    async def _send(
        self, exchange: Exchange, answer: Answer, body: Body, threads: "_Threads"
    ) -> None:
        if self._is_retiring or not body.is_complete:
            answer.headers.append((b"connection", b"close"))
        await exchange.begin(answer.status, answer.headers)
        if answer.file is not None:
            await exchange.send_file(answer.file)
        elif answer.rest is None:
            await self._finish(exchange, answer.head, body)
        else:
            await self._send_pieces(exchange, answer, body, threads)

    async def _send_pieces(
        self, exchange: Exchange, answer: Answer, body: Body, threads: "_Threads"
    ) -> None:
        piece, more = answer.head, True
        with exchange.watched() as is_over:
            while more:
                await exchange.write(piece, more=True)
                if body.is_complete and is_over():
                    raise ClientGone
                piece, more = await threads.run(answer.next_piece)
        await self._finish(exchange, piece, body)

    async def _finish(self, exchange: Exchange, piece: bytes, body: Body) -> None:
        """Send the last piece; its last byte when nobody sends any more."""
        if not body.is_complete:
            # The server closes the connection with that byte, and a connection closed on bytes
            # that nobody read takes the whole answer with it.
            await exchange.write(piece[:-1], more=True)
            await body.discard(LINGER_S)
            piece = piece[-1:]
        await exchange.write(piece, more=False)

    async def _refuse(self, exchange: Exchange, body: Body, status: int, text: str) -> None:
        data = f"{text}\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(data)).encode()),
            (b"connection", b"close"),
        ]
        if self._refused is not None:
            number = self._refused(exchange.scope, status, exchange.seconds(), len(data))
            headers.append((b"x-request-id", number.encode()))
            exchange.request_id = number
        await exchange.begin(status, headers)
        await self._finish(exchange, data, body)


class _Threads:
    """Where the work of one request is done.

    Args:
        pool: of the threads.
        context: of the request, in whichever of them.
    """

    def __init__(self, pool: ThreadPoolExecutor, context: contextvars.Context) -> None:
        self._pool = pool
        self._context = context

    async def run(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """Have this done."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._context.run, call, *arguments)


def _whole(shortcut: Shortcut, scope: Scope, body: bytes) -> Answer:
    opened = shortcut.open(scope, body)
    return opened if isinstance(opened, Answer) else opened()

"""The other end of one request: what is sent to it, and whether it still listens."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from deploy_server.web.gateway.body import ClientGone

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

access = logging.getLogger("tranche.access")

#: How long a client may take nothing of what it asked for, in seconds.
SEND_IDLE_S = 60

#: What nginx logs for a client that did not wait for its answer.
_GONE = 499


class Exchange:
    """One request and its answer.

    Attributes:
        scope: what ASGI says of the request.
        receive: more of the request, then its end.
        request_id: the number that the application gave it, '' before that.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self._send = send
        self.request_id = ""
        self._status = _GONE
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Return how long ago the request came."""
        return time.monotonic() - self._began

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole answer; the server takes it as one, so nobody waits for the client."""
        self._status = status
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send status and headers."""
        self._status = status
        await self._put({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, piece: bytes, *, more: bool) -> None:
        """Send a piece of the body; returns when there is room for another.

        Raises:
            ClientGone: nobody takes it.
        """
        await self._put({"type": "http.response.body", "body": piece, "more_body": more})

    async def send_file(self, path: str) -> None:
        """Send this file as the body; it is read and sent without us."""
        await self._put({"type": "http.response.pathsend", "path": path})

    @contextmanager
    def watched(self) -> Iterator[Callable[[], bool]]:
        """Whether the client went away, to be asked again and again; its request is complete."""
        end = asyncio.ensure_future(self._end())
        try:
            yield end.done
        finally:
            end.cancel()

    async def _end(self) -> None:
        # A request without a body still has a message that says so.
        while (await self.receive())["type"] != "http.disconnect":
            continue

    def log(self) -> None:
        """Write the request's line."""
        client = (self.scope.get("client") or ("-",))[0].removeprefix("::ffff:")
        seconds = self.seconds()
        path = self.scope["raw_path"].decode("ascii", "backslashreplace")
        parts = (client, self.scope["scheme"], self.scope["method"], path, self._status)
        access.info(
            '%s %s "%s %s" %d %.0f ms',
            *parts,
            seconds * 1000,
            extra={
                "request_id": self.request_id,
                "client": client,
                "method": self.scope["method"],
                "path": path,
                "status": self._status,
                "seconds": round(seconds, 6),
            },
        )

    async def _put(self, message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_IDLE_S):
                await self._send(message)
        except TimeoutError:
            raise ClientGone from None

"""An HTTP proxy as sites have them: tunnels and plain requests, perhaps for users only."""

import base64
import contextlib
import selectors
import socket

from tests.support.fault_proxy import Exchange, FaultProxy, answer, server_at


class ForwardProxy(FaultProxy):
    """A proxy that leads to one server, under whatever name it is asked for.

    Attributes:
        authorizations: what requests brought of Proxy-Authorization, None for nothing.
    """

    def __init__(self, server: str, *, user: str = "", password: str = "") -> None:
        super().__init__(server_at(server))
        self.authorizations: list[str | None] = []
        self._server = server
        self._wanted = None
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._wanted = f"Basic {token}"
        self.fail("", self._pass)

    def _pass(self, exchange: Exchange) -> bool:
        brought = exchange.headers.get("proxy-authorization")
        self.authorizations.append(brought)
        if self._wanted is not None and brought != self._wanted:
            exchange.send(answer(407, b"", Proxy_Authenticate="Basic"))
            return False
        if exchange.method != "CONNECT":
            exchange.send(exchange.honest)
            return True
        host, _, port = self._server.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _relay(exchange.line, there)
        return False


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until one side has no more."""
    with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)

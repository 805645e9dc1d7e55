"""A proxy between agents and a server that does to answers what a test says.

Real sockets, and real TLS where it has a certificate. What is honest comes from ``upstream``: a
real server (``server_at``) or anything that makes an answer of a request. ``faults`` says for the
end of a path what happens instead; each fault gets the exchange and does what it likes with it.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

#: Nothing that a test waits for takes longer; an agent that is held this long was held for ever.
FOR_EVER_S = 15.0
PROXY = "proxy"  # the name of its threads


class Gone(Exception):
    """The agent hung up, or the test is over."""


@dataclass
class Exchange:
    """One request of an agent, and the line on which it came.

    Attributes:
        line: to the agent.
        method: GET, POST.
        target: what was asked for, as it was said.
        headers: names in lower case.
        body: of the request.
        honest: makes the answer that the server would give, head and all.
        over: set when the test is.
    """

    line: socket.socket
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    over: threading.Event
    upstream: "Upstream"
    number: int = 1

    @property
    def honest(self) -> bytes:
        return self.upstream(self)

    def send(self, data: bytes) -> None:
        try:
            self.line.sendall(data)
        except OSError as error:
            raise Gone from error

    def drip(self, pieces: Iterable[bytes], every_s: float = 0.005) -> None:
        """Send one piece after the other, until the agent has had enough or for ever."""
        left = FOR_EVER_S
        for piece in pieces:
            self.send(piece)
            if every_s:
                left -= every_s
                if left <= 0 or self.over.wait(every_s):
                    return

    def hold(self) -> None:
        """Say nothing more, until the agent hangs up."""
        self.line.settimeout(FOR_EVER_S)
        with contextlib.suppress(OSError):
            while self.line.recv(65536):
                pass

    def cut(self) -> None:
        """Break off as a cable does: no farewell."""
        with contextlib.suppress(OSError):
            self.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone


Upstream = Callable[[Exchange], bytes]
#: What happens to an exchange; None is the honest answer. True keeps the connection.
Fault = Callable[[Exchange], bool | None]


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer's bytes; ``Content_Length=""`` leaves the length out."""
    fields = {"Content_Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {text}" for name, text in fields.items() if text]
    return "\r\n".join([f"HTTP/1.1 {status} Because", *lines, "", ""]).encode() + body


@dataclass
class FaultProxy:
    """The proxy; a context.

    Attributes:
        requests: what was asked for, in order.
        connections: how many were accepted.
        faults: by the end of a path, what happens to its requests in order; the last one stays.
        greeting: what happens to a connection before anything is read from it.
    """

    upstream: Upstream
    certificate: Path | None = None
    faults: dict[str, list[Fault | None]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    greeting: Fault | None = None

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._lines: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._context: ssl.SSLContext | None = None
        if self.certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(self.certificate)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def fail(self, end: str, *faults: Fault | None) -> None:
        """Let ``faults`` happen to requests whose path ends so; the last one for ever."""
        self.faults[end] = list(faults)

    def asked(self, end: str) -> int:
        """How often something whose path ends so was asked for."""
        return sum(each.endswith(end) for each in self.requests)

    def go_away(self) -> None:
        """Stop listening; connections are refused, and those that are open break off."""
        _shut(self._listener)  # wakes who waits for connections; to close it would not
        self._listener.close()
        for line in list(self._lines):
            _shut(line)

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._begin(self._accept)

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self.go_away()
        for thread in self._threads:
            thread.join(FOR_EVER_S)
            assert not thread.is_alive(), "a connection of the proxy does not end"

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=PROXY)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        listener = self._listener
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._lines.add(line)
            self._begin(self._serve, line)

    def _serve(self, plain: socket.socket) -> None:
        line: socket.socket = plain
        try:
            with contextlib.suppress(Gone, OSError):
                if self.greeting is not None:
                    self.greeting(Exchange(plain, "", "", {}, b"", self._over, self.upstream))
                if self._context is not None:
                    line = self._context.wrap_socket(plain, server_side=True)
                    self._lines.add(line)
                number = 0
                while (exchange := self._read(line)) is not None:
                    number += 1
                    exchange.number = number
                    if not self._answer(exchange):
                        break
        finally:
            self._lines -= {plain, line}
            line.close()
            plain.close()

    def _read(self, line: socket.socket) -> Exchange | None:
        """The next request, None where the agent has no more."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = line.recv(65536)
            if not piece:
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {
            k.strip().lower(): v.strip() for k, _, v in (each.partition(":") for each in rest)
        }
        while len(body) < int(headers.get("content-length", "0")):
            body += line.recv(65536)
        method, target, _ = first.split(" ")
        self.requests.append(target.partition("?")[0])
        return Exchange(line, method, target, headers, body, self._over, self.upstream)

    def _answer(self, exchange: Exchange) -> bool:
        fault = self._fault(exchange.target)
        if fault is None:
            exchange.send(exchange.honest)
            return True
        return bool(fault(exchange))

    def _fault(self, target: str) -> Fault | None:
        for end, faults in self.faults.items():
            if target.endswith(end) and faults:
                return faults.pop(0) if len(faults) > 1 else faults[0]
        return None


def server_at(address: str, ca_file: Path | None = None) -> Upstream:
    """A real server; over TLS with the CA that it is to be believed by."""
    host, _, port = address.rpartition(":")

    def ask(exchange: Exchange) -> bytes:
        with contextlib.ExitStack() as stack:
            line = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            if ca_file is not None:
                context = ssl.create_default_context(cafile=str(ca_file))
                line = stack.enter_context(context.wrap_socket(line, server_hostname=host))
            headers = {**exchange.headers, "host": address, "connection": "close"}
            lines = [f"{name}: {text}" for name, text in headers.items()]
            head = "\r\n".join([f"{exchange.method} {exchange.target} HTTP/1.1", *lines, "", ""])
            line.sendall(head.encode("latin-1") + exchange.body)
            received = bytearray()
            while piece := line.recv(65536):
                received += piece
        return _kept(bytes(received))

    return ask


def _kept(received: bytes) -> bytes:
    """An answer without its wish to close the connection: between agent and proxy it stays."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    rest = [each for each in rest if not each.lower().startswith(b"connection:")]
    return b"\r\n".join([first.replace(b"HTTP/1.0", b"HTTP/1.1"), *rest, b"", body])


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)

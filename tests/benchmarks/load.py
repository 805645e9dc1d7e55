"""A load generator on plain sockets: prepared requests in, times and statuses out.

It shares the machine with what it measures, so requests per second are a floor; the CPU time of the
server's processes (measure.py) does not depend on it.
"""

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Target:
    """Where to send: a port of 127.0.0.1, over TLS when there is a context."""

    port: int
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=120)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(plain, server_hostname="localhost") if self.tls else plain


@dataclass
class Load:
    """What came of a load."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    received: int = 0

    @property
    def requests(self) -> int:
        return len(self.latencies)

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in ms that ``share`` of the requests stay under."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def post(path: str, body: bytes, user_agent: str, *, close: bool = False) -> bytes:
    """A message as agents send it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {user_agent}\r\n"
        f"Content-Type: application/x-compress\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    """A GET as agents send it."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n".encode()


def exchange(connection: socket.socket, request: bytes, buffer: bytearray) -> tuple[int, int]:
    """Send one request, read the whole answer: its status and the bytes of its body."""
    connection.sendall(request)
    head = bytearray()
    while _END not in head:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("closed before the end of the headers")
        head += piece
    start, _, rest = bytes(head).partition(_END)
    lines = start.lower().split(b"\r\n")
    status = int(lines[0].split(b" ", 2)[1])
    length = next(
        (int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")),
        None,
    )
    if length is None:
        raise ValueError(f"an answer without Content-Length: {start[:200]!r}")
    missing = length - len(rest)
    while missing > 0:
        got = connection.recv_into(buffer, min(missing, len(buffer)))
        if got == 0:
            raise ConnectionError("closed before the end of the body")
        missing -= got
    return status, length


def hammer(
    target: Target,
    next_request: Callable[[], bytes | None],
    *,
    connections: int = 8,
    keep_alive: bool = True,
) -> Load:
    """Send until ``next_request`` gives None, over ``connections`` at a time."""
    load = Load()
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        buffer = bytearray(262144)
        own = Load()
        connection: socket.socket | None = None
        try:
            while (request := next_request()) is not None:
                began = time.perf_counter()
                connection = connection or target.connect()
                status, length = exchange(connection, request, buffer)
                own.latencies.append(time.perf_counter() - began)
                own.statuses[status] += 1
                own.received += length
                if not keep_alive:
                    connection.close()
                    connection = None
        except BaseException as error:  # a thread's error must reach the one who waits for it
            failures.append(error)
        finally:
            if connection is not None:
                connection.close()
        with lock:
            load.latencies += own.latencies
            load.statuses += own.statuses
            load.received += own.received

    threads = [threading.Thread(target=work) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    return load


def cycle(requests: list[bytes], count: int) -> Callable[[], bytes | None]:
    """``count`` requests, from the list again and again, safe for threads."""
    lock = threading.Lock()
    numbers: Iterator[int] = iter(range(count))

    def take() -> bytes | None:
        with lock:
            number = next(numbers, None)
        return None if number is None else requests[number % len(requests)]

    return take

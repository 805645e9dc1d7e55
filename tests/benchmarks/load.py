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
    """What came of a load.

    Attributes:
        seconds: it took.
        own_cpu: seconds of CPU of this process meanwhile; nearly a core is all that it can have.
        latencies: seconds of each request.
        statuses: of HTTP; 0 where the connection broke.
        received: bytes of bodies.
    """

    seconds: float = 0.0
    own_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    received: int = 0

    @property
    def requests(self) -> int:
        return len(self.latencies)

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def share(self) -> float:
        """The share of a core that generating the load took."""
        return self.own_cpu / self.seconds

    @property
    def refused(self) -> int:
        """Requests that were not answered 200."""
        return self.requests - self.statuses[200]

    def about(self) -> dict[str, object]:
        """What is worth to be kept beside the figure."""
        return {
            "requests": self.requests,
            "requests_per_s": round(self.per_second, 1),
            "p50_ms": round(self.percentile(0.5), 2),
            "p99_ms": round(self.percentile(0.99), 2),
            "generator_cores": round(self.share, 2),
        }

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
    tolerant: bool = False,
) -> Load:
    """Send until ``next_request`` gives None, over ``connections`` at a time.

    Args:
        target: where to.
        next_request: safe for threads.
        connections: how many threads send at the same time.
        keep_alive: each sends everything over one connection; else each request over its own.
        tolerant: a connection that breaks is counted, and does not end everything.
    """
    load = Load()
    hands = [_Hand(target, next_request, keep_alive, tolerant) for _ in range(connections)]
    threads = [threading.Thread(target=hand.work) for hand in hands]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        for hand in hands:
            hand.is_over = True
        raise
    load.seconds = time.perf_counter() - began
    load.own_cpu = time.process_time() - cpu
    for hand in hands:
        if hand.failure is not None:
            raise hand.failure
        load.latencies += hand.load.latencies
        load.statuses += hand.load.statuses
        load.received += hand.load.received
    return load


class _Hand:
    """One of those who send at the same time."""

    def __init__(
        self,
        target: Target,
        next_request: Callable[[], bytes | None],
        keep_alive: bool,
        tolerant: bool,
    ) -> None:
        self._target, self._next = target, next_request
        self._keep_alive, self._tolerant = keep_alive, tolerant
        self._buffer = bytearray(262144)
        self._connection: socket.socket | None = None
        self.load = Load()
        self.failure: BaseException | None = None
        self.is_over = False

    def work(self) -> None:
        try:
            while not self.is_over and (request := self._next()) is not None:
                self._send(request)
        except BaseException as error:  # a thread's error must reach the one who waits for it
            self.failure = error
        finally:
            self._close()

    def _send(self, request: bytes) -> None:
        began = time.perf_counter()
        try:
            self._connection = self._connection or self._target.connect()
            status, length = exchange(self._connection, request, self._buffer)
        except OSError:
            if not self._tolerant:
                raise
            status, length = 0, 0
        self.load.latencies.append(time.perf_counter() - began)
        self.load.statuses[status] += 1
        self.load.received += length
        if not self._keep_alive or status != 200:  # who refuses may close, too
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def cycle(requests: list[bytes], count: int) -> Callable[[], bytes | None]:
    """``count`` requests, from the list again and again, safe for threads."""
    lock = threading.Lock()
    numbers: Iterator[int] = iter(range(count))

    def take() -> bytes | None:
        with lock:
            number = next(numbers, None)
        return None if number is None else requests[number % len(requests)]

    return take

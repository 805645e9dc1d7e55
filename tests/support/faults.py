"""What can happen to an answer on its way: faults for a ``FaultProxy``."""

import gzip
import itertools
from collections.abc import Callable, Iterator

from tests.support.fault_proxy import Exchange, Fault, answer

HTML = b"<html><head><title>Login</title></head><body>Welcome to the hotel</body></html>"


def says(data: bytes, *, keep: bool = True) -> Fault:
    """Other bytes than the honest ones."""

    def fault(exchange: Exchange) -> bool:
        exchange.send(data)
        return keep

    return fault


def status(code: int, **headers: str) -> Fault:
    return says(answer(code, b"no", Content_Type="text/html", **headers))


def page(content_type: str = "text/html") -> Fault:
    """A page where a file should be, as a hotel's network shows it."""
    return says(answer(200, HTML, Content_Type=content_type))


def changed(change: Callable[[bytes], bytes], **headers: str) -> Fault:
    """The honest body changed, with a length that fits."""

    def fault(exchange: Exchange) -> bool:
        exchange.send(answer(200, change(body_of(exchange.honest)), **headers))
        return True

    return fault


def flipped(body: bytes) -> bytes:
    """One bit in the middle differs."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


def compressed(body: bytes) -> bytes:
    return gzip.compress(body)


def length(difference: int) -> Fault:
    """A Content-Length that is wrong by so much; then the connection ends."""

    def fault(exchange: Exchange) -> None:
        body = body_of(exchange.honest)
        exchange.send(answer(200, body, Content_Length=str(len(body) + difference)))

    return fault


def cut(where: str, *, politely: bool = False) -> Fault:
    """The honest answer, broken off: "nothing", "status", "headers", "body", "first", "last"."""

    def fault(exchange: Exchange) -> None:
        exchange.send(until(exchange.honest, where))
        if not politely:
            exchange.cut()

    return fault


def stall(where: str) -> Fault:
    """The honest answer up to somewhere, then silence."""

    def fault(exchange: Exchange) -> None:
        exchange.send(until(exchange.honest, where))
        exchange.hold()

    return fault


def until(data: bytes, where: str) -> bytes:
    """The beginning of an answer."""
    body = data.index(b"\r\n\r\n") + 4
    ends = {
        "nothing": 0,
        "status": 9,
        "headers": body - 6,
        "first": body + 1,
        "body": (body + len(data)) // 2,
        "last": len(data) - 1,
    }
    return data[: ends[where]]


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


# Drips: each sends something all the time, and never what it should.


def drip(where: str, every_s: float = 0.005) -> Fault:
    """A byte now and then, for ever, in one of the places where a reader may loop."""

    def fault(exchange: Exchange) -> None:
        exchange.drip(DRIPS[where](), every_s)

    return fault


def _bytes(data: bytes) -> Iterator[bytes]:
    return (bytes([each]) for each in data)


def _then(head: bytes, endless: bytes) -> Callable[[], Iterator[bytes]]:
    """``head`` at once, then ``endless`` again and again."""
    return lambda: itertools.chain([head], itertools.cycle([endless]))


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DRIPS: dict[str, Callable[[], Iterator[bytes]]] = {
    "status line": _then(b"HTTP/1.1 200 O", b"K"),
    "a header": _then(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "header lines": lambda: itertools.chain(
        [b"HTTP/1.1 200 OK\r\n"], (byte for n in itertools.count() for byte in _bytes(b"X: y\r\n"))
    ),
    "100 Continue": _then(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": _then(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "body without length": _then(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "size of a chunk": _then(_CHUNKED, b"0"),
    "chunk extension": _then(_CHUNKED + b"5;", b"x"),
    "chunk extensions": _then(_CHUNKED, b"1;" + b"x" * 60_000 + b"\r\nx\r\n"),
    "trailers": _then(_CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n"),
    "a trailer": _then(_CHUNKED + b"1\r\nx\r\n0\r\n", b"X"),
}


# Faults by what they mean to an agent.

TRANSIENT: dict[str, Fault] = {
    "closed without a word": cut("nothing", politely=True),
    "cut before the first byte": cut("nothing"),
    "cut in the status line": cut("status"),
    "cut in the headers": cut("headers"),
    "cut after the first byte": cut("first"),
    "cut in the body": cut("body"),
    "cut before the last byte": cut("last"),
    "ended in the body": cut("body", politely=True),
    "a length that is too long": length(+7),
    "a length far too long": length(10**15),
    "garbage": says(b"\x00\x01\xfe garbage\r\n" * 20, keep=False),
    "an SSH server": says(b"SSH-2.0-OpenSSH_9.2\r\n", keep=False),
    "407": status(407),
    "408": status(408),
    "429": status(429),
    "500": status(500),
    "502": status(502),
    "503": status(503),
    "504": status(504),
}
SILENT: dict[str, Fault] = {
    "silence before the answer": stall("nothing"),
    "silence in the headers": stall("headers"),
    "silence after the first byte": stall("first"),
    "silence in the body": stall("body"),
    "silence before the last byte": stall("last"),
    **{f"drips: {where}": drip(where) for where in DRIPS},
}
REFUSED: dict[str, Fault] = {
    "404": status(404),
    "410": status(410),
    "403": status(403),
    "401": status(401),
    "304": status(304),
    "206": status(206),
    "a redirect in a circle": lambda exchange: status(302, Location=exchange.target)(exchange),
    "a redirect to nowhere": status(302),
    "a redirect to a file": status(301, Location="file:///etc/passwd"),
}
WRONG: dict[str, Fault] = {
    "a page": page(),
    "a page that says it is the file": page("application/octet-stream"),
    "nothing at all": changed(lambda body: b""),
    "compressed": changed(compressed, Content_Encoding="gzip"),
    "compressed without a word": changed(compressed),
    "a length that is too short": length(-7),
}

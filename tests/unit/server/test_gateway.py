"""The gateway between ASGI and WSGI, without a socket: bodies, answers, and who goes away."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.validate import validator

import pytest
from flask import Flask, request, send_file, stream_with_context
from flask.typing import ResponseReturnValue

from deploy_server.web.gateway import Gateway, body, exchange

SPOOL = 100_000


@dataclass
class Client:
    """A client: the messages it sends, and what it got."""

    path: str = "/"
    method: str = "GET"
    query: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    breaks_off: bool = False
    stalls: bool = False
    got: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    asked_before_answer: int | None = None

    def with_length(self) -> "Client":
        self.headers.append((b"content-length", str(sum(map(len, self.pieces))).encode()))
        return self

    def scope(self) -> dict[str, Any]:
        return {
            "type": "http",
            "http_version": "1.1",
            "scheme": "https",
            "method": self.method,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query,
            "headers": [(b"host", b"deploy.example.org"), *self.headers],
            "server": ("127.0.0.1", "8443"),
            "client": ("::ffff:192.0.2.7", "51234"),
            "extensions": {"http.response.pathsend": {}},
        }

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        if self.pieces:
            piece = self.pieces.pop(0)
            more = bool(self.pieces) or self.breaks_off or self.stalls
            return {"type": "http.request", "body": piece, "more_body": more}
        if self.asked == 1:
            return {"type": "http.request", "body": b"", "more_body": self.breaks_off}
        if not self.breaks_off:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.asked_before_answer is None:
            self.asked_before_answer = self.asked
        self.got.append(dict(message))

    @property
    def status(self) -> int:
        return int(self.got[0]["status"])

    @property
    def answer_headers(self) -> dict[bytes, bytes]:
        return dict(self.got[0]["headers"])

    @property
    def body(self) -> bytes:
        assert self.got[-1].get("more_body") is False, self.got
        return b"".join(each["body"] for each in self.got[1:])


Ask = Callable[[WSGIApplication, Client], Client]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    def ask(app: WSGIApplication, client: Client) -> Client:
        gateway = Gateway(app, threads=2, spool_bytes=SPOOL, spool_folder=tmp_path, access_log=True)
        try:
            asyncio.run(
                asyncio.wait_for(gateway(client.scope(), client.receive, client.send), timeout=20)
            )
        finally:
            gateway.close()
        return client

    return ask


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the body it was sent."""
    data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


def flask_app() -> Flask:
    app = Flask("test")
    app.config["MAX_CONTENT_LENGTH"] = SPOOL

    @app.put("/upload")
    def upload() -> ResponseReturnValue:
        request.max_content_length = 10**9
        size = 0
        while piece := request.stream.read(10_000):
            size += len(piece)
        return f"{size} in {threading.current_thread().name.split('_')[0]}"

    @app.post("/form")
    def form() -> ResponseReturnValue:
        return f"{len(request.get_data())}"

    @app.get("/stream")
    def stream() -> ResponseReturnValue:
        def pieces() -> Iterator[bytes]:
            for number in range(20):
                yield request.args["letter"].encode() * 100_000 + str(number).encode()

        return app.response_class(stream_with_context(pieces()))

    return app


# Requests


def test_wsgi_says_the_gateway_is_a_server(ask: Ask) -> None:
    client = Client(method="POST", query=b"a=b", pieces=[b"abc", b"", b"def"]).with_length()
    assert ask(validator(echo), client).body == b"abcdef"


def test_what_flask_learns_of_a_request(ask: Ask) -> None:
    seen: dict[str, Any] = {}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.update(environ)
        start_response("204 No Content", [])
        return []

    headers = [
        (b"x-two", b"1"),
        (b"x-two", b"2"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"x-bytes", b"\xe9\xff"),
        (b"content-type", b"text/plain"),
        (b"proxy", b"http://evil.example.org"),
        (b"x_two", b"3"),
    ]
    ask(app, Client(path="/a%20b/%ff%2f/../x", query=b"q=%20", headers=headers))
    assert seen["PATH_INFO"] == "/a b/\xff//../x"
    assert seen["QUERY_STRING"] == "q=%20"
    assert seen["REMOTE_ADDR"] == "192.0.2.7"
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["HTTP_HOST"] == "deploy.example.org"
    assert seen["HTTP_X_TWO"] == "1,2"
    assert seen["HTTP_COOKIE"] == "a=1; b=2"
    assert seen["HTTP_X_BYTES"] == "\xe9\xff"
    assert seen["CONTENT_TYPE"] == "text/plain"
    assert "HTTP_PROXY" not in seen
    assert "PATH" not in seen, "the environment of the process is nobody's business"


def test_a_body_is_complete_before_a_thread_begins(ask: Ask) -> None:
    asked_at_start = []
    client = Client(method="POST", pieces=[b"a" * 300] * 300).with_length()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked_at_start.append(client.asked)
        return echo(environ, start_response)

    assert len(ask(app, client).body) == 90_000
    assert asked_at_start == [300]


def test_a_body_without_a_length_gets_one(ask: Ask) -> None:
    chunked = [(b"transfer-encoding", b"chunked")]
    client = ask(echo, Client(method="POST", headers=chunked, pieces=[b"abc", b"de"]))
    assert client.body == b"abcde"


def test_a_long_body_without_a_length_is_refused(ask: Ask) -> None:
    chunked = [(b"transfer-encoding", b"chunked")]
    client = ask(echo, Client(method="POST", headers=chunked, pieces=[b"a" * SPOOL, b"b", b"c"]))
    assert client.status == 411
    assert client.body == b"So large a request must say its length (Content-Length).\n"
    assert client.answer_headers[b"connection"] == b"close"


def test_a_large_body_is_streamed(ask: Ask) -> None:
    client = Client("/upload", "PUT", pieces=[b"a" * 33_333] * 30 + [b"", b"b"]).with_length()
    assert ask(flask_app(), client).body == b"999991 in request"


def test_a_large_body_is_refused_unread(ask: Ask) -> None:
    client = Client("/form", "POST", pieces=[b"a" * SPOOL, b"b"]).with_length()
    ask(flask_app(), client)
    assert client.status == 413
    assert client.asked_before_answer == 0
    assert client.answer_headers[b"connection"] == b"close"


def test_who_is_refused_while_sending_gets_the_answer_first(ask: Ask) -> None:
    client = Client("/form", "POST", pieces=[b"a" * SPOOL] * 5).with_length()
    ask(flask_app(), client)
    assert [each.get("more_body") for each in client.got] == [None, True, False]
    assert len(client.got[-1]["body"]) == 1, "the end of the answer is the end of the connection"
    assert client.pieces == [], "what it still sent was taken off the line"


def test_a_client_that_breaks_off_never_reaches_the_application(ask: Ask) -> None:
    calls: list[str] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        calls.append("called")
        return echo(environ, start_response)

    client = Client(method="POST", pieces=[b"abc"], breaks_off=True)
    client.headers.append((b"content-length", b"10"))
    # Whoever sent broken chunks is still there to read it.
    assert ask(app, client).status == 400
    assert calls == []


def test_flask_knows_that_a_large_body_broke_off(ask: Ask) -> None:
    client = Client("/upload", "PUT", pieces=[b"a" * 1000], breaks_off=True)
    client.headers.append((b"content-length", b"200000"))
    assert ask(flask_app(), client).status == 400


def test_a_body_that_stops_coming_is_not_waited_for(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "RECEIVE_IDLE_S", 0.01)
    for length, path, status in ((10, "/form", 408), (200_000, "/upload", 400)):
        client = Client(path, "PUT" if status == 400 else "POST", pieces=[b"abc"], stalls=True)
        client.headers.append((b"content-length", str(length).encode()))
        assert ask(flask_app(), client).status == status


def test_a_body_that_comes_byte_by_byte_is_not_waited_for(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "_FIRST_S", 0)
    monkeypatch.setattr(body, "SLOWEST", 1e9)
    client = Client(method="POST", pieces=[b"a"], stalls=True)
    client.headers.append((b"content-length", b"10"))
    assert ask(echo, client).status == 408


# Answers


def test_a_large_answer_comes_in_pieces_and_in_its_own_context(ask: Ask) -> None:
    client = ask(flask_app(), Client("/stream", query=b"letter=x"))
    assert client.body == b"".join(b"x" * 100_000 + str(n).encode() for n in range(20))
    assert len(client.got) > 5
    assert max(len(each.get("body", b"")) for each in client.got) < 500_000


def test_an_answer_is_not_made_for_who_went_away(ask: Ask) -> None:
    made: list[int] = []

    class Pieces:
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            for number in range(1000):
                made.append(number)
                yield b"x" * 300_000

        def close(self) -> None:
            self.closed = True

    pieces = Pieces()

    def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return pieces

    client = ask(app, Client(breaks_off=True))
    assert len(made) < 10
    assert pieces.closed
    assert client.got[-1]["more_body"] is True, "it must not look complete"


def test_who_takes_nothing_of_the_answer_is_left(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "SEND_IDLE_S", 0.01)
    client = Client("/stream", query=b"letter=x")

    async def never(_message: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(client, "send", never)
    ask(flask_app(), client)


def test_a_whole_file_goes_by_its_path(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "fragment"
    file.write_bytes(b"x" * 1000)
    app = Flask("test")
    app.add_url_rule("/", view_func=lambda: send_file(file))
    client = ask(app, Client())
    assert client.got[1] == {"type": "http.response.pathsend", "path": str(file)}
    assert client.answer_headers[b"content-length"] == b"1000"
    ranged = ask(app, Client(headers=[(b"range", b"bytes=10-19")]))
    assert (ranged.status, ranged.body) == (206, b"x" * 10)
    head = ask(app, Client(method="HEAD"))
    assert (head.body, head.answer_headers[b"content-length"]) == (b"", b"1000")


def test_a_file_that_does_not_fit_its_length_is_read(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "fragment"
    file.write_bytes(b"0123456789")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        opened = file.open("rb")
        opened.seek(5)
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened)
        return wrapped

    assert ask(app, Client()).body == b"56789"


@pytest.mark.parametrize("where", ["before", "in the body"])
def test_a_mistake_is_logged_and_answered(
    ask: Ask, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if where == "before":
            raise ZeroDivisionError
        start_response("200 OK", [])
        return (1 // 0 for _ in range(3))  # type: ignore[misc]

    client = ask(app, Client("/x"))
    assert client.status == 500
    assert b"mistake" in client.body
    assert "GET /x failed" in caplog.text


def test_a_mistake_in_mid_answer_breaks_the_answer_off(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise ZeroDivisionError

    def app(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return pieces()

    client = Client("/x")
    with pytest.raises(ZeroDivisionError):
        ask(app, client)
    assert client.got[-1]["more_body"] is True, "it must not look complete"
    assert "GET /x broke off" in caplog.text


def test_a_gateway_that_retires_keeps_no_connection() -> None:
    gateway = Gateway(echo, threads=1, spool_bytes=SPOOL)
    first, second = Client(), Client()
    asyncio.run(gateway(first.scope(), first.receive, first.send))
    gateway.retire()
    asyncio.run(gateway(second.scope(), second.receive, second.send))
    gateway.close()
    assert b"connection" not in first.answer_headers
    assert second.answer_headers[b"connection"] == b"close"


def test_each_request_has_its_line(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tranche.access"):
        ask(echo, Client(path="/a%0Ab"))
    assert '192.0.2.7 https "GET /a%0Ab" 200' in caplog.text

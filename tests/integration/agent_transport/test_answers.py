"""Lengths, statuses, silence and redirects, over real sockets."""

import io
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from deploy_agent.domain.errors import (
    DefiniteError,
    HttpRefusal,
    HttpStatus,
    RedirectRefused,
    ServerUnreachable,
    ShortRead,
    TooSlow,
    WrongBytes,
)
from deploy_agent.machine.transport.watch import Limits
from tests.support.ports import free_port
from tests.support.talking import Handler, answers, client
from tests.support.webfolder import PlainWebServer

# Lengths and answers.


def test_a_stream_ends_in_the_sink_with_its_length(plain: PlainWebServer, ca_file: Path) -> None:
    data = os.urandom(1_000_000)
    plain.faults["/f"] = data
    url, sink = f"http://{plain.address}/f", io.BytesIO()
    assert client(url, ca_file).fetch(url, sink, limit=len(data)) == len(data)
    assert sink.getvalue() == data


def test_nothing_beyond_the_limit_is_taken(plain: PlainWebServer, ca_file: Path) -> None:
    url, sink = f"http://{plain.address}/f", io.BytesIO()
    plain.faults["/f"] = answers(200, b"x" * 11)
    with pytest.raises(WrongBytes):
        client(url, ca_file).fetch(url, sink, limit=10)
    assert sink.getvalue() == b""


def test_an_endless_body_without_length_is_cut_at_the_limit(
    plain: PlainWebServer, ca_file: Path
) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while True:
                handler.wfile.write(bytes(65536))

    url, sink = f"http://{plain.address}/f", io.BytesIO()
    plain.faults["/f"] = endless
    with pytest.raises(WrongBytes):
        client(url, ca_file).fetch(url, sink, limit=1_000_000)
    assert len(sink.getvalue()) <= 1_000_000


def test_a_body_that_ends_too_early(plain: PlainWebServer, ca_file: Path) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(200, b"half", length=8)
    with pytest.raises(ShortRead):
        client(url, ca_file).fetch(url, io.BytesIO(), limit=100)


def test_a_disk_that_is_full_is_not_the_networks_fault(
    plain: PlainWebServer, ca_file: Path
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    url = f"http://{plain.address}/f"
    plain.faults["/f"] = b"content"
    with pytest.raises(OSError, match="No space"):
        client(url, ca_file).fetch(url, Full(), limit=100)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, HttpRefusal),
        (401, HttpRefusal),
        (403, HttpRefusal),
        (404, HttpRefusal),
        (410, HttpRefusal),
        (304, HttpRefusal),
        (206, HttpRefusal),
        (407, HttpStatus),
        (408, HttpStatus),
        (429, HttpStatus),
        (500, HttpStatus),
        (502, HttpStatus),
        (503, HttpStatus),
    ],
)
def test_statuses(
    plain: PlainWebServer, ca_file: Path, status: int, kind: type[HttpRefusal | HttpStatus]
) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(status)
    with pytest.raises(kind, match=str(status)) as caught:
        client(url, ca_file).read(url, limit=10)
    assert getattr(caught.value, "status", None) == status


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), ("Sat, 21 Nov 2026 10:01:00 GMT", 60.0), ("soon", None), ("", None)],
)
def test_retry_after(
    plain: PlainWebServer, ca_file: Path, text: str, seconds: float | None
) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(503, headers={"Retry-After": text})
    with pytest.raises(HttpStatus) as caught:
        client(url, ca_file).read(url, limit=10)
    assert caught.value.retry_after_s == seconds


def test_a_silent_server_is_too_slow(ca_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TooSlow, match="sent nothing"):
            client(url, ca_file, limits=Limits(silence_s=0.2)).read(url, limit=10)


def test_nobody_listens(ca_file: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(ServerUnreachable, match="refused") as caught:
        client(url, ca_file).read(url, limit=10)
    assert "the port is the right one" in caught.value.hint


def test_no_such_host(ca_file: Path) -> None:
    url = "http://no-such-host.invalid/"
    with pytest.raises(ServerUnreachable, match="no such host name") as caught:
        client(url, ca_file).read(url, limit=10)
    assert "DNS" in caught.value.hint


# What a server says about its refusal.


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (
            b"agents speak HTTPS here\nnext line",
            "text/plain; charset=utf-8",
            "agents speak HTTPS here",
        ),
        (b"\n\n  indented  \n", "text/plain", "indented"),
        (b"\x1b[2Jwiped \xff", "text/plain", "?[2Jwiped \ufffd"),
        (b"x" * 9000, "text/plain", ""),
        (b"y" * 2000, "text/plain", "y" * 300),
        (b"<html>long</html>", "text/html", ""),
        (b"no type at all", "", ""),
    ],
)
def test_the_first_line_of_a_refusal_is_told(
    plain: PlainWebServer, ca_file: Path, body: bytes, kind: str, said: str
) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(403, body, {"Content-Type": kind})
    with pytest.raises(HttpRefusal) as caught:
        client(url, ca_file).read(url, limit=10)
    assert caught.value.message == f"GET {url}: 403 Forbidden" + (f": {said}" if said else "")
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_what_was_compressed_on_its_way_is_refused(plain: PlainWebServer, ca_file: Path) -> None:
    url = f"http://{plain.address}/f"
    plain.faults["/f"] = answers(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})
    with pytest.raises(WrongBytes, match="gzip, which was not asked for"):
        client(url, ca_file).read(url, limit=10)


@pytest.mark.parametrize("url", ["https://a b/x", "https:///info", "ftp://h/x", "http://h:99999/x"])
def test_an_address_that_is_none_is_a_definite_answer(url: str, ca_file: Path) -> None:
    with pytest.raises(DefiniteError):
        client("http://127.0.0.1/", ca_file).read(url, limit=10)


# Redirects.


def redirect_to(target: str) -> Callable[[Handler], None]:
    return answers(302, headers={"Location": target})


def test_a_redirect_within_a_server_is_followed(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults.update({"/a": redirect_to("/b"), "/b": b"there"})
    url = f"http://{plain.address}/a"
    assert client(url, ca_file).read(url, limit=10) == b"there"


def test_a_redirect_to_another_server_is_said(
    plain: PlainWebServer,
    https: PlainWebServer,
    ca_file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain.faults["/a"] = redirect_to(f"https://{https.address}/file")
    url = f"http://{plain.address}/a"
    assert client(url, ca_file).read(url, limit=10) == b"content"
    assert "is redirected to another server" in caplog.text


def test_never_from_https_to_http(
    plain: PlainWebServer, https: PlainWebServer, ca_file: Path
) -> None:
    https.faults["/a"] = redirect_to(f"http://{plain.address}/b")
    url = f"https://{https.address}/a"
    with pytest.raises(RedirectRefused, match="HTTPS to HTTP"):
        client(url, ca_file).read(url, limit=10)
    assert plain.requests == []


@pytest.mark.parametrize("target", ["", "file:///etc/passwd", "javascript:x", "http://"])
def test_redirects_to_nowhere(plain: PlainWebServer, ca_file: Path, target: str) -> None:
    plain.faults["/a"] = redirect_to(target)
    url = f"http://{plain.address}/a"
    with pytest.raises(RedirectRefused):
        client(url, ca_file).read(url, limit=10)


def test_a_circle_of_redirects_ends(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults["/a"] = redirect_to("/a")
    url = f"http://{plain.address}/a"
    with pytest.raises(RedirectRefused, match="more than"):
        client(url, ca_file).read(url, limit=10)
    assert len(plain.requests) == 6

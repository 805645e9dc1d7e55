"""Servers that always send something and never what they should: nobody is held, and in time.

Each drip goes on for many times longer than the limits that the agent has here.
"""

import io
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.errors import TooSlow
from deploy_agent.machine.transport import HttpTransport
from deploy_agent.machine.transport.watch import Limits
from tests.support.certificates import Issued, issue
from tests.support.fault_proxy import FOR_EVER_S, PROXY, Exchange, FaultProxy, answer
from tests.support.faults import DRIPS, drip, says
from tests.support.talking import LOCAL, client

#: No silence is reported: what has to end these is that nothing is ever finished.
LIMITS = Limits(connect_s=0.5, silence_s=10, answer_s=0.5, grace_s=0.3)
IN_TIME_S = FOR_EVER_S / 2


def honest(exchange: Exchange) -> bytes:
    return answer(200, b"content")


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, tmp_path: Path, ca: Issued) -> Iterator[FaultProxy]:
    file = tmp_path / "drips.pem"
    certificate = issue("server", by=ca, san=LOCAL).save(file) if request.param == "https" else None
    with FaultProxy(honest, certificate) as running:
        yield running


def url_of(server: FaultProxy, path: str = "/f") -> str:
    return f"http{'s' if server.certificate else ''}://{server.address}{path}"


def impatient(server: FaultProxy, ca_file: Path, **access: object) -> HttpTransport:
    return client(url_of(server), ca_file, **{"limits": LIMITS, "proxy": "", **access})


@pytest.mark.parametrize("where", DRIPS)
def test_a_drip_holds_nobody(server: FaultProxy, ca_file: Path, where: str) -> None:
    server.fail("/f", drip(where))
    began = time.monotonic()
    with pytest.raises(TooSlow) as caught:
        impatient(server, ca_file).fetch(url_of(server), io.BytesIO(), limit=10**9)
    assert time.monotonic() - began < IN_TIME_S
    assert server.address in caught.value.message


@pytest.mark.parametrize("where", ["100 Continue", "trailers", "a header"])
def test_nor_does_a_flood(server: FaultProxy, ca_file: Path, where: str) -> None:
    server.fail("/f", drip(where, every_s=0))
    began = time.monotonic()
    with pytest.raises(Exception, match=server.address):  # a line may also be too long
        impatient(server, ca_file).read(url_of(server), limit=10**6)
    assert time.monotonic() - began < IN_TIME_S


@pytest.mark.parametrize("where", ["status line", "100 Continue", "trailers"])
def test_a_message_is_not_held_either(server: FaultProxy, ca_file: Path, where: str) -> None:
    server.fail("/f", drip(where))
    with pytest.raises(TooSlow):
        impatient(server, ca_file).post(b"<REQUEST/>")


def test_what_a_refusal_says_is_not_waited_for(server: FaultProxy, ca_file: Path) -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 4000\r\n\r\n"
    endless = itertools.chain([head], itertools.repeat(b"x"))
    server.fail("/f", lambda exchange: exchange.drip(endless))
    began = time.monotonic()
    with pytest.raises(Exception, match="404"):
        impatient(server, ca_file).read(url_of(server), limit=100)
    assert time.monotonic() - began < IN_TIME_S


def test_a_handshake_that_drips(tmp_path: Path, ca_file: Path) -> None:
    def drip_tls(exchange: Exchange) -> None:
        exchange.drip(itertools.chain([b"\x16\x03\x03\x40\x00"], itertools.repeat(b"\x02")))

    with FaultProxy(honest, greeting=drip_tls) as server:
        url = f"https://{server.address}/f"
        began = time.monotonic()
        with pytest.raises(TooSlow):
            client(url, ca_file, limits=LIMITS, proxy="").read(url, limit=10)
        assert time.monotonic() - began < IN_TIME_S


@pytest.mark.parametrize("where", ["status line", "header lines", "a header"])
def test_a_proxys_tunnel_that_drips(ca_file: Path, where: str) -> None:
    with FaultProxy(honest) as proxy:
        proxy.fail(":443", drip(where))
        url = "https://server.example.org/f"
        began = time.monotonic()
        with pytest.raises(TooSlow):
            client(url, ca_file, limits=LIMITS, proxy=f"http://{proxy.address}").read(url, limit=10)
        assert time.monotonic() - began < IN_TIME_S


def test_a_server_that_takes_nothing(ca_file: Path) -> None:
    def deaf(exchange: Exchange) -> None:
        exchange.over.wait(FOR_EVER_S)

    with FaultProxy(honest, greeting=deaf) as server:
        transport = impatient(server, ca_file)
        began = time.monotonic()
        with pytest.raises(TooSlow, match="does not take"):
            transport.post_json("/f", "y" * 50_000_000)
        assert time.monotonic() - began < IN_TIME_S


def test_a_slow_but_steady_body_is_no_drip(server: FaultProxy, ca_file: Path) -> None:
    """Longer than every limit, and never slower than what is asked for."""
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", *[bytes(600)] * 100]
    server.fail("/f", lambda exchange: exchange.drip(pieces, 0.015))
    sink = io.BytesIO()
    assert impatient(server, ca_file).fetch(url_of(server), sink, limit=60_000) == 60_000


def test_our_own_slowness_is_not_the_servers(server: FaultProxy, ca_file: Path) -> None:
    class SlowDisk(io.BytesIO):
        def write(self, data: object) -> int:
            time.sleep(LIMITS.grace_s)
            return super().write(data)  # type: ignore[arg-type]

    body = bytes(50_000)
    server.fail("/f", says(answer(200, body)))
    assert impatient(server, ca_file).fetch(url_of(server), SlowDisk(), limit=None) == len(body)


def test_no_thread_is_left_behind_and_the_connection_is_kept(
    server: FaultProxy, ca_file: Path
) -> None:
    before = set(threading.enumerate())
    transport = impatient(server, ca_file)
    for _ in range(3):
        assert transport.read(url_of(server), limit=10) == b"content"
    assert {each.name for each in set(threading.enumerate()) - before} <= {PROXY}
    assert server.connections == 1
    transport.close()

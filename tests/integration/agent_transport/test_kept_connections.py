"""Connections that were kept and are dead: after sleep, in another network, after a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_agent.domain.errors import ServerUnreachable, TransientError
from deploy_agent.machine.transport import Access, HttpTransport
from deploy_agent.machine.transport.watch import Limits
from tests.support.certificates import Issued, issue
from tests.support.clock import FakeClock
from tests.support.fault_proxy import Exchange, Fault, FaultProxy, answer
from tests.support.faults import cut, stall
from tests.support.talking import LOCAL

LIMITS = Limits(connect_s=5, silence_s=0.4, answer_s=2)


def honest(exchange: Exchange) -> bytes:
    return answer(200, b"content")


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, tmp_path: Path, ca: Issued) -> Iterator[FaultProxy]:
    file = tmp_path / "kept.pem"
    certificate = issue("server", by=ca, san=LOCAL).save(file) if request.param == "https" else None
    with FaultProxy(honest, certificate) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def transport(server: FaultProxy, ca_file: Path, clock: FakeClock) -> Iterator[HttpTransport]:
    access = Access(url_of(server), ca_file, proxy="", limits=LIMITS)
    made = HttpTransport(access, clock)
    yield made
    made.close()


def url_of(server: FaultProxy) -> str:
    return f"http{'s' if server.certificate else ''}://{server.address}/f"


def used(fault: Fault) -> Fault:
    """The fault on connections that brought an answer before; new ones are good."""

    def only_then(exchange: Exchange) -> bool | None:
        if exchange.number > 1:
            return fault(exchange)
        exchange.send(exchange.honest)
        return True

    return only_then


@pytest.mark.parametrize(
    "death",
    [cut("nothing"), cut("nothing", politely=True), stall("nothing")],
    ids=["RST", "FIN", "NAT"],
)
def test_a_dead_one_is_replaced_at_once(
    server: FaultProxy, transport: HttpTransport, clock: FakeClock, death: Fault
) -> None:
    server.fail("/f", used(death))
    for _ in range(2):
        assert transport.read(url_of(server), limit=10) == b"content"
    assert server.connections == 2
    assert len(server.requests) == 3
    assert clock.sleeps == []


def test_a_message_too(server: FaultProxy, transport: HttpTransport) -> None:
    server.fail("/f", used(stall("nothing")))
    transport.read(url_of(server), limit=10)
    with pytest.raises(Exception, match="not as a deployment server"):  # the content is no reply
        transport.post(b"<REQUEST/>")
    assert server.connections == 2


def test_a_server_that_was_restarted(server: FaultProxy, transport: HttpTransport) -> None:
    transport.read(url_of(server), limit=10)
    server.go_away()
    server.come_back()
    assert transport.read(url_of(server), limit=10) == b"content"


@pytest.mark.parametrize(
    "death", [cut("nothing"), cut("status"), stall("status")], ids=["no answer", "cut", "silent"]
)
def test_a_new_connection_that_dies_is_a_fault(
    server: FaultProxy, transport: HttpTransport, death: Fault
) -> None:
    server.fail("/f", death)
    with pytest.raises(TransientError):
        transport.read(url_of(server), limit=10)
    assert len(server.requests) == 1


def test_twice_is_once_too_often(server: FaultProxy, transport: HttpTransport) -> None:
    transport.read(url_of(server), limit=10)
    server.fail("/f", cut("nothing"))
    with pytest.raises(TransientError):
        transport.read(url_of(server), limit=10)
    assert len(server.requests) == 3


def test_an_answer_that_has_begun_is_not_asked_for_again(
    server: FaultProxy, transport: HttpTransport
) -> None:
    transport.read(url_of(server), limit=10)
    server.fail("/f", cut("status"))
    with pytest.raises(TransientError):
        transport.read(url_of(server), limit=10)
    assert len(server.requests) == 2


def test_nobody_is_there_any_more(server: FaultProxy, transport: HttpTransport) -> None:
    transport.read(url_of(server), limit=10)
    server.go_away()
    with pytest.raises(ServerUnreachable, match="refused"):
        transport.read(url_of(server), limit=10)


def test_after_a_sleep_no_old_connection_is_tried(
    server: FaultProxy, transport: HttpTransport, clock: FakeClock
) -> None:
    server.fail("/f", used(stall("nothing")))
    transport.read(url_of(server), limit=10)
    clock.advance(hours=8)
    assert transport.read(url_of(server), limit=10) == b"content"
    assert len(server.requests) == 2
    clock.advance(days=-1)  # the clock was put back meanwhile
    assert transport.read(url_of(server), limit=10) == b"content"
    assert len(server.requests) == 3

"""The shared sockets: every address and family, and a refusal that names the port."""

import socket
from collections.abc import Iterator

import pytest

from deploy_server.domain.errors import Conflict
from deploy_server.serving.listeners import _bind, listen


def connects(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 5):
            return True
    except OSError:
        return False


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_given_address_is_the_only_one() -> None:
    with listen("127.0.0.1", 0, "--http-port") as listener:
        port = listener.getsockname()[1]
        assert connects("127.0.0.1", port)
        assert not connects("::1", port)


def test_no_address_means_all_of_both_families() -> None:
    # Bound, but nobody listens: this test opens no port of this machine to others.
    with _bind("::", 0) as both:
        assert both.getsockname()[0] == "::"
        assert both.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0


@pytest.mark.parametrize(("has_ipv6", "address"), [(True, "::"), (False, "0.0.0.0")])
def test_no_address_is_ipv4_where_there_is_nothing_else(
    monkeypatch: pytest.MonkeyPatch, has_ipv6: bool, address: str
) -> None:
    asked = []

    def bind(address: str, port: int) -> socket.socket:
        asked.append(address)
        if ":" in address and not has_ipv6:
            raise OSError(97, "Address family not supported by protocol")
        return _bind("127.0.0.1", port)

    monkeypatch.setattr("deploy_server.serving.listeners._bind", bind)
    listen("", 0, "--http-port").close()
    assert asked[-1] == address


def test_a_taken_port_is_named_with_what_to_do(taken: int) -> None:
    with pytest.raises(Conflict) as caught:
        listen("127.0.0.1", taken, "--https-port")
    assert str(caught.value) == (
        f"port {taken} of 127.0.0.1 is taken by another program. "
        "Stop it (ss -ltnp shows which), or choose another port: --https-port"
    )


@pytest.mark.parametrize("address", ["192.0.2.1", "not an address", "2001:db8::1"])
def test_an_address_of_somebody_else(address: str) -> None:
    with pytest.raises(Conflict, match=r"is no address of this machine. Correct --bind"):
        listen(address, 0, "--http-port")

"""Messages to the server, proxies, credentials and the rate, over real sockets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_agent import __version__
from deploy_agent.domain.errors import (
    RedirectRefused,
    ServerUnreachable,
    WrongBytes,
)
from deploy_agent.machine.transport import Access
from deploy_agent.wire import envelope
from tests.support.talking import Handler, answers, client
from tests.support.webfolder import PlainWebServer

# Messages.


def posting(plain: PlainWebServer, ca_file: Path, answer: Callable[[Handler], None]) -> bytes:
    """Post a message to a server that answers so."""
    plain.faults["/ocsinventory"] = answer
    return client(f"http://{plain.address}/ocsinventory", ca_file).post(b"<REQUEST/>")


def test_a_message_goes_out_as_an_ocs_agents_does(plain: PlainWebServer, ca_file: Path) -> None:
    headers: dict[str, str] = {}

    def answer(handler: Handler) -> None:
        headers.update(handler.headers.items())
        answers(200, envelope.pack(b"<REPLY/>"))(handler)

    assert posting(plain, ca_file, answer) == b"<REPLY/>"
    assert envelope.unpack(plain.posts[0][1])[0] == b"<REQUEST/>"
    assert headers["Content-Type"] == "application/x-compress"
    agent = f"OCS-NG_unified_unix_agent_v2.0 Tranche/{__version__}"
    assert headers["User-Agent"] == agent


def test_an_empty_answer_is_an_answer(plain: PlainWebServer, ca_file: Path) -> None:
    assert posting(plain, ca_file, answers(200)) == b""


def test_a_page_instead_of_an_answer(plain: PlainWebServer, ca_file: Path) -> None:
    with pytest.raises(WrongBytes, match="not as a deployment server"):
        posting(plain, ca_file, answers(200, b"It works!"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_message_never_follows_a_redirect(
    plain: PlainWebServer, ca_file: Path, status: int
) -> None:
    with pytest.raises(RedirectRefused, match="/elsewhere"):
        posting(plain, ca_file, answers(status, headers={"Location": "/elsewhere"}))
    assert "/elsewhere" not in plain.requests


def test_json_comes_back_with_its_status(plain: PlainWebServer, ca_file: Path) -> None:
    transport = client(f"http://{plain.address}/ocsinventory", ca_file)
    plain.faults["/api"] = answers(404, b'{"error": "unknown"}')
    assert transport.post_json("/api", {"package": "1"}) == (404, {"error": "unknown"})
    assert plain.posts == [("/api", b'{"package": "1"}')]
    plain.faults["/api"] = answers(404, b"<html>")
    assert transport.post_json("/api", {}) == (404, None)


# Proxy, credentials, rate.


def test_a_proxy_gets_every_request(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults["http://server.example.org/f"] = b"by proxy"
    transport = client("http://server.example.org/", ca_file, proxy=f"http://{plain.address}")
    assert transport.read("http://server.example.org/f", limit=10) == b"by proxy"


def test_the_environments_proxy_counts_where_none_is_configured(
    plain: PlainWebServer, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain.faults["http://server.example.org/f"] = b"by proxy"
    monkeypatch.setenv("http_proxy", f"http://{plain.address}")
    url = "http://server.example.org/f"
    assert client(url, ca_file).read(url, limit=10) == b"by proxy"
    monkeypatch.setenv("no_proxy", "example.org")
    with pytest.raises(ServerUnreachable):
        client(url, ca_file).read(url, limit=10)


def test_credentials_go_to_the_servers_host_only(
    plain: PlainWebServer, https: PlainWebServer, ca_file: Path
) -> None:
    seen: list[str | None] = []

    def note(handler: Handler) -> None:
        seen.append(handler.headers["Authorization"])
        answers(200, b"x")(handler)

    plain.faults["/f"] = https.faults["/f"] = note
    access = {"credentials": ("pc", "p:w")}
    transport = client(f"https://{https.address}/", ca_file, **access)
    transport.read(f"https://{https.address}/f", limit=10)
    transport.read(f"http://{plain.address}/f", limit=10)
    port = https.address.rpartition(":")[2]
    transport.read(f"https://localhost:{port}/f", limit=10)
    assert seen == ["Basic cGM6cDp3", None, None]
    assert "p:w" not in repr(Access("https://x/", ca_file, credentials=("pc", "p:w")))

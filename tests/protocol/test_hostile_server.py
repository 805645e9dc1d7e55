"""Hostile bytes against the whole server: a right answer or a named refusal, never a 500 or a hang.

The application answers without sockets here, except where memory and sockets are the subject.
"""

import gzip
import random
import socket
import ssl
import time
import zlib
from collections.abc import Iterator

import pytest

from tests.benchmarks.measure import PeakMemory, memory
from tests.support.apps import OCS, Site
from tests.support.hostile import DEVICE_ID, PROLOG, deep, entity_documents, mutations
from tests.support.server import RunningServer
from tests.support.vectors import FOLDER, Exchange

pytestmark = pytest.mark.slow

MiB = 1024 * 1024
REFUSALS = {400, 413}


def bomb(size: int = 64 * MiB) -> bytes:
    return zlib.compress(b"<REQUEST>" + bytes(size), 9)


def message(query: str, inside: str = "", device_id: str = DEVICE_ID) -> bytes:
    xml = f"<REQUEST><DEVICEID>{device_id}</DEVICEID><QUERY>{query}</QUERY>{inside}</REQUEST>"
    return zlib.compress(xml.encode())


HARDWARE = "<CONTENT><HARDWARE><NAME>x</NAME>{}</HARDWARE></CONTENT>"

BAD_BODIES: dict[str, tuple[int, bytes]] = {
    "empty": (400, b""),
    "recorded garbage": (400, (FOLDER / "probe-bad-not-zlib.request.bin").read_bytes()),
    "zlib of nothing": (400, zlib.compress(b"")),
    "zlib of garbage": (400, zlib.compress(b"\x00" * 100)),
    "cut zlib": (400, zlib.compress(PROLOG)[:-6]),
    "cut XML": (400, zlib.compress(PROLOG[:-8])),
    "zlib bomb": (413, bomb()),
    "gzip bomb": (413, gzip.compress(bytes(64 * MiB))),
    "too long": (413, b"<" + b"x" * (16 * MiB)),
    "too deep": (400, zlib.compress(deep(1000))),
    "other root": (400, zlib.compress(PROLOG.replace(b"REQUEST", b"REPLY"))),
    "unknown query": (400, message("SELFDESTRUCT")),
    "no query": (400, message("")),
    "no device id": (400, message("PROLOG", device_id="")),
    "device id of another form": (400, message("PROLOG", device_id="host-a")),
    "device id with a line break": (400, message("PROLOG", device_id=f"a&#10;{DEVICE_ID}")),
    "endless device id": (400, message("PROLOG", device_id="x" * 5000 + DEVICE_ID)),
    "recorded bad device id": (400, Exchange("probe-bad-deviceid-form").request.body),
    "recorded unknown query": (400, Exchange("probe-bad-unknown-query").request.body),
    "utf-16 without a mark": (400, "<REQUEST/>".encode("utf-16-le")),
    **{name: (400, zlib.compress(text)) for name, text in entity_documents().items()},
}


@pytest.mark.parametrize(("status", "body"), BAD_BODIES.values(), ids=list(BAD_BODIES))
def test_a_bad_body_gets_its_answer(sqlite_site: Site, status: int, body: bytes) -> None:
    answer = sqlite_site.post(body)
    assert answer.status_code == status
    assert 0 < len(answer.data) < 2000
    assert b"Traceback" not in answer.data
    assert b"root:" not in answer.data


@pytest.mark.parametrize(
    "inside",
    [
        HARDWARE.format("<CHECKSUM>abc</CHECKSUM>"),
        HARDWARE.format(f"<CHECKSUM>{'9' * 500}</CHECKSUM>"),
        HARDWARE.format("<CHECKSUM>1; DROP TABLE computer</CHECKSUM>"),
        HARDWARE.format("<MEMORY>lots</MEMORY><PROCESSORN>-1e999</PROCESSORN>"),
        HARDWARE.format(f"<MEMORY>{2**80}</MEMORY>"),
        HARDWARE.format(f"<OSNAME>{'x' * 100_000}</OSNAME>"),
        HARDWARE.format("<OSNAME>' OR '1'='1</OSNAME><IPADDR>not an address</IPADDR>"),
        HARDWARE.format("<NAME>second name</NAME><NAME/>"),
        "<CONTENT><SOFTWARES><NAME>" + "n" * 70_000 + "</NAME><VERSION>1</VERSION></SOFTWARES>"
        "</CONTENT>",
        "<CONTENT><SOFTWARES><VERSION>" + "9." * 3000 + "</VERSION></SOFTWARES></CONTENT>",
        "<CONTENT><NETWORKS><MACADDR>zz</MACADDR><IPADDRESS>999.9.9.9</IPADDRESS></NETWORKS>"
        "</CONTENT>",
        "<CONTENT><DOWNLOAD><HISTORY><PACKAGE ID='x'/><PACKAGE/><PACKAGE ID='"
        + "9" * 40
        + "'/></HISTORY></DOWNLOAD></CONTENT>",
        "<CONTENT><OLD_DEVICEID>nonsense</OLD_DEVICEID></CONTENT>",
        f"<CONTENT><OLD_DEVICEID>{DEVICE_ID}</OLD_DEVICEID></CONTENT>",
        "<CONTENT/>",
        "<CONTENT><ACCOUNTINFO><KEYNAME>TAG</KEYNAME><KEYVALUE>" + "t" * 9000 + "</KEYVALUE>"
        "</ACCOUNTINFO></CONTENT>",
        "<CONTENT><A><B><C><D>deep enough to be odd</D></C></B></A></CONTENT>",
        "<CONTENT>" + "<X/>" * 20_000 + "</CONTENT>",
    ],
    ids=range(18),
)
def test_a_strange_inventory_is_taken_or_refused(site: Site, inside: str) -> None:
    """On both databases: a column that is too short or a number too big is found only there."""
    answer = site.post(message("INVENTORY", inside))
    assert answer.status_code in {200, *REFUSALS}
    assert site.post(message("PROLOG")).status_code == 200


@pytest.mark.parametrize(
    "code", ["<script>alert(1)</script>", "x" * 9000, "", "NOTI'", "\u202e", "0"]
)
def test_any_result_is_accepted(site: Site, code: str) -> None:
    escaped = code.replace("&", "&amp;").replace("<", "&lt;")
    inside = f"<ID>1800000001</ID><ERR>{escaped}</ERR>"
    answer = site.post(message("DOWNLOAD", inside))
    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_methods_are_not_allowed(sqlite_site: Site, method: str) -> None:
    answer = getattr(sqlite_site.client, method)("/ocsinventory", headers={"User-Agent": OCS})
    assert answer.status_code == 405


@pytest.mark.parametrize("user_agent", ["", "curl/8.0", "Mozilla/5.0", "x" * 5000, "local"])
def test_an_unknown_user_agent_is_refused(sqlite_site: Site, user_agent: str) -> None:
    assert sqlite_site.post(message("PROLOG"), user_agent).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/download/../server.toml",
        "/download/1800000001/../../secret_key",
        "/download/1800000001/%2e%2e/%2e%2e/secret_key",
        "/download/1800000001/..%2f..%2fsecret_key",
        "/download//etc/passwd",
        "/download/1800000001/1800000001-0",
        "/download/1800000001/1800000001--1",
        "/download/1800000001/1800000001-" + "9" * 400,
        "/download/1800000001/1800000001-1%00",
        "/download/" + "1" * 300 + "/info",
        "/download/١٢٣/info",
        "/download/1800000001/info/",
        "/download/1800000001/record.json",
    ],
)
def test_nothing_outside_a_package_is_served(sqlite_site: Site, path: str) -> None:
    answer = sqlite_site.client.get(path, follow_redirects=True)
    assert answer.status_code in {400, 404}


def answers(site: Site, bodies: Iterator[bytes]) -> dict[int, int]:
    """Post every body; statuses with their counts. Each must be answered within seconds."""
    client = site.client
    counted: dict[int, int] = {}
    for body in bodies:
        began = time.monotonic()
        answer = site.post(body, client=client)
        assert time.monotonic() - began < 10, f"took too long: {body[:200]!r}"
        assert answer.status_code in {200, *REFUSALS}, (answer.status_code, answer.data, body)
        counted[answer.status_code] = counted.get(answer.status_code, 0) + 1
    return counted


def test_five_hundred_mutations(sqlite_site: Site) -> None:
    counted = answers(sqlite_site, mutations(500, random.Random(500), compressed=True))
    assert set(counted) >= {200, 400}


@pytest.mark.slow
def test_ten_thousand_mutations(sqlite_site: Site) -> None:
    counted = answers(sqlite_site, mutations(10_000, random.Random(10_000), compressed=True))
    assert sum(counted.values()) == 10_000
    # Enough of them get past the envelope and the parser to reach what lies behind.
    assert counted[200] > 500
    assert counted[400] > 500


@pytest.mark.slow
def test_mutations_on_both_databases(site: Site) -> None:
    answers(site, mutations(1000, random.Random(7), compressed=True))


# What only a real process can show.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


def exchange(server: RunningServer, data: bytes, *, finish: bool = True) -> bytes:
    """Send raw bytes over TLS, read what comes until the server closes or says nothing for 5 s."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    with (
        socket.create_connection(("127.0.0.1", server.https_port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(data)
        if not finish:
            return b""
        connection.settimeout(5)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            pass
        return received


def request(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "POST /ocsinventory HTTP/1.1",
        "Host: localhost",
        f"User-Agent: {OCS}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def still_answers(server: RunningServer) -> bool:
    return exchange(server, request(message("PROLOG"))).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /ocsinventory HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /ocsinventory HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /ocsinventory HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        request(b"x", "Transfer-Encoding: chunked"),
        request(b"", f"X-Long: {'x' * 200_000}"),
        request(b"", *(f"X-{n}: y" for n in range(2000))),
        request(b"", "User-Agent: \xff\xfe"),
    ],
    ids=range(9),
)
def test_broken_http_is_answered_or_dropped(server: RunningServer, data: bytes) -> None:
    answer = exchange(server, data)
    assert b" 500 " not in answer.split(b"\r\n", 1)[0]
    assert still_answers(server)


@pytest.mark.slow
def test_bodies_that_never_come_hold_nobody_up(server: RunningServer) -> None:
    """More silent clients than there are threads, each of which promised a body."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    silent = []
    try:
        for _ in range(40):
            plain = socket.create_connection(("127.0.0.1", server.https_port), timeout=20)
            connection = context.wrap_socket(plain, server_hostname="localhost")
            connection.sendall(request(b"", length=1000))
            silent.append(connection)
        began = time.monotonic()
        assert still_answers(server)
        assert time.monotonic() - began < 10
    finally:
        for connection in silent:
            connection.close()
    assert still_answers(server)


@pytest.mark.slow
def test_memory_comes_back(server: RunningServer) -> None:
    """A thousand of the worst bodies: never 256 MiB above, and back at its level afterwards."""
    dice = random.Random(1000)
    inventory = Exchange("agent-02-inventory-first").request.body
    worst = [
        bomb(),
        zlib.compress(deep(100_000)),
        zlib.compress(b"<REQUEST>" + b"<a b='c'/>" * 1_500_000),
        zlib.compress(b"<REQUEST " + b"".join(b"a%d='b' " % n for n in range(300_000))),
        zlib.compress(entity_documents()["billion-laughs"]),
        message("INVENTORY", "<CONTENT>" + "<X><Y>z</Y></X>" * 300_000 + "</CONTENT>"),
        inventory,
        *mutations(8, dice, compressed=True),
    ]
    idle = memory(server.pid, "rss")
    with PeakMemory(server.pid, "rss") as watched:
        # Every thread keeps a heap of its own: its first bad message is what makes it grow.
        for number in range(10 * len(worst)):
            exchange(server, request(worst[number % len(worst)]))
        warm = memory(server.pid, "rss")
        for number in range(1000):
            exchange(server, request(worst[number % len(worst)]))
    assert still_answers(server)
    after = memory(server.pid, "rss")
    assert watched.peak < idle + 256, (idle, watched.peak)
    # Heaps grow in steps of some MiB; a leak of 64 KiB for each message would show.
    assert after < warm + 64, (idle, warm, after)

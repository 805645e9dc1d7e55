"""The gateway's short ways: who goes there, in which threads, and what is left of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_server.storage.turns import Run
from deploy_server.web import gateway as gateways
from deploy_server.web.gateway import LONG, SHORT, Gateway, Left
from deploy_server.web.gateway.answer import PIECE, Answer
from deploy_server.web.gateway.exchange import Scope
from tests.support.waiting import wait_until
from tests.unit.server.test_gateway import Client, echo

PIECES = [b"1" * PIECE, b"2" * PIECE, b"3"]


class Way:
    """Takes POST; counts what it is asked at a time, and holds up whoever comes while it is shut.

    Attributes:
        at_once: the most that were being read at the same time.
        thread: where it was asked last.
        made_in: where the pieces of long answers were made.
    """

    name = "way"
    threads = 1

    def __init__(self) -> None:
        self.at_once = 0
        self.thread = ""
        self.made_in: set[str] = set()
        self.reading = 0
        self.open_gate = threading.Event()
        self._lock = threading.Lock()

    def takes(self, scope: Scope, length: int) -> bool:
        return scope["method"] == "POST" and length < 10 * SHORT

    def is_long(self, body: bytes) -> bool:
        return len(body) > SHORT

    def open(self, scope: Scope, body: bytes) -> Answer | Left:
        self.thread = threading.current_thread().name
        if scope["path"] == "/later":
            return Later(b"later")
        if scope["path"] == "/pieces":
            answer = Answer(200, [(b"content-length", b"%d" % len(b"".join(PIECES)))])
            answer.fill(self._pieces())
            return answer
        if len(body) <= SHORT:
            return _answer(b"short")
        with self._lock:
            self.reading += 1
            self.at_once = max(self.at_once, self.reading)
        assert self.open_gate.wait(30)
        with self._lock:
            self.reading -= 1
        return Later(b"long")

    def _pieces(self) -> Iterator[bytes]:
        for piece in PIECES:
            self.made_in.add(threading.current_thread().name)
            yield piece


class Later:
    """An answer that is made in a thread."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __call__(self) -> Answer:
        return _answer(self._body)

    def queue(self, run: Run, done: Callable[[Answer], None]) -> None:
        run(lambda: done(self()))


def _answer(body: bytes) -> Answer:
    answer = Answer(200, [(b"content-length", b"%d" % len(body))])
    answer.head = body
    answer.request_id = "a-1"
    return answer


def post(size: int, path: str = "/") -> Client:
    return Client(path=path, method="POST", pieces=[b"x" * size]).with_length()


@pytest.fixture
def way() -> Way:
    return Way()


@pytest.fixture
def gateway(way: Way, tmp_path: Path) -> Any:
    made = Gateway(echo, threads=4, spool_bytes=10**6, spool_folder=tmp_path, shortcuts=[way])
    yield made
    way.open_gate.set()
    made.close()


async def ask(gateway: Gateway, *clients: Client) -> None:
    calls = [gateway(each.scope(), each.receive, each.send) for each in clients]
    await asyncio.wait_for(asyncio.gather(*calls), timeout=60)


@pytest.mark.parametrize(
    ("client", "body"),
    [
        (post(5), b"short"),
        (post(5, "/later"), b"later"),
        (post(10 * SHORT), b"x" * 10 * SHORT),
        (Client(), b""),
    ],
    ids=["short", "later", "too long", "not taken"],
)
def test_who_goes_the_short_way(gateway: Gateway, client: Client, body: bytes) -> None:
    asyncio.run(ask(gateway, client))
    assert (client.status, client.body) == (200, body)


def test_few_long_messages_are_read_at_a_time_and_hold_up_no_short_ones(
    gateway: Gateway, way: Way
) -> None:
    long = [post(2 * SHORT) for _ in range(3 * LONG)]
    short = [post(5), post(5, "/later")]

    async def all_of_them() -> None:
        waiting = asyncio.ensure_future(ask(gateway, *long))
        await asyncio.to_thread(wait_until, lambda: way.reading == LONG, "they are read")
        await ask(gateway, *short)
        assert [each.body for each in short] == [b"short", b"later"]
        assert not any(each.got for each in long)
        way.open_gate.set()
        await waiting

    asyncio.run(all_of_them())
    assert [each.body for each in long] == [b"long"] * len(long)
    assert way.at_once == LONG


def test_what_long_ones_took_is_given_back(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "REST_S", 0.05)
    rested = threading.Semaphore(0)
    gateway = Gateway(echo, threads=1, spool_bytes=10**6, shortcuts=[way], rest=rested.release)
    way.open_gate.set()

    async def all_of_them() -> bool:
        await ask(gateway, *[post(2 * SHORT) for _ in range(4)], post(5))
        return await asyncio.to_thread(rested.acquire, timeout=30)

    assert asyncio.run(all_of_them())
    gateway.close()


@pytest.mark.parametrize(("threads", "where"), [(0, "MainThread"), (1, "way_0")])
def test_who_never_waits_is_asked_at_once(way: Way, threads: int, where: str) -> None:
    way.threads = threads
    gateway = Gateway(echo, threads=1, spool_bytes=10**6, shortcuts=[way])
    clients = post(5), post(5, "/later")
    asyncio.run(ask(gateway, *clients))
    gateway.close()
    assert [each.body for each in clients] == [b"short", b"later"]
    assert way.thread == where


def test_its_line_has_the_number_of_the_request(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(echo, threads=1, spool_bytes=10**6, access_log=True, shortcuts=[way])
    with caplog.at_level("INFO", "tranche.access"):
        asyncio.run(ask(gateway, post(10), post(10, "/later")))
    gateway.close()
    assert [record.__dict__["request_id"] for record in caplog.records] == ["a-1", "a-1"]


def test_the_pieces_of_a_long_answer_are_made_where_it_was_begun(way: Way) -> None:
    gateway = Gateway(echo, threads=1, spool_bytes=10**6, shortcuts=[way])
    client = post(5, "/pieces")
    asyncio.run(ask(gateway, client))
    gateway.close()
    assert client.body == b"".join(PIECES)
    assert way.made_in == {"way_0"}

"""The short way to the wire: its answers are the ones that Flask would give."""

import gzip
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from deploy_agent.wire.messages import DownloadReport, Inventory, Prolog
from deploy_agent.wire.sections import Section
from deploy_server.config import ServerConfig
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.schema import upgrade
from deploy_server.web import wire
from deploy_server.web.app import create_app
from deploy_server.web.board import Board
from deploy_server.web.gateway import Shortcut
from deploy_server.web.gateway.answer import Answer
from deploy_server.web.observing import Watch, request_id
from deploy_server.web.shortcuts.asking import header, who
from deploy_server.web.shortcuts.bucket import BucketShortcut
from tests.support.apps import OCS, OURS, Site, make_site
from tests.support.waiting import wait_until

PC = "pc-2026-01-02-03-04-05"
INVENTORY = Inventory(PC, (Section("HARDWARE", (("NAME", "pc"),)),)).to_bytes()
MESSAGES = {
    "inventory": (zlib.compress(INVENTORY), OCS),
    "prolog": (zlib.compress(Prolog(PC).to_bytes()), OCS),
    "ours": (zlib.compress(Prolog(PC).to_bytes()), OURS),
    "plain": (Prolog(PC).to_bytes(), OCS),
    "report": (DownloadReport(PC, "1800000001", "SUCCESS").to_bytes(), OCS),
    "nobody": (Prolog(PC).to_bytes(), ""),
    "garbage": (b"garbage", OCS),
    "nothing": (b"", OCS),
    "too much": (zlib.compress(b"x" * (17 * 1024**2)), OCS),
}


@pytest.fixture
def site(engine: Engine, database_url: str, tmp_path: Path) -> Iterator[Site]:
    with make_site(tmp_path / "data", database_url, session_factory(engine)) as made:
        yield made


def scope(user_agent: str = OCS, **values: Any) -> dict[str, Any]:
    headers = [(b"host", b"x"), (b"user-agent", user_agent.encode())] if user_agent else []
    return {"path": "/ocsinventory", "method": "POST", "headers": headers,
            "client": ("127.0.0.1", 4711)} | values  # fmt: skip


def shortcut(site: Site, name: str = "contact") -> Shortcut:
    return next(each for each in site.app.shortcuts if each.name == name)


def ask(site: Site, body: bytes, user_agent: str = OCS) -> Answer:
    opened = shortcut(site).open(scope(user_agent), body)
    return opened if isinstance(opened, Answer) else opened()


@pytest.mark.parametrize("known", [False, True])
def test_both_ways_answer_alike(site: Site, known: bool) -> None:
    messages = dict(MESSAGES)
    if known:
        site.post(*messages["inventory"])
    else:
        del messages["inventory"]  # it would be the first for one of them only
    for name, (body, user_agent) in messages.items():
        flask = site.post(body, user_agent)
        short = ask(site, body, user_agent)
        headers = {each.decode(): value.decode() for each, value in short.headers}
        assert (name, short.status, short.head) == (name, flask.status_code, flask.data)
        told = {each.lower(): value for each, value in flask.headers if each != "Date"}
        numbers = headers.pop("x-request-id", ""), told.pop("x-request-id", "")
        assert (numbers[0] != "") is (numbers[1] != "")
        assert short.request_id
        assert headers == told


def test_a_header_that_is_there_twice_counts_as_a_whole(site: Site) -> None:
    """Some proxies add a line of their own after the one that the client made up."""
    names = ((b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"198.51.100.7"))
    made = scope(headers=[(b"user-agent", b"OCS-NG"), (b"user-agent", b"x"), *names])
    watch = Watch(replace(site.config, trusted_proxies=("127.0.0.1",)), Board().claim())
    assert who(made, watch)[0] == "198.51.100.7"
    assert header(made, b"user-agent") == "OCS-NG,x"
    assert header(made, b"range") == ""


@pytest.mark.parametrize(
    ("values", "length", "takes"),
    [
        ({}, 0, True),
        ({}, 16 * 1024**2, True),
        ({}, 17 * 1024**2, False),
        ({"method": "GET"}, 0, False),
        ({"path": "/ocsinventory/"}, 0, False),
        ({"path": "/"}, 0, False),
    ],
)
def test_only_messages_go_the_short_way(
    site: Site, values: dict[str, Any], length: int, takes: bool
) -> None:
    assert shortcut(site).takes(scope(**values), length) is takes


def test_a_few_bytes_that_become_many_hold_nobody_up(site: Site) -> None:
    way = shortcut(site)
    many = b"<REQUEST>" + b"<A/>" * 100_000 + b"</REQUEST>"
    for body in (zlib.compress(many), gzip.compress(many), many, zlib.compress(many)[:500]):
        assert way.is_long(body)
    for body, _ in MESSAGES.values():
        assert way.is_long(body) is (body is MESSAGES["too much"][0])


def test_a_database_that_somebody_has_for_himself_holds_nobody_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tranche.db'}"
    upgrade(engine := make_engine(url))
    engine.dispose()
    config = ServerConfig(data=tmp_path, database_url=url)
    with ExitStack() as stopping:
        app = create_app(config, faces=["comm"], stopping=stopping)
        way = next(each for each in app.shortcuts if each.name == "contact")
        somebody = sqlite3.connect(tmp_path / "tranche.db", isolation_level=None)
        for line in ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"):
            somebody.execute(line)
        began = time.monotonic()
        left = way.open(scope(), MESSAGES["prolog"][0])
        assert time.monotonic() - began < 5  # not the half minute that writers have
        assert not isinstance(left, Answer)
        somebody.close()
        assert left().status == 200


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (OperationalError("SELECT", {}, Exception("disk I/O error")), 503, b"nothing was changed"),
        (ValueError("a mistake of ours"), 500, b"nothing was changed"),
    ],
)
@pytest.mark.parametrize("step", ["look", "answer"])
def test_what_fails_is_told_in_one_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception, status: int,
    words: bytes,
) -> None:  # fmt: skip
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(wire, step, fail)
    answer = ask(site, *MESSAGES["report"])
    assert answer.status == status
    assert words in answer.head
    assert answer.head.count(b"\n") == 1


def test_whoever_does_the_work_its_number_stays_its_own(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def number(*_: object, **__: object) -> bytes:
        return request_id().encode()

    monkeypatch.setattr(wire, "answer", number)
    body, user_agent = MESSAGES["report"]
    left = [shortcut(site).open(scope(user_agent), body) for _ in range(3)]
    steps: list[Callable[[], None]] = []
    answers: list[Answer] = []
    for each in left:
        assert not isinstance(each, Answer)
        each.queue(steps.append, answers.append)
    for step in steps:
        step()
    wait_until(lambda: len(answers) == len(left), "all are answered")
    told = {each.head.decode() for each in answers}
    assert told == {each.request_id for each in answers}
    assert len(told) == 3


def test_a_process_without_agents_has_no_short_way(site: Site) -> None:
    apps = {face: create_app(site.config, faces=(face,)) for face in ("comm", "files", "admin")}
    ways = {face: [each.name for each in app.shortcuts] for face, app in apps.items()}
    assert ways == {"comm": ["contact"], "files": ["file"], "admin": []}


# Files


PACKAGE = "1800000001"
FILES = {f"{PACKAGE}-1": b"a" * 1000, f"{PACKAGE}-2": b"", "fragments.sha256": b"x  y\n"}


@pytest.fixture
def published(site: Site) -> Site:
    folder = site.config.download / PACKAGE
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    (folder / "info").write_bytes(b"<DOWNLOAD/>")
    return site


def get(path: str, *headers: tuple[bytes, bytes], method: str = "GET") -> dict[str, Any]:
    return scope(path=f"/download/{path}", method=method, headers=list(headers))


@pytest.mark.parametrize("name", [*FILES, f"{PACKAGE}-3"])
def test_files_are_sent_as_flask_sends_them(published: Site, name: str) -> None:
    sent_as_flask_sends_it(published, shortcut(published, "file"), name)


@pytest.mark.parametrize("name", ["info", *FILES, f"{PACKAGE}-3"])
def test_so_are_those_of_a_bucket(published: Site, name: str) -> None:
    store = published.app.extensions["tranche"].store
    watch = Watch(published.config, Board().claim())
    way = BucketShortcut(store, watch, threads=1, is_plain=False)
    sent_as_flask_sends_it(published, way, name)
    plain = BucketShortcut(store, watch, threads=1, is_plain=True)
    assert plain.takes(get(f"{PACKAGE}/{name}"), 0) is (name != "info")


def sent_as_flask_sends_it(published: Site, way: Shortcut, name: str) -> None:
    asked = get(f"{PACKAGE}/{name}")
    assert way.takes(asked, 0)
    short = way.open(asked, b"")
    assert isinstance(short, Answer)
    with published.client.get(f"/download/{PACKAGE}/{name}") as flask:
        data = flask.data
    headers = {each.decode(): value.decode() for each, value in short.headers}
    told = {each.lower(): value for each, value in flask.headers if each != "Date"}
    numbers = headers.pop("x-request-id", ""), told.pop("x-request-id", "")
    assert (numbers[0] != "") is (numbers[1] != "")
    assert (short.status, headers) == (flask.status_code, told)
    body = short.head if short.file is None else Path(short.file).read_bytes()
    assert body == data


@pytest.mark.parametrize(
    "asked",
    [
        get(f"{PACKAGE}/info"),
        get(f"{PACKAGE}/{PACKAGE}-1", (b"range", b"bytes=0-1")),
        get(f"{PACKAGE}/{PACKAGE}-1", method="HEAD"),
        get(f"{PACKAGE}/../{PACKAGE}/{PACKAGE}-1"),
        get(f"{PACKAGE}/1800000002-1"),
        get(f"{PACKAGE}/{PACKAGE}-0"),
        get(f"..%2f{PACKAGE}/{PACKAGE}-1"),
        get(PACKAGE),
    ],
    ids=repr,
)
def test_whatever_else_is_asked_goes_through_flask(published: Site, asked: Any) -> None:
    assert not shortcut(published, "file").takes(asked, 0)
    assert not shortcut(published, "file").takes(get(f"{PACKAGE}/{PACKAGE}-1"), 5)

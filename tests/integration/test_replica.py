"""Lists are read from a streaming replica, and nobody is told a wrong number without a word."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy_server.storage import replica as storage
from deploy_server.storage.database import make_engine
from deploy_server.storage.replica import Replica
from deploy_server.web import replica as web
from tests.support import factories as make
from tests.support.console import BASE, Browser, Console, running_console
from tests.support.replica import Database, Pair
from tests.support.waiting import wait_until

PAGES = (
    "/", "/failures", "/stuck", "/packages", "/computers", "/computers?q=os+~+debian", "/groups",
    "/audit", "/computers/duplicates",
)  # fmt: skip
PARTS = ("/progress", "/packages/csv", "/computers/export", "/audit/export")
AS_OF = "This page is read from a replica of the database that is behind."


@pytest.fixture(scope="module")
def pair(postgres_pair: Pair) -> Iterator[Database]:
    with postgres_pair.database("replicated") as database:
        yield database


@pytest.fixture(scope="module")
def console(pair: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("console")
    keys = {"replica_url": pair.replica_url, "metrics_allow": ("127.0.0.1",)}
    with running_console(folder, pair.primary_url, **keys) as console:
        with console.session() as session:
            computer = make.make_computer(session, name="pc-old")
            make.make_assignment(session, computer=computer, status="SUCCESS")
        yield console


@pytest.fixture
def reader(console: Console, pair: Database) -> Browser:
    """A browser that has changed nothing that the replica has not got."""
    browser = console.user("superadmin")
    pair.replica.resume()
    found = web.replica_of(console.app)
    assert found is not None
    wait_until(lambda: not found.state().trouble, "the replica is of use")
    return browser


@pytest.fixture
def behind(pair: Database, reader: Browser) -> Iterator[None]:
    """The replica gets nothing new for now."""
    pair.replica.pause()
    yield
    pair.replica.resume()


@pytest.fixture
def read(pair: Database) -> Callable[[], tuple[int, int]]:
    """How many statements of lists ran since the last call: on the primary, on the replica."""
    before = pair.lists_read()

    def since() -> tuple[int, int]:
        nonlocal before
        now = pair.lists_read()
        told = (now["primary"] - before["primary"], now["replica"] - before["replica"])
        before = now
        return told

    return since


def samples(console: Console) -> dict[tuple[str, ...], float]:
    answer = console.app.test_client().get("/metrics", base_url=BASE)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def ready(console: Console) -> tuple[int, str]:
    answer = console.app.test_client().get("/readyz", base_url=BASE)
    return answer.status_code, answer.text.splitlines()[-1]


def test_lists_are_read_from_the_replica(
    console: Console, reader: Browser, read: Callable[[], tuple[int, int]]
) -> None:
    for path in (*PAGES, *PARTS):
        answer = reader.get(path)
        assert answer.text, path  # all of it is sent
        assert answer.status_code == 200, path
        primary, replica = read()
        assert primary == 0, path
        assert replica > 0, path
    assert "pc-old" in reader.get("/computers/export").text
    found = samples(console)
    assert found["tranche_replica_up",] == 1
    assert found["tranche_replica_lag_seconds",] < 5
    assert found["tranche_lists_total", "replica"] >= len(PAGES)
    assert ready(console) == (200, "replica: ok")


def test_what_acts_is_read_from_the_primary(
    reader: Browser, read: Callable[[], tuple[int, int]]
) -> None:
    for path in ("/deploy", "/computers/tag", "/computers/1", "/packages/delete", "/settings"):
        assert reader.get(path).status_code in (200, 302, 409, 422), path
    primary, replica = read()
    assert primary > 0
    assert replica == 0


@pytest.mark.usefixtures("behind")
def test_whoever_changed_something_sees_it_at_once(
    console: Console, reader: Browser, pair: Database, read: Callable[[], tuple[int, int]]
) -> None:
    writer = console.browser()
    console.add_user("writer", "superadmin")
    writer.log_in("writer")
    assert writer.post("/groups", {"name": "Pilot"}).status_code == 302
    assert "Pilot" in writer.get("/groups").text
    assert read()[1] == 0
    assert "Pilot" not in reader.get("/groups").text, "it is on its way"
    pair.replica.resume()
    read()
    page = writer.get("/groups")
    assert "Pilot" in page.text
    assert AS_OF not in page.text
    assert read()[0] == 0, "the replica has it now"


@pytest.mark.usefixtures("behind")
def test_a_page_says_when_it_was_true(
    console: Console, reader: Browser, read: Callable[[], tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(web, "SHOWN_S", 1.5)
    with console.session() as session:
        make.make_computer(session, name="pc-new")
    found = web.replica_of(console.app)
    assert found is not None
    since, late = time.monotonic(), timedelta(seconds=web.SHOWN_S)

    def is_late() -> bool:
        state = found.state()
        return state.at > since and state.lag is not None and state.lag > late

    wait_until(is_late, "it was measured")
    assert AS_OF in reader.get("/computers").text
    read()
    page = reader.get("/computers")
    assert "pc-new" not in page.text
    assert read()[0] == 0
    # A file has no room for words, so it is read where it needs none.
    assert "pc-new" in reader.get("/computers/export").text
    assert read()[1] == 0


@pytest.mark.usefixtures("behind")
def test_what_the_replica_does_not_know_is_asked_of_the_primary(
    console: Console, reader: Browser
) -> None:
    with console.session() as session:
        number = make.make_package(session, name="Brand new").id
    assert "Brand new" in reader.get(f"/packages/{number}").text
    assert reader.get("/packages/1234567890").status_code == 404


@pytest.mark.usefixtures("behind")
def test_a_replica_too_far_behind_is_not_read(console: Console, pair: Database) -> None:
    with console.session() as session:
        make.make_computer(session)
    engine = make_engine(pair.primary_url)
    replica = Replica(pair.replica_url, engine, 1)
    try:
        wait_until(lambda: replica.state().trouble.endswith("s behind"), "it lags too far")
        pair.replica.resume()
        wait_until(lambda: not replica.state().trouble, "it is of use again")
    finally:
        replica.close()
        engine.dispose()


def test_who_is_held_up_there_is_answered_by_the_primary(
    pair: Database, reader: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with pair.pair.primary.connect(pair.name) as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE computer IN ACCESS EXCLUSIVE MODE")
        # What is replayed of this transaction begins with its lock, and does not end.
        connection.execute("INSERT INTO counter (name, value) VALUES ('locked', 1)")
        pair.pair.primary.execute("CREATE TABLE flushed ()")
        pair.replica.resume()
        pair.replica.pause()
        connection.execute("COMMIT")
    assert "pc-old" in reader.get("/computers").text
    assert "lock timeout" in caplog.text
    pair.replica.resume()


def test_a_replica_that_hangs_holds_nobody_up(
    console: Console, pair: Database, reader: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "STALE_S", 1.2)
    found = web.replica_of(console.app)
    assert found is not None
    server = psutil.Process(pair.replica.pid)
    stopped = [server, *server.children(recursive=True)]
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(reader.get, "/computers")
            wait_until(lambda: found.state().trouble, "somebody notices")
            wait_until(lambda: found.state() and waiting.done(), "the page is answered", seconds=20)
            assert "pc-old" in waiting.result().text
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    wait_until(lambda: not found.state().trouble, "it is read again")


def test_a_cookie_that_nobody_gave_means_the_primary(
    console: Console, reader: Browser, read: Callable[[], tuple[int, int]]
) -> None:
    for value in ("nonsense", "-1", "9" * 18, "9" * 400):
        reader.client.set_cookie(web.COOKIE, value, domain="localhost", secure=True)
        assert reader.get("/computers").status_code == 200
        assert read()[1] == 0, value
    reader.client.delete_cookie(web.COOKIE, domain="localhost")


def test_the_replica_may_go_away_and_come_back(
    console: Console, reader: Browser, pair: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = samples(console)["tranche_lists_total", "primary"]
    pair.replica.halt()
    for path in (*PAGES, *PARTS):
        answer = reader.get(path)
        assert (answer.status_code, bool(answer.text)) == (200, True), path
    assert "Lists are read from the primary" in caplog.text
    assert ready(console) == (200, "replica: degraded")
    found = samples(console)
    assert found["tranche_replica_up",] == 0
    assert ("tranche_replica_lag_seconds",) not in found
    assert found["tranche_lists_total", "primary"] == before + len(PAGES) + len(PARTS)
    pair.replica.start()
    wait_until(lambda: ready(console) == (200, "replica: ok"), "it is read again")
    assert "Lists are read from the replica again" in caplog.text


def test_only_the_replica_of_this_database_is_one(pair: Database) -> None:
    engine = make_engine(pair.primary_url)
    for url, trouble in (
        (pair.primary_url, "it is no replica: it follows no other server"),
        (pair.replica.url("postgres"), "it is the replica of another database"),
        (pair.replica.url("nowhere"), "nowhere"),
    ):
        replica = Replica(url, engine, 30)
        assert trouble in replica.state().trouble
        replica.close()
    engine.dispose()

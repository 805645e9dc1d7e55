"""Messages that change something: written together where that is cheaper, and none for another."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound
from deploy_server.storage import database
from deploy_server.storage.database import make_engine, session_factory
from deploy_server.storage.models import Computer
from deploy_server.storage.turns import TOGETHER, TRIES, Work, Writer
from tests.support.clock import START
from tests.support.databases import SqliteDatabases
from tests.support.waiting import wait_until

OTHERS = 6


def add(name: str) -> Work[str]:
    """Work that adds a computer."""

    def work(session: Session) -> str:
        session.add(Computer(device_id=name, device_id_key=name, created_at=START))
        session.flush()
        return name

    return work


@pytest.fixture
def one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """SQLite, where writers take turns; who waits does not wait long."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 1)
    with SqliteDatabases(tmp_path).fresh(tmp_path) as url:
        engine = make_engine(url)
        yield engine
        engine.dispose()


def refuse(session: Session) -> str:
    add("nobody")(session)
    raise NotFound("there is no such thing")


def computers(engine: Engine) -> set[str]:
    with session_factory(engine)() as session:
        return set(session.scalars(select(Computer.device_id)))


class Crowd:
    """Work that comes while other work is being done.

    Attributes:
        commits: how many there were.
    """

    def __init__(self, engine: Engine) -> None:
        self.writer = Writer(engine)
        self.commits = 0
        event.listen(engine, "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.commits += 1

    def do(self, works: list[Work[str]]) -> list[Future[str]]:
        """Do one thing, the first, and give the writer all others while it is held up."""
        held, go = threading.Event(), threading.Event()

        def slow(_session: Session) -> str:
            held.set()
            assert go.wait(30)
            return "first"

        with ThreadPoolExecutor(len(works) + 1) as pool:
            first = pool.submit(self.writer.do, slow, "first")
            assert held.wait(30)
            others = [pool.submit(self.writer.do, work, "other") for work in works]
            try:
                wait_until(lambda: len(self.writer._waiting) == len(works), "all wait")
            finally:
                go.set()
        return [first, *others]


def queued(writer: Writer, works: list[Work[str]], pool: ThreadPoolExecutor) -> list[Future[str]]:
    """Have all of it done, and wait for nothing."""
    answers: list[Future[str]] = []
    for work in works:
        answer: Future[str] = Future()
        answers.append(answer)

        def done(result: Callable[[], str], answer: Future[str] = answer) -> None:
            try:
                answer.set_result(result())
            except Exception as error:
                answer.set_exception(error)

        writer.queue(work, "pc", pool.submit, done)
    return answers


def test_who_queues_is_told_after_the_commit(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        good, bad = queued(Writer(engine), [add("pc"), refuse], pool)
        assert good.result(30) == "pc"
        assert computers(engine) == {"pc"}
        with pytest.raises(NotFound, match="no such thing"):
            bad.result(30)


def test_who_leads_the_queue_needs_no_thread_of_those_who_wait_for_it(one_file: Engine) -> None:
    writer = Writer(one_file)
    held, go = threading.Event(), threading.Event()

    def waits() -> str:
        held.set()
        assert go.wait(30)
        return writer.do(add("waits"), "waits")

    pool = ThreadPoolExecutor(1)
    waiting = pool.submit(waits)
    assert held.wait(30)
    [first] = queued(writer, [add("queued")], pool)
    go.set()
    try:
        assert (first.result(10), waiting.result(10)) == ("queued", "waits")
    finally:
        if not first.done():
            writer._lead()
        pool.shutdown()


@pytest.mark.parametrize("first_waits", [True, False])
def test_the_queue_and_those_who_wait_are_committed_together(
    one_file: Engine, first_waits: bool
) -> None:
    crowd = Crowd(one_file)
    names = [f"pc-{number}" for number in range(OTHERS)]
    held, go = threading.Event(), threading.Event()

    def slow(_session: Session) -> str:
        held.set()
        assert go.wait(30)
        return "first"

    with ThreadPoolExecutor(1) as queue, ThreadPoolExecutor(OTHERS) as waiting:
        if first_waits:
            first = waiting.submit(crowd.writer.do, slow, "first")
        else:
            [first] = queued(crowd.writer, [slow], queue)
        assert held.wait(30)
        answers = queued(crowd.writer, [add(name) for name in names[:3]], queue)
        answers += [waiting.submit(crowd.writer.do, add(name), name) for name in names[3:]]
        wait_until(lambda: len(crowd.writer._waiting) == OTHERS, "all wait")
        go.set()
        assert first.result(30) == "first"
        assert [each.result(30) for each in answers] == names
    assert computers(one_file) == set(names)
    assert crowd.commits == 2


def test_who_cannot_be_told_leaves_nobody_else_untold(
    one_file: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    crowd = Crowd(one_file)
    held = threading.Event()
    crowd.writer._leader.submit(held.wait, 30)

    def fail(_result: Callable[[], str]) -> None:
        raise RuntimeError("the loop is gone")

    with ThreadPoolExecutor(1) as pool:
        crowd.writer.queue(add("untold"), "untold", pool.submit, fail)
        [answer] = queued(crowd.writer, [add("pc")], pool)
        held.set()
        assert answer.result(30) == "pc"
    assert computers(one_file) == {"untold", "pc"}
    assert "what became of a message of untold" in caplog.text


def test_a_long_queue_is_committed_in_pieces(one_file: Engine) -> None:
    crowd = Crowd(one_file)
    names = [f"pc-{number}" for number in range(2 * TOGETHER + 1)]
    held = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        crowd.writer._leader.submit(held.wait, 30)
        answers = queued(crowd.writer, [add(name) for name in names], pool)
        held.set()
        assert [each.result(30) for each in answers] == names
    assert computers(one_file) == set(names)
    assert crowd.commits == 3


def test_what_was_answered_is_committed(engine: Engine) -> None:
    assert Writer(engine).do(add("pc"), "pc") == "pc"
    assert computers(engine) == {"pc"}


def test_what_is_refused_changes_nothing(engine: Engine) -> None:
    writer = Writer(engine)
    with pytest.raises(NotFound, match="no such thing"):
        writer.do(refuse, "pc")
    assert writer.do(add("pc"), "pc") == "pc"
    assert computers(engine) == {"pc"}


def test_who_met_another_is_tried_again_from_the_beginning(engine: Engine) -> None:
    met = [IntegrityError("INSERT", {}, Exception("unique"))] * (TRIES - 1)

    def work(session: Session) -> str:
        add("pc")(session)
        if met:
            raise met.pop()
        return "done"

    assert Writer(engine).do(work, "pc") == "done"
    assert computers(engine) == {"pc"}


def test_those_that_wait_for_a_writer_are_committed_together(one_file: Engine) -> None:
    crowd = Crowd(one_file)
    _, *answers = crowd.do([add(f"pc-{number}") for number in range(OTHERS)])
    assert {each.result() for each in answers} == {f"pc-{number}" for number in range(OTHERS)}
    assert computers(one_file) == {each.result() for each in answers}
    assert crowd.commits == 2  # of who came first, and of all that waited for it


def test_who_is_refused_takes_nobody_along(one_file: Engine) -> None:
    crowd = Crowd(one_file)
    good = [add(f"pc-{number}") for number in range(3)]
    _, one, *others = crowd.do([refuse, *good])
    with pytest.raises(NotFound):
        one.result()
    assert {each.result() for each in others} == computers(one_file) == {"pc-0", "pc-1", "pc-2"}


def test_a_commit_that_fails_is_told_to_everybody(one_file: Engine) -> None:
    crowd = Crowd(one_file)

    def full(_connection: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    event.listen(one_file, "commit", full)
    for each in crowd.do([add("a"), add("b")]):
        with pytest.raises(OperationalError, match="full"):
            each.result()
    event.remove(one_file, "commit", full)
    assert not computers(one_file)


def test_who_waits_in_vain_for_another_program_is_told(one_file: Engine) -> None:
    writer = Writer(one_file)
    with session_factory(one_file)() as other:
        other.connection()
        with pytest.raises(OperationalError, match="locked"):
            writer.do(add("pc"), "pc")
    assert writer.do(add("pc"), "pc") == "pc"

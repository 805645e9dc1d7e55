"""Messages that change something: each is committed before it is answered, none meets another.

What commits costs a disk that writes, so on SQLite, where writers wait for each other anyway,
those that come while one writes are written together after it: one commit for all of them, and
each is answered when that is done. PostgreSQL does the same by itself.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from deploy_server.storage.database import SessionOn

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: Has something done in another thread.
Run = Callable[[Callable[[], None]], object]

#: How often a message is tried that met another one of the same computer.
TRIES = 5

#: Messages in one commit: the first of them waits for the last.
TOGETHER = 32

#: PostgreSQL's words for "somebody else first": serialization failure, deadlock.
_TURNS = ("40001", "40P01")

#: Work on a session, which is not committed there; it may be done again, and what it did before is
#: undone then.
Work = Callable[[Session], Answer]


class Writer:
    """Does work in transactions.

    Args:
        engine: of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._takes_turns = engine.dialect.name == "sqlite"
        self._lock = threading.Lock()
        self._waiting: list[_Job[Any]] = []
        self._is_led = False
        # Not one of those that ask: they may all be waiting already for who would need one.
        self._leader = ThreadPoolExecutor(1, thread_name_prefix="turns")

    def do(self, work: Work[Answer], device_id: str) -> Answer:
        """Return what `work` answers, after its effects were committed.

        Args:
            work: safe to repeat.
            device_id: who asks, for the log.
        """
        turn = threading.Event()
        job = _Job(work, device_id, turn.set)
        if not self._takes_turns:
            self._alone(job)
            return job.result()
        if not self._is_behind(job):
            turn.set()
        turn.wait()
        if not job.is_done:
            self._lead()
        return job.result()

    def queue(
        self,
        work: Work[Answer],
        device_id: str,
        run: Run,
        done: Callable[[Callable[[], Answer]], None],
    ) -> None:
        """Have work done without waiting for it.

        Args:
            work: as for `do`.
            device_id: as for `do`.
            run: finds a thread for it where it is done alone.
            done: told in the thread that did it, when the effects were committed; what it is given
                returns the answer, or raises what `do` would.
        """

        def called() -> None:
            if job.is_done:
                done(job.result)
            elif self._takes_turns:
                self._leader.submit(self._lead)
            else:
                run(alone)

        def alone() -> None:
            self._alone(job)
            called()

        job = _Job(work, device_id, called)
        if not (self._takes_turns and self._is_behind(job)):
            called()

    def _is_behind(self, job: "_Job[Any]") -> bool:
        """Let the job wait with others; whether somebody leads them."""
        with self._lock:
            self._waiting.append(job)
            is_led, self._is_led = self._is_led, True
        return is_led

    def _lead(self) -> None:
        """Do what waits, and call who leads after that."""
        with self._lock:
            batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        try:
            self._all(batch)
        except Exception as error:
            # Raised again by each whose work was not done.
            for each in batch:
                if not each.is_done:
                    each.fail(error)
        finally:
            with self._lock:
                self._is_led = bool(self._waiting)
                following = self._waiting[:1]
            for each in (*following, *batch):
                self._call(each)

    def _call(self, job: "_Job[Any]") -> None:
        try:
            job.call()
        except Exception:
            # Whatever it is, the others that wait have to be called.
            log.exception("nobody was told what became of a message of %s", job.device_id)

    def _all(self, batch: "list[_Job[Any]]") -> None:
        if len(batch) == 1:
            self._alone(batch[0])
            return
        try:
            answers = self._committed(batch)
        except _NotBegunError as error:
            # Somebody writes and does not end: it is the same for everybody.
            for job in batch:
                job.fail(error.why)
            return
        except Exception as error:
            # Whose it was does not matter: all is undone, and alone each meets its own only.
            log.info("%d messages are done one by one: %s", len(batch), error)
            for job in batch:
                self._alone(job)
            return
        for job, answer in zip(batch, answers, strict=True):
            job.succeed(answer)

    def _committed(self, jobs: "Sequence[_Job[Any]]") -> list[Any]:
        """Do jobs in one transaction; none meets the objects of another."""
        with self._engine.connect() as connection:
            session = SessionOn(connection)
            try:
                session.connection()
            except DBAPIError as error:
                raise _NotBegunError(error) from error
            with closing(session):
                answers = []
                for job in jobs:
                    answers.append(job.work(session))
                    session.flush()
                    session.expunge_all()
            connection.commit()
            return answers

    def _alone(self, job: "_Job[Any]") -> None:
        try:
            job.succeed(self._tried(job))
        except Exception as error:
            # It is raised again where the job came from.
            job.fail(error)

    def _tried(self, job: "_Job[Answer]") -> Answer:
        for attempt in range(1, TRIES + 1):
            try:
                answers: list[Answer] = self._committed([job])
                return answers[0]
            except _NotBegunError as error:
                raise error.why from None
            except DBAPIError as error:
                # Another message about the same things came first, or both waited for each other.
                if attempt == TRIES or not _passes(error):
                    raise
                log.info("a message of %s is tried again: %s", job.device_id, error.orig)
        raise AssertionError("unreachable")


class _Job(Generic[Answer]):
    """Work of one message.

    Attributes:
        work: what is to be done.
        device_id: who asks.
        call: called when it was done, or when whoever waits for it is to lead.
        is_done: there is a result.
    """

    def __init__(self, work: Work[Answer], device_id: str, call: Callable[[], None]) -> None:
        self.work = work
        self.device_id = device_id
        self.call = call
        self.is_done = False
        self._answer: Answer
        self._error: Exception | None = None

    def succeed(self, answer: Answer) -> None:
        """Note the result."""
        self._answer = answer
        self.is_done = True

    def fail(self, error: Exception) -> None:
        """Note why there is none."""
        self._error = error
        self.is_done = True

    def result(self) -> Answer:
        """Return what the work answered, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._answer


class _NotBegunError(Exception):
    """No transaction could begin."""

    def __init__(self, why: DBAPIError) -> None:
        super().__init__(str(why))
        self.why = why


def _passes(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(error, IntegrityError) or state in _TURNS

"""Agents' messages on the short way: from the gateway to web/wire.py."""

import logging
import time
from collections.abc import Callable
from contextvars import copy_context

from deploy_agent.wire.envelope import is_longer
from deploy_server.storage.turns import Run
from deploy_server.web.errors import told_to_machines
from deploy_server.web.gateway import SHORT, Left
from deploy_server.web.gateway.answer import Answer, Headers
from deploy_server.web.gateway.exchange import Scope
from deploy_server.web.observing import Watch
from deploy_server.web.shortcuts.asking import answer, header, who
from deploy_server.web.wire import PATH, Call, Reply, Result, Wire, Work

log = logging.getLogger(__name__)

#: Bytes of a message, inflated, that are read in no time.
_INFLATED = 64 * 1024


class WireShortcut:
    """What the gateway asks before it asks Flask.

    Args:
        wire: what answers.
        threads: how many messages it looks at at the same time.
        watch: where they are counted.
    """

    name = "contact"

    def __init__(self, wire: Wire, threads: int, watch: Watch) -> None:
        self._wire = wire
        self.threads = threads
        self._watch = watch

    def takes(self, scope: Scope, length: int) -> bool:
        """Whether a request is for here; `length` of its body, in bytes."""
        return scope["path"] == PATH and scope["method"] == "POST" and length <= self._wire.body_max

    def is_long(self, body: bytes) -> bool:
        """Whether it takes long to read: a few bytes may be a thousand times as many, inflated."""
        return len(body) > SHORT or is_longer(body, _INFLATED)

    def open(self, scope: Scope, body: bytes) -> Answer | Left:
        """Return the answer, or what is left to do for it; that may wait for others."""
        began = time.perf_counter()
        remote, number = who(scope, self._watch)

        def counted(reply: Reply) -> Answer:
            seconds = time.perf_counter() - began
            self._watch.row.count(reply.kind, reply.status, seconds, len(reply.body))
            return _answer(reply, number)

        try:
            opened = self._wire.open(Call(body, header(scope, b"user-agent"), remote))
        except Exception as error:
            # Whatever it is, one request failed and the next one must be answered.
            return counted(_failed(error))
        if isinstance(opened, Reply):
            return counted(opened)
        return _Left(opened, counted)


class _Left:
    """What is left of a message.

    Args:
        work: does it.
        counted: counts its reply, and makes the answer of it.
    """

    def __init__(self, work: Work, counted: Callable[[Reply], Answer]) -> None:
        self._work = work
        self._counted = counted
        # Whoever does it, its lines in the log are those of this request.
        self._context = copy_context()

    def __call__(self) -> Answer:
        """Do it here."""
        return self._context.run(self._answered, self._work)

    def queue(self, run: Run, done: Callable[[Answer], None]) -> None:
        """Have it done in a thread that `run` finds; `done` is told there."""
        self._work.queue(run, lambda result: done(self._context.run(self._answered, result)))

    def _answered(self, result: Result) -> Answer:
        try:
            return self._counted(result())
        except Exception as error:
            # Whatever it is, one request failed and the next one must be answered.
            return self._counted(_failed(error))


def _answer(reply: Reply, number: str) -> Answer:
    headers: Headers = [(b"x-content-type-options", b"nosniff")]
    if reply.content_type:
        headers.append((b"content-type", reply.content_type.encode()))
    if reply.cache_control:
        headers.append((b"cache-control", reply.cache_control.encode()))
    return answer(reply.status, reply.body, headers, number)


def _failed(error: Exception) -> Reply:
    status, text = told_to_machines(error, f"POST {PATH}")
    return Reply(status, text.encode(), "text/plain; charset=utf-8")

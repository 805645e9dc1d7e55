"""A place that should always have a worker: what happens when it ends, or is to be replaced."""

import logging
import time
from collections.abc import Callable, Iterator

from deploy_server.serving.child import Child

log = logging.getLogger(__name__)

#: How long a replaced worker may finish what it is at, in seconds: an upload outlives a renewal.
REPLACED_S = 3600

#: A worker that ends within so many seconds of its start is started again later.
EARLY_S = 10
_LONGEST_WAIT_S = 30


class Slot:
    """One worker of a port, its replacement on the way, and those that are leaving.

    Args:
        name: of the port, for the log.
        start: starts a worker.
    """

    def __init__(self, name: str, start: Callable[[], Child]) -> None:
        self.name = name
        self._start = start
        self._current: Child | None = start()
        self._next: Child | None = None
        self._leaving: list[Child] = []
        self._was_ready = False
        self._failures = 0
        self._start_at = 0.0
        self._is_stopping = False

    @property
    def is_answering(self) -> bool:
        """Whether its worker answers requests."""
        return self._current is not None and self._current.is_ready()

    @property
    def never_answered(self) -> bool:
        """Whether its first worker ended before it answered anything."""
        return self._current is None and not self._was_ready and not self._is_stopping

    def children(self) -> Iterator[Child]:
        """Everybody who lives or has not been seen to end."""
        yield from (each for each in (self._current, self._next, *self._leaving) if each)

    def replace(self) -> None:
        """Start another worker; the present one leaves when that one answers."""
        if self._next is not None:
            self._next.stop(within=0)
            self._leaving.append(self._next)
        self._next = self._start()

    def stop(self, within: float) -> None:
        """Let everybody go, and start nobody any more."""
        self._is_stopping = True
        for child in list(self.children()):
            child.stop(within)

    def advance(self) -> None:
        """Do what is due: notice who ended or answers, start who is missing."""
        self._leaving = [child for child in self._leaving if child.ended() is None]
        if self._current is not None and (status := self._current.ended()) is not None:
            self._lost(self._current, status)
            self._current = None
        if self._next is not None:
            self._advance_next(self._next)
        self._was_ready = self._was_ready or self.is_answering
        if self._missing() and time.monotonic() >= self._start_at and self._was_ready:
            self._current = self._start()
        for child in self.children():
            child.insist()

    def _missing(self) -> bool:
        return self._current is None and self._next is None and not self._is_stopping

    def _advance_next(self, child: Child) -> None:
        if child.ended() is not None:
            log.error("The new %s worker did not start; the old one stays", self.name)
            self._next = None
        elif child.is_ready():
            if self._current is not None:
                self._current.retire(within=REPLACED_S)
                self._leaving.append(self._current)
            self._current, self._next = child, None

    def _lost(self, child: Child, status: int) -> None:
        if self._is_stopping:
            return
        early = time.monotonic() - child.started < EARLY_S
        self._failures = self._failures + 1 if early else 0
        wait = min(2**self._failures - 1, _LONGEST_WAIT_S)
        self._start_at = time.monotonic() + wait
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        when = f"in {wait} s" if wait else "at once"
        log.error("A worker for %s %s; another one starts %s", self.name, how, when)

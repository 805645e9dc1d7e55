"""A worker as its parent sees it: a process id, and a pipe that says when it answers."""

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from deploy_server.config import ServerConfig
from deploy_server.domain.errors import DeployError
from deploy_server.serving.worker import MakeApp, Port, run_worker

log = logging.getLogger(__name__)


class Child:
    """A worker that was started.

    Attributes:
        pid: its process id.
        started: when, on the clock of `time.monotonic`.
        pipe: readable when there is news; for a selector.
    """

    def __init__(self, port: Port, config: ServerConfig, make_app: MakeApp) -> None:
        """Start it; the calling process must have no threads."""
        self.started = time.monotonic()
        self.pipe, write_end = os.pipe()
        os.set_blocking(self.pipe, False)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            _be_child(write_end, lambda ready: run_worker(port, config, make_app, parent, ready))
        os.close(write_end)
        self._is_ready = False
        self._kill_at: float | None = None
        self._status: int | None = None

    def is_ready(self) -> bool:
        """Whether it answers requests."""
        if not self._is_ready:
            with contextlib.suppress(BlockingIOError):
                self._is_ready = bool(os.read(self.pipe, 1))
        return self._is_ready

    def ended(self) -> int | None:
        """Its exit status once it has ended; minus the signal, if one ended it."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
                os.close(self.pipe)
        return self._status

    def stop(self, within: float) -> None:
        """Ask it to finish what it is at; `insist` ends it after so many seconds."""
        self._send(signal.SIGTERM)
        self._kill_at = time.monotonic() + within

    def retire(self, within: float) -> None:
        """Ask it to take no more connections and to finish with those it has."""
        self._send(signal.SIGUSR1)
        self._kill_at = time.monotonic() + within

    def insist(self) -> None:
        """End it if it was asked to stop and its time is over."""
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        # A child that has ended keeps its number until `ended` has seen it.
        if self._status is None:
            os.kill(self.pid, number)


def _be_child(ready_pipe: int, work: Callable[[Callable[[], None]], None]) -> NoReturn:
    """Live as a worker; nothing of the parent's stack is ever returned to."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        work(lambda: _tell(ready_pipe))
        status = 0
    except DeployError as error:
        log.error("A worker cannot start: %s", error)
    except BaseException:
        # The end of this process: whatever it was, the log is all that is left to tell it.
        log.exception("A worker failed")
    finally:
        logging.shutdown()
        sys.stderr.flush()
        os._exit(status)


def _tell(ready_pipe: int) -> None:
    os.write(ready_pipe, b"1")
    os.close(ready_pipe)

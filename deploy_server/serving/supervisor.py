"""The parent of all workers: starts them, replaces them, stops them.

It has no threads, so that every child begins from a known state, and it answers no request itself.
A changed certificate starts new workers beside the old ones, which leave when the new ones answer;
both take connections from the same queue, so nobody is turned away.
"""

import contextlib
import gc
import os
import selectors
import signal
from collections.abc import Callable, Iterator, Sequence

from deploy_server.config import ServerConfig
from deploy_server.domain.errors import StorageError
from deploy_server.serving.child import Child
from deploy_server.serving.slot import Slot
from deploy_server.serving.worker import MakeApp, Port

#: How long workers may finish what they are at when everything stops, in seconds.
STOP_S = 5

#: How often it looks around when nothing happens, in seconds.
_TICK_S = 1.0

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Keeps `config.workers` processes for each port.

    Args:
        config: of the server, with the ports in use.
        ports: what to answer.
        make_app: makes the application in each worker.
    """

    def __init__(self, config: ServerConfig, ports: Sequence[Port], make_app: MakeApp) -> None:
        self._config = config
        self._ports = ports
        self._make_app = make_app
        self._slots: list[Slot] = []
        self._stops = 0

    def run(self, ready: Callable[[], None], tick: Callable[[], None]) -> None:
        """Run until SIGTERM or SIGINT; then nothing of it is left.

        Args:
            ready: called once, when every port is answered.
            tick: called about once a second.

        Raises:
            StorageError: a worker could not start at all; the log says why.
        """
        # What is loaded by now is shared with every child as long as nobody writes to it.
        gc.collect()
        gc.freeze()
        with _woken_by_signals(self._stop) as wakeup:
            try:
                self._slots = [
                    Slot(port.scheme.upper(), self._starter(port))
                    for port in self._ports
                    for _ in range(self._config.workers)
                ]
                self._until_stopped(wakeup, ready, tick)
            finally:
                self._let_go(wakeup)

    def replace(self, scheme: str) -> None:
        """Replace the workers of a port, because their certificate is not the current one."""
        for slot in self._slots:
            if slot.name == scheme.upper():
                slot.replace()

    def _starter(self, port: Port) -> Callable[[], Child]:
        return lambda: Child(port, self._config, self._make_app)

    def _until_stopped(
        self, wakeup: int, ready: Callable[[], None], tick: Callable[[], None]
    ) -> None:
        announced = False
        while not self._stops:
            for slot in self._slots:
                slot.advance()
                if slot.never_answered:
                    raise StorageError(
                        f"the server for {slot.name} did not start", "The lines above say why"
                    )
            if not announced and all(slot.is_answering for slot in self._slots):
                announced = True
                ready()
            tick()
            self._wait(wakeup)

    def _let_go(self, wakeup: int) -> None:
        for slot in self._slots:
            slot.stop(STOP_S)
        asked = self._stops
        while any(list(slot.children()) for slot in self._slots):
            if self._stops > asked:  # somebody is impatient
                asked = self._stops
                for slot in self._slots:
                    slot.stop(0)
            for slot in self._slots:
                slot.advance()
            self._wait(wakeup)

    def _wait(self, wakeup: int) -> None:
        """Sleep until a signal, news of a starting worker, or the next tick."""
        with selectors.DefaultSelector() as selector:
            selector.register(wakeup, selectors.EVENT_READ)
            for slot in self._slots:
                for child in slot.children():
                    if child.ended() is None and not child.is_ready():
                        selector.register(child.pipe, selectors.EVENT_READ)
            selector.select(_TICK_S)
        with contextlib.suppress(BlockingIOError):
            while os.read(wakeup, 4096):
                continue

    def _stop(self, _number: int, _frame: object) -> None:
        self._stops += 1


@contextlib.contextmanager
def _woken_by_signals(stop: Callable[[int, object], None]) -> Iterator[int]:
    """A descriptor that is readable after a signal, while signals are ours."""
    read_end, write_end = os.pipe()
    for descriptor in (read_end, write_end):
        os.set_blocking(descriptor, False)
    handlers = dict.fromkeys(_STOP_SIGNALS, stop)
    handlers[signal.SIGCHLD] = lambda _number, _frame: None
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    wakeup_before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    try:
        yield read_end
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read_end)
        os.close(write_end)

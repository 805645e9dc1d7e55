"""Letting the agents of a simulated fleet ask a server, many at a time."""

import heapq
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection

from tests.support.apps import OURS
from tests.support.fleet import Ask, Fleet, Moves, Told


@dataclass
class Ran:
    """What a run came to.

    Attributes:
        seconds: of this machine.
        asked: requests by kind.
        latencies: seconds of each request, by kind.
    """

    seconds: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)


class Drive:
    """Lets the agents of a fleet ask a server, as many at a time as there are connections.

    Args:
        fleet: whose.
        https_port: of the server, for messages.
        http_port: of the server, for fragments.
        tls: trusts the server.
        connections: how many agents are being answered at a time.
        anew: a connection for each contact, as agents that poll make them.
    """

    def __init__(
        self, fleet: Fleet, https_port: int, http_port: int, tls: ssl.SSLContext, *,
        connections: int = 32, anew: bool = False,
    ) -> None:  # fmt: skip
        self._https_port, self._http_port, self._tls = https_port, http_port, tls
        self._connections, self._anew = connections, anew
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, Moves, Ask]] = []
        self._busy = 0
        self._idle = threading.Condition(self._lock)
        self._failures: list[BaseException] = []
        self.ran = Ran()
        for number in range(fleet.count):
            moves = fleet.life(number)
            self._push(0.0, number, moves, next(moves))

    def run(self) -> Ran:
        """Let every agent come to its end."""
        threads = [threading.Thread(target=self._work) for _ in range(self._connections)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.ran.seconds = time.perf_counter() - began
        if self._failures:
            raise self._failures[0]
        return self.ran

    def _push(self, now: float, number: int, moves: Moves, ask: Ask) -> None:
        heapq.heappush(self._due, (now + ask.wait_s, number, moves, ask))

    def _work(self) -> None:
        lines: dict[bool, HTTPConnection] = {}
        try:
            for now, number, moves, ask in self._turns():
                following = _next(moves, self._asked(lines, ask))
                with self._idle:
                    self._busy -= 1
                    if following is not None:
                        self._push(now, number, moves, following)
                    self._idle.notify()
                    if not self._due:
                        self._idle.notify_all()  # it was the last
        except BaseException as error:  # a thread's error must reach the one who waits for it
            with self._idle:
                self._failures.append(error)
                self._idle.notify_all()
        finally:
            for line in lines.values():
                line.close()

    def _turns(self) -> Iterator[tuple[float, int, Moves, Ask]]:
        """The next move on the simulated clock; ends when no agent has any."""
        while True:
            with self._idle:
                self._idle.wait_for(lambda: self._due or not self._busy or self._failures)
                if self._failures or not self._due:
                    return
                turn = heapq.heappop(self._due)
                self._busy += 1
            yield turn

    def _asked(self, lines: dict[bool, HTTPConnection], ask: Ask) -> Told:
        began = time.perf_counter()
        if self._anew and ask.kind == "Prolog" and True in lines:
            lines.pop(True).close()
        if ask.secure not in lines:
            lines[ask.secure] = self._line(ask.secure)
        line = lines[ask.secure]
        line.request(ask.method, ask.path, ask.body or None, {"User-Agent": OURS})
        with line.getresponse() as response:
            told = Told(response.status, response.read())
            if response.will_close:
                lines.pop(ask.secure).close()
        with self._lock:
            self.ran.asked[ask.kind] += 1
            self.ran.latencies.setdefault(ask.kind, []).append(time.perf_counter() - began)
        return told

    def _line(self, secure: bool) -> HTTPConnection:
        if secure:
            return HTTPSConnection("localhost", self._https_port, context=self._tls, timeout=120)
        return HTTPConnection("localhost", self._http_port, timeout=120)


def _next(moves: Moves, told: Told) -> Ask | None:
    try:
        return moves.send(told)
    except StopIteration:
        return None

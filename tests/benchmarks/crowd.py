"""Ten thousand agents in one thread on a real clock, each with connections of its own.

Sockets and one epoll, nothing between: what an agent takes here must be little beside what it takes
of the server, or the crowd measures itself. An agent is as patient as ours: who gets no connection
or no answer asks again after half a minute to a minute, then after twice that.
"""

import errno
import heapq
import random
import selectors
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field

from deploy_agent.machine.transport.watch import Limits
from tests.support.apps import OURS
from tests.support.fleet import Ask, Fleet, Moves, Told

#: How often an agent asks again before it is counted as starved.
_TRIES = 6
_RETRY_FIRST_S = 60.0

_END = b"\r\n\r\n"
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_UNDER_WAY = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


@dataclass
class Came:
    """What came of a crowd.

    Attributes:
        seconds: from the first agent's start to the last one's end.
        own_cpu: seconds of CPU of all agents together.
        agents: seconds of each agent, from its start to the end of its package.
        latencies: seconds of each answer, by kind; its connection included.
        statuses: of HTTP.
        stale: kept connections that turned out to be closed; the request was sent on another.
        broken: asked again, by what and why.
        starved: agents that gave up, by why.
        at_work_most: agents at the same time, at most.
        lag_most: seconds that an answer lay here unread, at most; much is the crowd's fault.
    """

    seconds: float = 0.0
    own_cpu: float = 0.0
    agents: list[float] = field(default_factory=list)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    stale: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    starved: Counter[str] = field(default_factory=Counter)
    at_work_most: int = 0
    lag_most: float = 0.0


class Line:
    """A connection of one agent; it never waits.

    Attributes:
        socket: None until something is asked.
        is_kept: it brought an answer already.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self._port, self._tls = port, tls
        self.socket: socket.socket | None = None
        self._is_connected = self._is_secure = self.is_kept = False
        self._out = memoryview(b"")
        self._in = bytearray()
        self._missing: int | None = None
        self._body_at = 0

    def ask(self, ask: Ask) -> None:
        """Begin to ask."""
        head = (
            f"{ask.method} {ask.path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {OURS}\r\n"
            f"Content-Length: {len(ask.body)}\r\n\r\n"
        )
        self._out = memoryview(head.encode() + ask.body)
        self._in, self._missing = bytearray(), None
        if self.socket is None:
            self._is_connected, self._is_secure = False, self._tls is None
            self.is_kept = False
            self.socket = socket.socket()
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.connect_ex(("127.0.0.1", self._port))

    @property
    def is_open(self) -> bool:
        """Whether the server took the connection."""
        return self._is_connected and self._is_secure

    @property
    def is_stale(self) -> bool:
        """Whether the server may have closed it before it was asked, so that nothing is lost."""
        return self.is_kept and not self._in

    def advance(self) -> Told | int:
        """Do what can be done now: the answer, or which event to wait for.

        Raises:
            OSError: the connection is of no use any more.
        """
        try:
            if not self._is_connected and not self._connected():
                return _WRITE
            if not self._is_secure:
                assert isinstance(self.socket, ssl.SSLSocket)
                self.socket.do_handshake()
                self._is_secure = True
            while self._out:
                assert self.socket is not None
                self._out = self._out[self.socket.send(self._out) :]
            while (told := self._answer()) is None:
                assert self.socket is not None
                if not (piece := self.socket.recv(65536)):
                    raise ConnectionError("closed before the end of the answer")
                self._in += piece
            return told
        except ssl.SSLWantWriteError:
            return _WRITE
        except _UNDER_WAY:
            return _WRITE if self._out and self._is_secure else _READ

    def _connected(self) -> bool:
        assert self.socket is not None
        error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, errno.errorcode.get(error, ""))
        try:
            self.socket.getpeername()
        except OSError:
            return False  # not yet
        if self._tls is not None:
            self.socket = self._tls.wrap_socket(
                self.socket, do_handshake_on_connect=False, server_hostname="localhost"
            )
        self._is_connected = True
        return True

    def _answer(self) -> Told | None:
        if self._missing is None:
            self._body_at = self._in.find(_END) + len(_END)
            if self._body_at < len(_END):
                return None
            lines = bytes(self._in[: self._body_at]).lower().split(b"\r\n")
            lengths = [each for each in lines if each.startswith(b"content-length:")]
            self._missing = int(lengths[0].partition(b":")[2])
            self._status = int(lines[0].split(b" ", 2)[1])
            self._is_last = b"connection: close" in lines
        if len(self._in) < self._body_at + self._missing:
            return None
        told = Told(self._status, bytes(self._in[self._body_at :]))
        self.is_kept = True
        if self._is_last:
            self.close()
        return told

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class _Agent:
    """One agent: what it asks now, and since when."""

    def __init__(self, moves: Moves, lines: dict[bool, Line]) -> None:
        self.moves, self.lines = moves, lines
        self.ask: Ask | None = next(moves)
        self.watched: int | None = None  # a descriptor: TLS makes another socket of it
        self.events = 0
        self.tries = 0
        self.turn = 0  # what was planned for an earlier one means nothing
        self.switched_on = self.began = time.perf_counter()


class Crowd:
    """Switches the agents of a fleet on, one after the other, and lets each come to its end.

    Args:
        fleet: whose.
        https_port: of the server, for messages.
        http_port: of the server, for fragments.
        tls: of all agents.
        within_s: all are switched on.
    """

    def __init__(
        self, fleet: Fleet, https_port: int, http_port: int, tls: ssl.SSLContext, within_s: float
    ) -> None:
        self._fleet = fleet
        self._ports = {True: (https_port, tls), False: (http_port, None)}
        self._dice = random.Random(fleet.seed)
        self._selector = selectors.DefaultSelector()
        self._planned: list[tuple[float, int, int, _Agent | None]] = []
        self._at_work = 0
        self._left = fleet.count
        self.came = Came()
        now = time.perf_counter()
        for number in range(fleet.count):
            self._plan(now + self._dice.uniform(0, within_s), number, 0, None)

    def run(self) -> Came:
        """Let every agent come to its end."""
        began, cpu = time.perf_counter(), time.process_time()
        with self._selector:
            while self._left:
                self._turn()
        self.came.seconds = time.perf_counter() - began
        self.came.own_cpu = time.process_time() - cpu
        return self.came

    def _turn(self) -> None:
        now = time.perf_counter()
        while self._planned and self._planned[0][0] <= now:
            _, number, turn, agent = heapq.heappop(self._planned)
            if agent is None:
                self._switch_on(number)
            elif agent.turn == turn:
                self._late(agent)
        wait = self._planned[0][0] - time.perf_counter() if self._planned else 1.0
        ready = self._selector.select(max(0.0, wait))
        saw = time.perf_counter()
        for key, _ in ready:
            self._advance(key.data)
        self.came.lag_most = max(self.came.lag_most, time.perf_counter() - saw)

    def _plan(self, at: float, number: int, turn: int, agent: _Agent | None) -> None:
        heapq.heappush(self._planned, (at, number, turn, agent))

    def _switch_on(self, number: int) -> None:
        lines = {secure: Line(*where) for secure, where in self._ports.items()}
        agent = _Agent(self._fleet.life(number), lines)
        self._at_work += 1
        self.came.at_work_most = max(self.came.at_work_most, self._at_work)
        self._begin(agent)

    def _begin(self, agent: _Agent) -> None:
        assert agent.ask is not None
        agent.began = time.perf_counter()
        agent.turn += 1
        self._plan(agent.began + Limits().connect_s, id(agent), agent.turn, agent)
        try:
            agent.lines[agent.ask.secure].ask(agent.ask)
        except OSError as error:
            self._again(agent, error)
            return
        self._advance(agent)

    def _advance(self, agent: _Agent) -> None:
        assert agent.ask is not None
        line = agent.lines[agent.ask.secure]
        try:
            came = line.advance()
        except OSError as error:
            self._again(agent, error)
            return
        if isinstance(came, Told):
            self._told(agent, agent.ask, came)
            return
        self._watch(agent, line, came)

    def _watch(self, agent: _Agent, line: Line, events: int) -> None:
        assert line.socket is not None
        descriptor = line.socket.fileno()
        if agent.watched == descriptor:
            if agent.events != events:
                self._selector.modify(descriptor, events, agent)
        else:
            self._unwatch(agent)
            self._selector.register(descriptor, events, agent)
        agent.watched, agent.events = descriptor, events

    def _unwatch(self, agent: _Agent) -> None:
        if agent.watched is not None:
            self._selector.unregister(agent.watched)
            agent.watched = None

    def _told(self, agent: _Agent, ask: Ask, told: Told) -> None:
        self.came.statuses[told.status] += 1
        if told.status >= 500:
            self._again(agent, ConnectionError(f"answered {told.status}"))
            return
        taken = time.perf_counter() - agent.began
        self.came.latencies.setdefault(ask.kind, []).append(taken)
        self._unwatch(agent)
        agent.tries = 0
        agent.turn += 1
        try:
            agent.ask = agent.moves.send(told)
        except StopIteration:
            self._over(agent)
            self.came.agents.append(time.perf_counter() - agent.switched_on)
        except AssertionError as error:
            self._over(agent)
            self.came.starved[str(error)[:100]] += 1
        else:
            self._begin(agent)

    def _late(self, agent: _Agent) -> None:
        """What was planned for this turn: to ask again, or to look whether it waits too long."""
        assert agent.ask is not None
        until = agent.began + Limits().silence_s
        if agent.watched is None:
            self._begin(agent)
        elif not agent.lines[agent.ask.secure].is_open:
            self._again(agent, TimeoutError("no connection"))
        elif time.perf_counter() < until:
            self._plan(until, id(agent), agent.turn, agent)
        else:
            self._again(agent, TimeoutError("no answer"))

    def _again(self, agent: _Agent, error: OSError) -> None:
        assert agent.ask is not None
        line = agent.lines[agent.ask.secure]
        if line.is_stale and not isinstance(error, TimeoutError):
            self.came.stale += 1
            self._unwatch(agent)
            line.close()
            self._begin(agent)
            return
        why = f"{agent.ask.kind}: {type(error).__name__} {error}"
        self.came.broken[why[:100]] += 1
        self._unwatch(agent)
        for line in agent.lines.values():
            line.close()
        agent.tries += 1
        agent.turn += 1
        if agent.tries == _TRIES:
            self._over(agent)
            self.came.starved[why[:100]] += 1
            return
        wait = _RETRY_FIRST_S * 2.0 ** (agent.tries - 1) * self._dice.uniform(0.5, 1.0)
        self._plan(time.perf_counter() + wait, id(agent), agent.turn, agent)

    def _over(self, agent: _Agent) -> None:
        self._at_work -= 1
        self._left -= 1
        self._unwatch(agent)
        for line in agent.lines.values():
            line.close()

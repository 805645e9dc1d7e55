"""A computer with our agent, and faulty lines between it and the servers that it knows.

The agent's services, state and transport are the real ones, and so are sockets and TLS; only the
server behind the proxies is made of memory, and time is a test's: days pass in moments.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from deploy_agent.daemon import Daemon
from deploy_agent.domain.errors import HttpRefusal
from deploy_agent.machine.transport import Access, HttpTransport
from deploy_agent.machine.transport.watch import Limits
from deploy_agent.services.waiting import Patience
from deploy_agent.wire import envelope
from tests.support.clock import START
from tests.support.computer import Computer
from tests.support.fault_proxy import Exchange, Fault, FaultProxy, Upstream, answer
from tests.support.simulator import ServerSimulator

PACKAGE = "1800000001"
#: Enough for an honest answer on a busy machine.
PATIENT = Limits(connect_s=10, silence_s=10, answer_s=10, grace_s=10)
#: So that nobody has to wait for what never comes.
IMPATIENT = Limits(connect_s=5, silence_s=0.4, answer_s=0.5, grace_s=0.4)


def simulated(server: ServerSimulator) -> Upstream:
    """The simulator's answers, as they are on the wire."""

    def ask(exchange: Exchange) -> bytes:
        if exchange.method == "POST":
            if not exchange.target.endswith("/ocsinventory"):
                return answer(404)
            reply = server.post(envelope.unpack(exchange.body)[0])
            return answer(200, envelope.pack(reply) if reply else b"")
        package_id, name = urlsplit(exchange.target).path.split("/")[-2:]
        fresh = exchange.headers.get("cache-control") == "no-cache"
        try:
            return answer(200, server._get(server.url(package_id, name), no_cache=fresh))
        except HttpRefusal:
            return answer(404)

    return ask


@dataclass
class Network:
    """The computer, its server, and the two lines between them.

    Attributes:
        central: messages and info files, over TLS.
        site: fragments, over plain HTTP.
    """

    pc: Computer
    central: FaultProxy
    site: FaultProxy
    ca_file: Path
    limits: Limits = PATIENT

    @property
    def server(self) -> ServerSimulator:
        return self.pc.server

    def connect(self, **access: object) -> HttpTransport:
        """A transport as a new life of the agent has it."""
        url = f"https://{self.central.address}/ocsinventory"
        made = Access(url, self.ca_file, **{"proxy": "", "limits": self.limits, **access})  # type: ignore[arg-type]
        self.pc.transport = HttpTransport(made, self.pc.clock)
        return self.pc.transport

    def offer(self, package_id: str = PACKAGE, **offer: object) -> None:
        """Publish and assign a package whose files are behind the proxies."""
        self.server.publish(package_id)
        places = {
            "info_loc": f"{self.central.address}/download",
            "pack_loc": f"{self.site.address}/download",
        }
        self.server.assign(package_id, **{**places, **offer})

    def live(self, hours: float = 24.0, *, until: Callable[[], bool] | None = None) -> "Life":
        """A life of the daemon, from its start to a kill after so many hours."""
        transport = self.connect()
        try:
            life = Life(self.pc)
            life.run(self.pc.clock.now() + timedelta(hours=hours), until or (lambda: False))
            return life
        finally:
            transport.close()

    def requests(self) -> int:
        """How many requests were made in all."""
        return len(self.central.requests) + len(self.site.requests)


@dataclass
class Life:
    """A daemon on one thread whose time is the test's.

    Attributes:
        wakes: seconds since the beginning of all, and the job that ran.
    """

    pc: Computer
    jobs: dict[str, tuple[datetime, Callable[[], None]]] = field(default_factory=dict)
    wakes: list[tuple[float, str]] = field(default_factory=list)
    stopped: bool = False

    def __post_init__(self) -> None:
        self.daemon = Daemon(
            self.pc.agent(Patience()), self, self.pc.clock, interval_min=60, jitter=lambda: 0.5
        )

    def at(self, time: datetime, name: str, job: Callable[[], None]) -> None:
        self.jobs[name] = (time, job)

    def stop(self) -> None:
        self.stopped = True

    def run(self, end: datetime, is_over: Callable[[], bool]) -> None:
        clock = self.pc.clock
        self.daemon.begin()
        while not self.stopped and not is_over():
            name, (time, job) = min(self.jobs.items(), key=lambda each: (each[1][0], each[0]))
            if time > end:
                break
            clock.time = max(clock.time, time)
            del self.jobs[name]
            self.wakes.append(((clock.now() - START).total_seconds(), name))
            job()
        assert not self.stopped, f"the daemon stopped with {self.daemon.exit_status}"


# What tests of a package's way ask.

FILES = {"info": f"/{PACKAGE}/info", "fragment": f"/{PACKAGE}/{PACKAGE}-2"}


def over(network: Network) -> Callable[[], bool]:
    return lambda: network.server.status() not in ("WAITING", "NOTIFIED")


def fail(network: Network, file: str, *faults: Fault | None) -> FaultProxy:
    proxy = network.central if file == "info" else network.site
    proxy.fail(FILES[file], *faults)
    return proxy


def check_success(network: Network) -> None:
    assert network.server.codes == ["SUCCESS"]
    assert len(network.pc.runner.started) == 1
    assert network.pc.files() == set()


def check_failure(network: Network, code: str) -> None:
    assert network.server.codes == [code]
    assert network.pc.runner.started == []
    assert network.pc.files() == set()

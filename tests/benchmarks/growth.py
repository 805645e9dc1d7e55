"""What a contact costs when a fleet grows, and what a console feels of the contacts:

    python -m tests.benchmarks growth [--computers 100000] [--database sqlite|postgresql|both]

The same 1,000 computers are in contact with a server that has no others, and with one that has all
of them, 200 groups (20 of them dynamic) and ten assignments for each computer: CPU of all processes
of the server, the database's included. Then pages are opened while 100 contacts a second come in.
The exit status says whether both limits held: 1.2 times the CPU, and 1.5 s for a page.
"""

import argparse
import ssl
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.console import Console, Timing, lines
from tests.benchmarks.console_pages import Page, pages
from tests.benchmarks.load import Target, cycle, exchange, hammer, post
from tests.benchmarks.place import DATABASES, Place, report
from tests.benchmarks.population_fleet import Sizes, device_id

SMALL = 1000
RATIO_LIMIT = 1.2
CONTACTS_A_SECOND = 100
_AGENT = "OCS-NG_unified_unix_agent_v2.10.0"

#: Of each kind of page one, and the slowest.
_PAGES = (
    "overview", "overview: under way", "failures, last page", "stuck: wait for overdue",
    "computers by name, last page", "computers by memory, middle page", "search os ~ windows",
    "search software ~ firefox", 'search group ~ "Ring 1"', "packages",
    "packages by success, middle page", "package of the whole fleet", "its results, middle page",
    "its results over time", "computer, deployments", "groups", "dynamic group, middle page",
    "deploy",
)  # fmt: skip


@dataclass(frozen=True)
class Contacts:
    """What contacts cost.

    Attributes:
        computers: of the fleet.
        server_ms: CPU of the server's processes for one contact.
        database_ms: of the database's.
        seconds: for all of them.
    """

    computers: int
    server_ms: float
    database_ms: float
    seconds: float

    @property
    def cpu_ms(self) -> float:
        return self.server_ms + self.database_ms


def prologs() -> list[bytes]:
    """A PROLOG of each of the computers that every population has."""
    xml = "<REQUEST><DEVICEID>{}</DEVICEID><QUERY>PROLOG</QUERY></REQUEST>"
    texts = (xml.format(device_id(number)) for number in range(1, SMALL + 1))
    return [post("/ocsinventory", zlib.compress(text.encode()), _AGENT) for text in texts]


def contacts(place: Place, rounds: int = 3, count: int = 2 * SMALL) -> Contacts:
    """The median of some rounds; before them everybody was told of what waited."""
    target, requests = _target(place), prologs()
    found = []
    for number in range(rounds + 1):
        before = place.cpu_s()
        load = hammer(target, cycle(requests, count if number else SMALL))
        assert set(load.statuses) == {200}, load.statuses
        after = place.cpu_s()
        each = [1000 * (now - was) / load.requests for was, now in zip(before, after, strict=True)]
        found.append(Contacts(place.sizes.computers, each[0], each[1], load.seconds))
    return sorted(found[1:], key=lambda each: each.cpu_ms)[rounds // 2]


def _target(place: Place) -> Target:
    tls = ssl.create_default_context(cafile=str(place.server.ca_file))
    return Target(place.server.https_port, tls)


@contextmanager
def coming_in(place: Place, a_second: int) -> Iterator[list[float]]:
    """Contacts at a steady pace meanwhile; the list has the seconds of each."""
    latencies: list[float] = []
    over = threading.Event()
    requests = cycle(prologs(), 10_000_000)
    threads = [
        threading.Thread(
            target=_contact, args=(_target(place), requests, 4 / a_second, latencies, over)
        )
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    try:
        yield latencies
    finally:
        over.set()
        for each in threads:
            each.join()


def _contact(
    target: Target, requests: Any, every_s: float, latencies: list[float], over: threading.Event
) -> None:
    buffer = bytearray(65536)
    with target.connect() as line:
        due = time.perf_counter()
        while not over.wait(max(0.0, due - time.perf_counter())):
            began = time.perf_counter()
            status, _ = exchange(line, requests(), buffer)
            assert status == 200, status
            latencies.append(time.perf_counter() - began)
            due += every_s


def under_load(place: Place, rounds: int) -> tuple[list[Timing], dict[str, float]]:
    """The console's pages while contacts come in, and how those fared."""
    console = Console(place, rounds)
    known = {each.label: each for each in pages(place.sizes)}
    chosen: list[Page] = [known[label] for label in _PAGES]
    began = time.perf_counter()
    with coming_in(place, CONTACTS_A_SECOND) as latencies:
        timings = [console.page(each) for each in chosen]
    seconds = time.perf_counter() - began
    ordered = sorted(latencies)
    return timings, {
        "contacts_a_second": len(ordered) / seconds,
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[int(0.99 * len(ordered))],
    }


def measure(database: str, computers: int, rounds: int, keep: Path | None) -> dict[str, Any]:
    """Both sizes of one database."""
    found = []
    for size in (SMALL, computers):
        with (
            tempfile.TemporaryDirectory(prefix="growth-") as folder,
            Place.made(Path(folder), database, Sizes(size), keep=keep) as place,
        ):
            found.append(contacts(place))
            sys.stderr.write(f"{database}, {size:,} computers: {found[-1].cpu_ms:.2f} ms\n")
            if size == computers:
                timings, fared = under_load(place, rounds)
    small, large = found
    ratio = large.cpu_ms / small.cpu_ms
    held = ratio <= RATIO_LIMIT and all(each.held for each in timings)
    held = held and fared["contacts_a_second"] > 0.95 * CONTACTS_A_SECOND
    for each in found:
        sys.stdout.write(
            f"{database}, {each.computers:,} computers: {each.cpu_ms:.2f} ms of CPU a contact"
            f" (server {each.server_ms:.2f}, database {each.database_ms:.2f})\n"
        )
    sys.stdout.write(
        f"{database}: {ratio:.2f} times (limit {RATIO_LIMIT}); while pages were opened"
        f" {fared['contacts_a_second']:.0f} contacts/s, {fared['p50_ms']:.0f} ms,"
        f" p99 {fared['p99_ms']:.0f} ms\n" + "\n".join(lines(timings)) + "\n"
    )
    return {
        "held": held,
        "ratio": ratio,
        "contacts": [{**vars(each), "cpu_ms": each.cpu_ms} for each in found],
        "meanwhile": fared,
        "pages": [each.as_json() for each in timings],
    }


def main(arguments: list[str]) -> int:
    """Measure, print; 0 when every limit held."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks growth", description=__doc__)
    parser.add_argument("--computers", type=int, default=100_000)
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="leave the databases there; used if they are")
    parser.add_argument("--json", type=Path, default=Path("tests/.artifacts/growth.json"))
    options = parser.parse_args(arguments)
    chosen = DATABASES if options.database == "both" else (options.database,)
    document = {
        each: measure(each, options.computers, options.rounds, options.keep) for each in chosen
    }
    report(options.json, document)
    return 0 if all(each["held"] for each in document.values()) else 1

"""INVENTORY of 860 packages: its CPU, what is refused, the server's memory, the database's size."""

import random
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock

from tests.benchmarks.load import Load, hammer, post
from tests.benchmarks.measure import Cpu, Result, memory
from tests.benchmarks.wire import OCS, PATH, Site, device, prolog_of
from tests.support.server import RunningServer
from tests.support.vectors import Exchange

#: The share of its packages that a computer has in another version than most.
_OWN = 0.03
_VERSION = re.compile(rb"(?<=<VERSION>)[^<]*(?=</VERSION>)")


class Recorded:
    """The recorded inventory of 860 packages, as that of others."""

    def __init__(self) -> None:
        self._xml = Exchange("agent-02-inventory-first").request.xml
        self._between = _VERSION.split(self._xml)
        self._versions: list[bytes] = _VERSION.findall(self._xml)
        assert len(self._versions) >= 860, len(self._versions)

    def of(self, device_id: str, name: str, *, upgraded: bool = False) -> bytes:
        """Another computer's with the same packages, or all of them in another version."""
        return self._post([each + b"+u1" * upgraded for each in self._versions], device_id, name)

    def similar(self, device_id: str, name: str, *, level: int = 1) -> bytes:
        """A computer's that has some packages in other versions than most."""
        dice = random.Random(device_id)
        versions = [
            each + b"+v%d" % dice.randrange(4) if dice.random() < _OWN else each
            for each in self._versions
        ]
        return self._post(versions, device_id, name, level)

    def _post(self, versions: list[bytes], device_id: str, name: str, level: int = -1) -> bytes:
        pieces = [self._between[0]]
        for version, between in zip(versions, self._between[1:], strict=True):
            pieces += (version, between)
        xml = b"".join(pieces)
        changed = xml.replace(b"host-a-2026-11-21-10-24-07", device_id.encode())
        changed = changed.replace(b"<NAME>host-a</NAME>", f"<NAME>{name}</NAME>".encode())
        assert changed != xml
        return post(PATH, zlib.compress(changed, level), OCS)


def inventory(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """New computers, the same again, then every package in another version."""
    yield from inventoried(Site(server, folder, quick))


def inventoried(site: Site) -> Iterator[Result]:
    recorded = Recorded()
    count = 10 if site.quick else 200
    who = [(device(name), name) for name in (f"big-{n}" for n in range(count))]
    fresh = [recorded.of(*each) for each in who]
    load, cpu = site.sent(fresh, count, tolerant=True)
    yield _cpu(site, "new computer", load, cpu, 20)
    yield site.rate("INVENTORY, new computer, c=8", load, 50)
    yield _refused(site, "new computer", load)
    load, cpu = site.sent(fresh, 2 * count, tolerant=True)
    yield _cpu(site, "unchanged", load, cpu, 6)
    yield site.rate("INVENTORY, unchanged, c=8", load)
    yield _refused(site, "unchanged", load)
    changed = [recorded.of(*each, upgraded=True) for each in who]
    load, cpu = site.sent(changed, count, tolerant=True)
    yield _cpu(site, "all changed", load, cpu, 20)
    yield site.rate("INVENTORY, all changed, c=8", load)
    yield _refused(site, "all changed", load)


def _cpu(site: Site, which: str, load: Load, cpu: Cpu, limit: float) -> Result:
    return site.cpu(f"INVENTORY, {which}, c=8", load, cpu, limit)


def _refused(site: Site, which: str, load: Load) -> Result:
    measure = f"{site.name}INVENTORY, {which}, c=8: refused"
    return Result(measure, load.refused, "requests", 0, details={"statuses": dict(load.statuses)})


def memory_after_load(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """What all processes hold when 32 at a time have sent contacts and inventories."""
    site = Site(server, folder, quick)
    recorded = Recorded()
    count = 32 if quick else 200
    names = [f"held-{n}" for n in range(count)]
    messages = [recorded.of(device(name), name) for name in names]
    site.sent(messages, 2 * count, connections=32)
    site.sent([prolog_of(device(name)) for name in names], site.count(4000), connections=32)
    yield Result("server: memory after load at c=32", memory(server.pid), "MiB PSS", 150)


def database(server: RunningServer, folder: Path, *, quick: bool) -> Iterator[Result]:
    """What similar computers take in the database, each with its own differences."""
    site = Site(server, folder, quick)
    count = 20 if quick else 10_000
    load = hammer(site.target, _similar(count))
    assert load.refused == 0, load.statuses
    path = server.data / "tranche.db"
    with closing(sqlite3.connect(path)) as connection:  # so that nothing is in its log only
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    yield Result(
        f"database: a computer of {count} similar ones", size / count / 1000, "KB", 60,
        details={"bytes": size, "own_versions": _OWN, **load.about()},
    )  # fmt: skip


def _similar(count: int) -> Callable[[], bytes | None]:
    """Inventories made when they are sent: ten thousand of them are a gigabyte."""
    recorded, numbers, lock = Recorded(), iter(range(count)), Lock()

    def take() -> bytes | None:
        with lock:
            number = next(numbers, None)
        if number is None:
            return None
        name = f"like-{number}"
        return recorded.similar(device(name), name)

    return take

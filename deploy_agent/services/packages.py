"""The packages on this computer, by id."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from deploy_agent.domain.errors import CleanFailed
from deploy_agent.domain.record import PackageRecord
from deploy_agent.domain.state import State
from deploy_agent.machine.store import PackageStore
from deploy_agent.services.census import Census
from deploy_agent.services.observing import NOBODY, Observer
from deploy_agent.services.package import Package

log = logging.getLogger(__name__)


class Packages:
    """Every package that has a folder."""

    def __init__(self, store: PackageStore, observer: Observer = NOBODY) -> None:
        self.store = store
        self._census = Census(observer)
        self._by_id: dict[str, Package] = {}
        self._in_order = True

    def load(self, now: datetime, *, forgive: bool = False) -> None:
        """Read what the disk has, and clear away what a dead agent left unfinished.

        Args:
            now: the time, UTC.
            forgive: try at once what an earlier agent wanted to leave alone for a while; somebody
                asked for it.
        """
        for record in self.store.load(now):
            kept = replace(record, retry_at=None, ask_at=None) if forgive else record
            package = Package(self.store, kept, self._census)
            self._by_id[record.package_id] = package
            self._census.found(package)

    def __iter__(self) -> Iterator[Package]:
        """Yield the packages by id; others may come and go meanwhile."""
        if not self._in_order:
            self._by_id = dict(sorted(self._by_id.items()))
            self._in_order = True
        return iter(list(self._by_id.values()))

    def of(self, *states: State) -> list[Package]:
        """Return the packages in these states, by id; the others cost nothing."""
        return self._census.of(*states)

    def asking(self) -> list[Package]:
        """Return the packages of which a user may have to be asked; the others cost nothing."""
        return self._census.asking()

    def get(self, package_id: str) -> Package | None:
        """Return a package, None where there is none of this id."""
        return self._by_id.get(package_id)

    def begin(self, record: PackageRecord) -> Package:
        """Save a new record and return its package."""
        package = Package.begin(self.store, record, self._census)
        self._in_order = self._in_order and package.id in self._by_id
        self._by_id[package.id] = package
        return package

    def forget(self, package: Package) -> None:
        """Note that the package's folder is gone."""
        self._by_id.pop(package.id, None)
        self._census.remove(package.id)

    def drop(self, package: Package) -> None:
        """Remove a package that was not begun."""
        try:
            self.store.remove(package.id)
        except CleanFailed as error:
            log.warning("package %s: its folder cannot be removed: %s", package.id, error)
        else:
            self.forget(package)

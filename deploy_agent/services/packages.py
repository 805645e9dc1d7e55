"""The packages on this computer, by id."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from deploy_agent.domain.errors import CleanFailed
from deploy_agent.domain.record import PackageRecord
from deploy_agent.machine.store import PackageStore
from deploy_agent.services.observing import NOBODY, Observer
from deploy_agent.services.package import Package

log = logging.getLogger(__name__)


class Packages:
    """Every package that has a folder."""

    def __init__(self, store: PackageStore, observer: Observer = NOBODY) -> None:
        self.store = store
        self._observer = observer
        self._by_id: dict[str, Package] = {}

    def load(self, now: datetime, *, forgive: bool = False) -> None:
        """Read what the disk has, and clear away what a dead agent left unfinished.

        Args:
            now: the time, UTC.
            forgive: try at once what an earlier agent wanted to leave alone for a while; somebody
                asked for it.
        """
        for record in self.store.load(now):
            kept = replace(record, retry_at=None, ask_at=None) if forgive else record
            package = Package(self.store, kept, self._observer)
            self._by_id[record.package_id] = package
            self._observer.found(package)

    def __iter__(self) -> Iterator[Package]:
        """Yield the packages by id; others may come and go meanwhile."""
        return iter(list(self._by_id.values()))

    def get(self, package_id: str) -> Package | None:
        """Return a package, None where there is none of this id."""
        return self._by_id.get(package_id)

    def begin(self, record: PackageRecord) -> Package:
        """Save a new record and return its package."""
        package = Package.begin(self.store, record, self._observer)
        self._by_id[package.id] = package
        self._by_id = dict(sorted(self._by_id.items()))
        return package

    def forget(self, package: Package) -> None:
        """Note that the package's folder is gone."""
        self._by_id.pop(package.id, None)

    def drop(self, package: Package) -> None:
        """Remove a package that was not begun."""
        try:
            self.store.remove(package.id)
        except CleanFailed as error:
            log.warning("package %s: its folder cannot be removed: %s", package.id, error)
        else:
            self.forget(package)

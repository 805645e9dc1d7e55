"""Which packages are in which state, kept up as they change.

With thousands of packages nobody can look at all of them for each fragment of one.
"""

from deploy_agent.domain.record import PackageRecord
from deploy_agent.domain.state import State
from deploy_agent.services.observing import Observer
from deploy_agent.services.package import Package


class Census:
    """An observer of packages that remembers their states, and passes on what it is told."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._in: dict[State, dict[str, Package]] = {state: {} for state in State}
        self._state_of: dict[str, State] = {}
        self._new: dict[str, Package] = {}  # changed since somebody asked for `asking`
        self._asking: dict[str, Package] = {}

    def of(self, *states: State) -> list[Package]:
        """Return the packages in these states, by id."""
        found = [each for state in states for each in self._in[state].values()]
        return sorted(found, key=lambda each: each.id)

    def asking(self) -> list[Package]:
        """Return the packages of which a user may have to be asked; cheap."""
        for package_id, package in self._new.items():
            if _may_ask(package):
                self._asking[package_id] = package
        self._new.clear()
        return list(self._asking.values())

    def put(self, package: Package) -> None:
        """Note where a package stands."""
        self.remove(package.id)
        self._state_of[package.id] = package.state
        self._in[package.state][package.id] = package
        if package.state in (State.UNPACKED, State.CONFIRMING):
            self._new[package.id] = package

    def remove(self, package_id: str) -> None:
        """Note that there is no such package any more."""
        state = self._state_of.pop(package_id, None)
        if state is not None:
            del self._in[state][package_id]
        self._new.pop(package_id, None)
        self._asking.pop(package_id, None)

    # What an observer is told.

    def changed(self, package: Package, before: PackageRecord | None) -> None:
        """The package's record was saved."""
        if before is None or package.id in self._state_of:  # else it is gone already
            self.put(package)
        self._observer.changed(package, before)

    def found(self, package: Package) -> None:
        """The package was on the disk."""
        self.put(package)
        self._observer.found(package)

    def progressed(self, package: Package) -> None:
        """A fragment of the package came."""
        self._observer.progressed(package)

    def told(self, package: Package, reason: str) -> None:
        """Something is to be said of the package."""
        self._observer.told(package, reason)


def _may_ask(package: Package) -> bool:
    if package.state is State.CONFIRMING:
        return True
    if package.state is not State.UNPACKED or package.record.consented:
        return False
    return package.info is not None and package.info.notification is not None

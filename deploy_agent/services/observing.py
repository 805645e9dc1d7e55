"""Who is told of everything that happens to packages; knows nothing of what they do with it."""

from typing import TYPE_CHECKING, Protocol

from deploy_agent.domain.record import PackageRecord

if TYPE_CHECKING:
    from deploy_agent.services.package import Package


class Observer(Protocol):
    """Is told after the fact is on the disk. Must not fail and must not take long."""

    def changed(self, package: "Package", before: PackageRecord | None) -> None:
        """The package's record was saved; it was `before`, None for a new package."""

    def found(self, package: "Package") -> None:
        """The package was on the disk; whoever died may not have told of its last save."""

    def progressed(self, package: "Package") -> None:
        """A fragment of the package came."""

    def told(self, package: "Package", reason: str) -> None:
        """Something is to be said of the package, in its present state."""


class Nobody:
    """Does not look."""

    def changed(self, package: "Package", before: PackageRecord | None) -> None:
        """The package's record was saved."""

    def found(self, package: "Package") -> None:
        """The package was on the disk."""

    def progressed(self, package: "Package") -> None:
        """A fragment of the package came."""

    def told(self, package: "Package", reason: str) -> None:
        """Something is to be said of the package."""


NOBODY = Nobody()

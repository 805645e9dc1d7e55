"""What happens to a package after its end: history, report, acknowledgement, removal.

The result is stored before it is sent, and sent as it was stored until the server answers 2xx.
Reports are at least once; the server knows a repeat by its attempt.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

from deploy_agent.domain.errors import CleanFailed, TransientError
from deploy_agent.domain.state import Event, State
from deploy_agent.machine.history import History, Output
from deploy_agent.machine.transport import Transport
from deploy_agent.services.events import Events
from deploy_agent.services.installing import Installer
from deploy_agent.services.package import Package
from deploy_agent.wire.messages import DownloadReport

log = logging.getLogger(__name__)


class Reporter:
    """Tells the server how packages ended."""

    def __init__(
        self,
        transport: Transport,
        history: History,
        installer: Installer,
        device_id: Callable[[], str | None],
        events: Events,
    ) -> None:
        """Report.

        Args:
            transport: the network.
            history: where ends are entered.
            installer: knows the output of actions.
            device_id: tells the computer's id; None while the server does not know it yet.
            events: tells our server how actions ended.
        """
        self._transport = transport
        self._history = history
        self._installer = installer
        self._device_id = device_id
        self._events = events
        self._entered: set[tuple[str, str]] = set()
        self._stuck: set[str] = set()

    def enter(self, package: Package) -> None:
        """Make sure that history has the package's end, and free the disk of its content.

        Raises:
            StoreError: it cannot be written.
        """
        ended = (package.id, package.record.key)
        if package.state is not State.DONE or package.record.orphan or ended in self._entered:
            return
        outcome = self._installer.output_of(package)
        output = Output(outcome.output, outcome.truncated) if outcome else Output()
        info = package.info
        revision = info.revision if info is not None else package.record.offer.revision
        self._history.add(package.record, revision, output)
        self._events.ended(package, outcome)
        with suppress(CleanFailed):  # the result is known; what cannot be removed is a note later
            package.drop_content()
        self._entered.add(ended)

    def send(self, package: Package) -> None:
        """Send the package's result.

        Raises:
            TransientError, DefiniteError: the server does not have it; it stays.
            StoreError: the acknowledgement could not be written.
        """
        if package.state is not State.DONE:
            return
        result = package.record.result
        assert result is not None
        device_id = self._device_id()
        if device_id is None:  # the server would answer 2xx and forget it
            raise TransientError("the server has to learn the computer's new name first")
        attempt = package.record.offer.attempt
        report = DownloadReport(device_id, package.id, result.code, attempt)
        self._transport.post(report.to_bytes())
        log.info("package %s: the server knows that it ended with %s", package.id, result.code)
        package.apply(Event.ACKNOWLEDGED)

    def remove(self, package: Package) -> bool:
        """Remove a package that the server knows the end of; whether nothing is left of it.

        What cannot be removed is tried again by the next agent, not all the time.
        """
        if package.state is not State.REPORTED or package.id in self._stuck:
            return False
        try:
            package.store.remove(package.id)
        except CleanFailed as error:
            log.warning("package %s: its folder stays for now: %s", package.id, error)
            self._stuck.add(package.id)
            return False
        return True

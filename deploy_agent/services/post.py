"""Post commands: REBOOT, SHUTDOWN or a command line, at most once after an action that started.

The intent is saved before anything is done, and what is found begun is never begun again. How it
went is a note in history; the package's result stands whatever happens here.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deploy_agent.domain.errors import ActionFailed, OutcomeUnknown, PackageError
from deploy_agent.domain.outcome import Outcome
from deploy_agent.domain.record import Post
from deploy_agent.machine.boot import DELAY_MIN, Power, PowerError, is_same_boot
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.history import History, Output
from deploy_agent.machine.runner import Job
from deploy_agent.services.installing import JOB_FILE, Runner
from deploy_agent.services.package import Package
from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Action

REBOOT = "REBOOT"
SHUTDOWN = "SHUTDOWN"
NOT_BEGUN = "the agent or its runner ended before it was started"

log = logging.getLogger(__name__)


class PostCommands:
    """Begins post commands and sees to their ends."""

    def __init__(
        self,
        runner: Runner,
        power: Power,
        boot_id: Callable[[], str],
        history: History,
        clock: Clock,
        *,
        install_path: Path,
    ) -> None:
        """Carry out post commands.

        Args:
            runner: runs command lines.
            power: restarts the computer.
            boot_id: names the present run of the system.
            history: where notes go.
            clock: tells the time.
            install_path: what INSTALL_PATH stands for.
        """
        self._runner = runner
        self._power = power
        self._boot_id = boot_id
        self._history = history
        self._clock = clock
        self._install_path = install_path

    @staticmethod
    def is_due(package: Package) -> bool:
        """Whether an ended package has a post command that is not begun."""
        record = package.record
        return bool(
            record.ended and record.started and record.offer.postcmd.strip() and record.post is None
        )

    def begin(self, package: Package, settings: DownloadSettings) -> None:
        """Save the intent, then do it.

        Args:
            package: one whose post command is due; its end is in history.
            settings: the newest, for the execution timeout.

        Raises:
            StoreError: the intent cannot be saved; nothing was done.
        """
        word = package.record.offer.postcmd.strip()
        restart = word.upper() in (REBOOT, SHUTDOWN)
        log.info("package %s: post command %r", package.id, word)
        post = Post(self._clock.now(), self._boot_id(), restart)
        package.save(replace(package.record, post=post))
        try:
            if restart:
                self._ask_for_restart(package, word.upper())
            else:
                self._start(package, word, settings)
        except (PackageError, PowerError) as error:
            self._end(package, f"it was not carried out: {error}")

    def attend(self, package: Package, timeout_s: float | None) -> bool:
        """Wait for the end of a post command that is a command line; whether it has ended."""
        folder = self._folder(package)
        try:
            outcome = self._runner.wait(folder, timeout_s)
        except OutcomeUnknown as error:
            begun = (folder / JOB_FILE).exists()
            self._end(package, error.message if begun else NOT_BEGUN)
            return True
        if outcome is None:
            return False
        self._end(package, _in_words(outcome), Output(outcome.output, outcome.truncated))
        return True

    def is_over(self, package: Package) -> bool:
        """Whether nothing of the package's post command is to come any more.

        Raises:
            StoreError: a restart that has come cannot be noted.
        """
        post = package.record.post
        if post is None:
            return not self.is_due(package)
        if post.waits and post.restart and not is_same_boot(post.boot_id, self._boot_id()):
            self._end(package, "the computer was restarted")
            return True
        return not post.waits

    def _ask_for_restart(self, package: Package, word: str) -> None:
        why = f"Package {package.id} was installed."
        if word == REBOOT:
            why += f" The computer restarts in {DELAY_MIN} minutes."
            self._power.restart(why)
        else:
            why += f" The computer is switched off in {DELAY_MIN} minutes."
            self._power.shut_down(why)
        log.info("package %s: no action starts until the computer was restarted", package.id)

    def _start(self, package: Package, command: str, settings: DownloadSettings) -> None:
        folder = self._folder(package)
        try:
            package.store.disk.make_folder(folder)
        except OSError as error:
            raise ActionFailed(f"'{folder}' cannot be made: {error.strerror}") from error
        info = package.info
        minutes = info.execution_timeout_min if info is not None else None
        job = Job(
            action=Action.EXECUTE,
            target=command,
            tree=Path(self._install_path.anchor),
            install_path=self._install_path,
            timeout_s=60.0 * (settings.execution_timeout_min if minutes is None else minutes),
        )
        self._runner.prepare(job, folder)
        self._runner.start(job, folder)

    def _end(self, package: Package, note: str, output: Output | None = None) -> None:
        """Note how it went, in history before the record: what is noted there twice is the same."""
        post = package.record.post
        assert post is not None
        log.info("package %s: post command: %s", package.id, note)
        ended = replace(package.record, post=replace(post, waits=False, note=note))
        self._history.note_post(ended, output or Output())
        package.save(ended)
        package.tell(f"post command: {note}")

    @staticmethod
    def _folder(package: Package) -> Path:
        """Return the folder of this end's post command, which is no other's."""
        return package.store.path(package.id, f"post-{package.record.runs}")


def _in_words(outcome: Outcome) -> str:
    if outcome.timed_out or outcome.exit_code is None:
        return outcome.error or "it could not be started"
    return f"it ended with exit code {outcome.exit_code}"

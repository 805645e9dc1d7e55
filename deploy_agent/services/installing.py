"""Joins, checks, unpacks and acts; saves each step before the next begins.

The intent to act is on the disk before the runner is started, and the runner's folder is a new one
for each run, so that no outcome is ever taken for another's.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from deploy_agent.domain.errors import (
    ActionFailed,
    JoinFailed,
    OutcomeUnknown,
    PackageError,
)
from deploy_agent.domain.outcome import ExitCodes, Outcome, judge
from deploy_agent.domain.policy import count_fault, retry_code_delay, without_fault
from deploy_agent.domain.record import Result
from deploy_agent.domain.state import Event, Reload, State, on_reload
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.gentle import gently
from deploy_agent.machine.runner import Job
from deploy_agent.machine.store import PACKAGE_FILE, TREE, run_folder
from deploy_agent.services.fetching import Fetcher
from deploy_agent.services.package import Package
from deploy_agent.wire.digest import DigestAlgorithm, Hasher
from deploy_agent.wire.fragment import fragment_name
from deploy_agent.wire.info import InfoFile
from deploy_agent.wire.replies import DownloadSettings
from deploy_agent.wire.terms import Action

PIECE = 1024 * 1024  # bytes copied at a time
STORE_TRIES_MAX = 5  # runs of a STORE in a row whose end nobody knows
JOB_FILE = "job.json"  # there once a runner has begun
RUNNER = "runner"  # the count of those that ended before they began

log = logging.getLogger(__name__)


class Runner(Protocol):
    """What runs actions; machine/runner is the real one."""

    def prepare(self, job: Job, folder: Path) -> None:
        """Write down what is to be run in `folder`, before anybody says that it is."""

    def withdraw(self, folder: Path) -> bool:
        """Return whether nothing of what was prepared there was run; then nothing will be."""

    def start(self, job: Job, folder: Path) -> None:
        """Start `job` in a process that outlives this one."""

    def wait(self, folder: Path, timeout_s: float | None = None) -> Outcome | None:
        """Return how it ended, None when it still runs."""

    def outcome(self, folder: Path) -> Outcome | None:
        """Return how it ended, None when nothing says so."""


class Trees(Protocol):
    """What makes trees; machine/unpack is the real one."""

    def unpack(self, archive: Path, tree: Path) -> None:
        """Make `tree` hold what `archive` holds."""

    def empty_tree(self, tree: Path) -> None:
        """Make `tree` an empty folder."""


class Installer:
    """Takes packages from their last fragment to their result."""

    def __init__(
        self,
        runner: Runner,
        trees: Trees,
        fetcher: Fetcher,
        clock: Clock,
        *,
        install_path: Path,
        max_exec_tries: int = 1,
    ) -> None:
        """Install with these tools.

        Args:
            runner: runs actions.
            trees: unpacks.
            fetcher: knows the digests of fragments.
            clock: tells the time.
            install_path: what INSTALL_PATH stands for.
            max_exec_tries: how often an action may be started whose end nobody knows.
        """
        self._runner = runner
        self._trees = trees
        self._fetcher = fetcher
        self._clock = clock
        self._install_path = install_path
        self._max_exec_tries = max_exec_tries

    def prepare(self, package: Package) -> None:
        """Join, check and unpack as far as it goes; a failure is the package's end."""
        try:
            if package.state is State.DOWNLOADING and package.next_missing() is None:
                package.apply(Event.LAST_FRAGMENT)
            if package.state is State.COMPLETE:
                gently(lambda: self._join(package))
            if package.state is State.VERIFIED:
                gently(lambda: self._unpack(package))
            if package.state is State.UNPACKED and not _tree(package).is_dir():
                self._lost(package, "its tree")
        except PackageError as error:
            package.fail(error, self._clock.now())

    def act(self, package: Package, settings: DownloadSettings) -> None:
        """Save the intent, then start the action."""
        info = package.info
        assert info is not None
        number = package.record.runs + 1
        tries = package.record.exec_tries + 1
        log.info("package %s: %s %r", package.id, info.action, info.target)
        folder = package.store.path(package.id, run_folder(number))
        minutes = info.execution_timeout_min
        job = Job(
            action=info.action,
            target=info.target,
            tree=_tree(package),
            install_path=self._install_path,
            timeout_s=60.0 * (settings.execution_timeout_min if minutes is None else minutes),
        )
        try:
            # Before the intent: then it proves later that nothing was run, if that is so.
            self._make_folder(package, folder)
            self._runner.prepare(job, folder)
            package.apply(Event.BEGIN, runs=number, exec_tries=tries, act_at=None)
            self._runner.start(job, folder)
        except PackageError as error:
            package.fail(error, self._clock.now())

    def attend(self, package: Package, timeout_s: float | None) -> bool:
        """Wait for the end of a running action and save what came of it.

        Args:
            package: one that is RUNNING, perhaps since before this agent was started.
            timeout_s: how long to wait; None for as long as it takes.

        Returns:
            Whether it has ended.
        """
        folder = self.run_folder(package)
        try:
            outcome = self._runner.wait(folder, timeout_s)
        except OutcomeUnknown as error:
            self._outcome_unknown(package, folder, error)
            return True
        if outcome is None:
            return False
        self._take_outcome(package, outcome)
        return True

    def output_of(self, package: Package) -> Outcome | None:
        """Return the outcome of the package's last run, None where there is none to read."""
        if not package.record.started:
            return None  # what lies there is of an earlier assignment
        try:
            return self._runner.outcome(self.run_folder(package))
        except OutcomeUnknown:
            return None

    def run_folder(self, package: Package) -> Path:
        """Return the folder of the package's last run."""
        return package.store.path(package.id, run_folder(package.record.runs))

    # Joining.

    def _join(self, package: Package) -> None:
        info = package.info
        assert info is not None
        if not info.fragments:
            package.apply(Event.CHECKED)
            return
        hasher = Hasher(_algorithms(info))
        try:
            with package.store.writing(package.id, PACKAGE_FILE) as joined:
                for number in range(1, info.fragments + 1):
                    for piece in _pieces(package, number):
                        hasher.update(piece)
                        joined.write(piece)
                wrong = _wrong_digest(info, hasher)
                if wrong:
                    raise _DigestDiffers(wrong)
        except _FragmentGone as error:
            self._lost(package, str(error))
        except _DigestDiffers as error:
            self._doubt(package, str(error))
        else:
            log.info("package %s: joined and checked, %s bytes", package.id, hasher.length)
            package.apply(Event.CHECKED)

    def _doubt(self, package: Package, wrong: str) -> None:
        """The joined package is not what info says: find the bad fragment, else ask info again."""
        bad = self._bad_fragments(package)
        for number in bad:
            package.store.remove_file(package.id, fragment_name(package.id, number))
        if bad:
            self._lost(package, f"fragment {', '.join(map(str, bad))}, as it was fetched,")
            return
        log.warning("package %s: %s; reading its info file again", package.id, wrong)
        package.save(replace(package.record, doubt=wrong, reread=True))

    def _bad_fragments(self, package: Package) -> list[int]:
        """Return the numbers of fragments that changed on the disk, where a list tells."""
        listed = self._fetcher.digests(package)
        bad = []
        for number, wanted in enumerate(listed.digests if listed else (), 1):
            if _sha256(package, number) != wanted:
                bad.append(number)
        return bad

    def _lost(self, package: Package, what: str) -> None:
        """Something of the package is not on the disk any more: fetch it again, up to a point."""
        log.warning("package %s: %s is not on the disk any more; fetching it", package.id, what)
        package.look_again()
        faults, over = count_fault(package.record.faults, PACKAGE_FILE, wrong_bytes=False)
        if over:
            raise JoinFailed(
                f"the disk lost parts of the package {faults[PACKAGE_FILE].count} times",
                "Look at the disk",
            )
        package.apply(Event.LOST, faults=faults)

    # Unpacking.

    def _unpack(self, package: Package) -> None:
        info = package.info
        assert info is not None
        archive = package.store.path(package.id, PACKAGE_FILE)
        if not info.fragments:
            self._trees.empty_tree(_tree(package))
        elif not archive.exists():
            self._lost(package, "the joined package")
            return
        else:
            package.store.remove_fragments(package.id)  # they are in the package; the disk is small
            package.look_again()
            self._trees.unpack(archive, _tree(package))
        package.apply(Event.TREE_READY)
        package.store.remove_file(package.id, PACKAGE_FILE)

    # Outcomes.

    def _make_folder(self, package: Package, folder: Path) -> None:
        try:
            package.store.disk.make_folder(folder)
        except OSError as error:
            raise ActionFailed(
                f"'{folder}' cannot be made, so nothing was run: {error.strerror}",
                "Look at the disk and assign the package again",
            ) from error

    def _outcome_unknown(self, package: Package, folder: Path, error: OutcomeUnknown) -> None:
        """The runner is gone and left nothing that can be read."""
        begun = not self._runner.withdraw(folder)
        meaning = on_reload(
            package.state,
            begun=begun,
            repeatable=_is_repeatable(package),
            tries=package.record.exec_tries,
            max_tries=self._max_exec_tries,
        )
        if meaning is not Reload.AGAIN:
            package.fail(error, self._clock.now())
        elif begun:
            log.warning("package %s: %s; once more", package.id, error.message)
            package.apply(Event.AGAIN)
        else:
            self._not_begun(package)

    def _not_begun(self, package: Package) -> None:
        """Agent or runner ended before anything was run: once more, up to a point."""
        log.warning("package %s: nothing was run before agent or runner ended", package.id)
        faults, over = count_fault(package.record.faults, RUNNER, wrong_bytes=False)
        if over:
            count = faults[RUNNER].count
            error = ActionFailed(
                f"the agent or its runner ended {count} times before the action began",
                "Look at the computer's log for what ends them, and at the agent's installation",
            )
            package.fail(error, self._clock.now())
        else:
            package.apply(Event.AGAIN, exec_tries=package.record.exec_tries - 1, faults=faults)

    def _take_outcome(self, package: Package, outcome: Outcome) -> None:
        verdict = judge(outcome, _exit_codes(package.info), windows=os.name == "nt")
        result = Result(verdict.code, outcome.ended_at, outcome.exit_code, outcome.error)
        started = outcome.started or package.record.started
        if not verdict.retry:
            info = package.info
            if outcome.started and info is not None and info.done_text is not None:
                log.info("package %s: %s, to be confirmed by a user", package.id, result.code)
                package.apply(Event.ASK_DONE, result=result, started=True, ask_at=None)
            else:
                package.end(result, started=started)
            return
        retries = package.record.retries + 1
        act_at = self._clock.now() + retry_code_delay(retries)
        log.info(
            "package %s: ended with the retry code %s; next try at %s",
            *(package.id, outcome.exit_code, act_at.astimezone()),
        )
        package.apply(
            Event.AGAIN,
            started=started,
            exec_tries=package.record.exec_tries - 1,
            faults=without_fault(package.record.faults, RUNNER),
            retries=retries,
            retry_result=result,
            act_at=act_at,
        )


def _is_repeatable(package: Package) -> bool:
    """Whether the action may run again whatever became of it; not for ever, though."""
    info = package.info
    is_store = info is not None and info.action is Action.STORE
    return is_store and package.record.exec_tries < STORE_TRIES_MAX


def _tree(package: Package) -> Path:
    return package.store.path(package.id, TREE)


class _Stop(Exception):
    """Joining cannot go on; carries what to say."""


class _FragmentGone(_Stop):
    """A fragment is not on the disk any more."""


class _DigestDiffers(_Stop):
    """The joined package is not what the info file says."""


def _pieces(package: Package, number: int) -> Iterator[bytes]:
    """Yield the bytes of a fragment on the disk.

    Raises:
        _FragmentGone: it is not there.
        JoinFailed: it cannot be read.
    """
    path = package.store.path(package.id, fragment_name(package.id, number))
    try:
        with path.open("rb") as fragment:
            while piece := fragment.read(PIECE):
                yield piece
    except FileNotFoundError:
        raise _FragmentGone(f"fragment {number}") from None
    except OSError as error:
        raise JoinFailed(
            f"fragment {number} cannot be read: {error.strerror}", "Look at the disk"
        ) from error


def _sha256(package: Package, number: int) -> bytes:
    """Return the SHA-256 of a fragment on the disk, b'' where it is gone."""
    found = hashlib.sha256()
    try:
        for piece in _pieces(package, number):
            found.update(piece)
    except _FragmentGone:
        return b""
    return found.digest()


def _algorithms(info: InfoFile) -> list[DigestAlgorithm]:
    algorithms = [info.digest.algorithm] if info.digest else []
    return [*algorithms, DigestAlgorithm.SHA256] if info.sha256 else algorithms


def _wrong_digest(info: InfoFile, hasher: Hasher) -> str:
    """Return what is wrong with a joined package, '' when nothing is."""
    if info.sha256 is not None and hasher.raw(DigestAlgorithm.SHA256) != info.sha256:
        return "the joined package has another SHA-256 than X_SHA256 says"
    if info.digest is not None and not info.digest.matches(hasher.raw(info.digest.algorithm)):
        return f"the joined package has another {info.digest.algorithm} than DIGEST says"
    return ""


def _exit_codes(info: InfoFile | None) -> ExitCodes:
    if info is None:
        return ExitCodes()
    return ExitCodes(info.success_codes, info.reboot_codes, info.retry_codes)

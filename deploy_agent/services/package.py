"""One package in hand: its record, saved at every change, its info file and what it has of itself.

Every method leaves the disk so that a kill right after it, or anywhere within it, loses nothing
and repeats nothing but harmless work.
"""

import hashlib
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from deploy_agent.domain import policy
from deploy_agent.domain.errors import (
    BadDigest,
    CleanFailed,
    DefiniteError,
    OutOfSpace,
    PackageError,
    TransientError,
    WrongBytes,
)
from deploy_agent.domain.record import PackageRecord, Result
from deploy_agent.domain.state import Event, State
from deploy_agent.machine.store import PackageStore
from deploy_agent.services.observing import NOBODY, Observer
from deploy_agent.wire.errors import WireError
from deploy_agent.wire.fragment import INFO_FILE
from deploy_agent.wire.info import InfoFile, parse_info

log = logging.getLogger(__name__)


class Package:
    """A package on this computer.

    Attributes:
        record: as it is saved.
        silences: fetches in a row without an answer, in the life of this process.
    """

    def __init__(
        self, store: PackageStore, record: PackageRecord, observer: Observer = NOBODY
    ) -> None:
        self.store = store
        self.record = record
        self._observer = observer
        self.silences = 0
        self._info: InfoFile | None = None
        self._refused: bytes | None = None  # what was found in the info file's place, and is none
        self._present: set[int] | None = None
        self._next = 1

    @classmethod
    def begin(
        cls, store: PackageStore, record: PackageRecord, observer: Observer = NOBODY
    ) -> "Package":
        """Return a package whose record is saved for the first time."""
        package = cls(store, record, observer)
        store.save(record)
        observer.changed(package, None)
        return package

    @property
    def id(self) -> str:
        """The package's id."""
        return self.record.package_id

    @property
    def state(self) -> State:
        """Where it stands."""
        return self.record.state

    @property
    def info(self) -> InfoFile | None:
        """What its info file says; None while there is none that can be read and was served."""
        if self._info is None:
            data = self.store.read_file(self.id, INFO_FILE)
            if data is not None and data != self._refused:
                self._info = self._understood(data)
                self._refused = data if self._info is None else None
        return self._info

    def _understood(self, data: bytes) -> InfoFile | None:
        if self.record.info_sha256 not in ("", _sha256(data)):
            log.warning("package %s: its info file was changed on the disk; fetching it", self.id)
            return None
        try:
            return parse_info(data)
        except WireError as error:
            log.warning("package %s: its info file on disk is damaged: %s", self.id, error)
            return None

    @property
    def needs_info(self) -> bool:
        """Whether the info file has to be fetched."""
        acted = self.record.ended or self.state in (State.RUNNING, State.CONFIRMING)
        missing = not acted and self.info is None
        return self.record.needs_info or missing

    def apply(self, event: Event, **changes: Any) -> None:
        """Save what `event` makes of the package, with `changes`.

        Raises:
            StoreError: it is not saved.
        """
        self._keep(self.record.after(event, **changes))

    def save(self, record: PackageRecord) -> None:
        """Save `record`, unless it is the same."""
        if record != self.record:
            self._keep(record)

    def tell(self, reason: str) -> None:
        """Let the server know something of the package in its present state."""
        self._observer.told(self, reason)

    def _keep(self, record: PackageRecord) -> None:
        self.store.save(record)
        before, self.record = self.record, record
        self._observer.changed(self, before)

    def end(self, result: Result, **changes: Any) -> None:
        """Save how the package ended, with `changes`."""
        log.info(
            "package %s: ended with %s%s",
            *(self.id, result.code, f": {result.detail}" if result.detail else ""),
        )
        self.apply(Event.END, result=result, **changes)

    def fail(self, error: PackageError, now: datetime) -> None:
        """Save that `error` ended the package."""
        if isinstance(error, OutOfSpace):
            # First make room: on a full disk not even the result could be written.
            with suppress(CleanFailed):
                self.drop_content()
        self.end(Result(error.code, now, detail=str(error)))

    # Fragments.

    @property
    def missing(self) -> int:
        """How many fragments are not on the disk."""
        return self._count() - len(self._fragments())

    def next_missing(self) -> int | None:
        """Return the lowest number of a fragment that is not on the disk, None when all are."""
        present = self._fragments()
        while self._next in present:
            self._next += 1
        return self._next if self._next <= self._count() else None

    def has_fragment(self, number: int) -> None:
        """Note that fragment `number` is on the disk now."""
        self._fragments().add(number)
        self._observer.progressed(self)

    def look_again(self) -> None:
        """Forget what was known of the files on the disk."""
        self._present = None
        self._next = 1

    def drop_content(self) -> None:
        """Remove fragments, joined package and tree.

        Raises:
            CleanFailed: the tree cannot be removed.
        """
        self.look_again()
        self.store.remove_content(self.id)

    def _fragments(self) -> set[int]:
        if self._present is None:
            self._present = self.store.fragments(self.id, self._count())
        return self._present

    def _count(self) -> int:
        return self.info.fragments if self.info else 0

    # Fetching.

    def answered(self, name: str) -> None:
        """Note that file `name` came: what stood against it is over."""
        self.silences = 0
        record = self.record
        if name in record.faults or record.failures or record.problem:
            self.save(
                self._changed(
                    faults=policy.without_fault(record.faults, name),
                    failures=0,
                    retry_at=None,
                    problem="",
                )
            )

    def back_off(self, error: TransientError, now: datetime, delay_s: float) -> None:
        """Note that there was no answer, and try again no sooner than after `delay_s`."""
        self.silences += 1
        log.warning("package %s: %s; tried again in %.0f s", self.id, error, delay_s)
        self.save(
            self._changed(
                failures=self.record.failures + 1,
                retry_at=now + timedelta(seconds=delay_s),
                problem=error.message,
            )
        )

    def refuse(
        self,
        name: str,
        error: DefiniteError,
        ending: type[PackageError],
        now: datetime,
        *,
        rests: bool = False,
    ) -> None:
        """Count a definite answer for file `name`; the fifth in a row ends the package.

        Args:
            name: of the file.
            error: the answer.
            ending: the end that it leads to.
            now: UTC.
            rests: leave the file alone for a while.
        """
        self.silences = 0
        wrong = isinstance(error, WrongBytes)
        faults, over = policy.count_fault(self.record.faults, name, wrong_bytes=wrong)
        tries = faults[name].count
        log.warning("package %s: %s (%s of %s)", self.id, error, tries, policy.FAULTS_MAX)
        if over:
            if wrong and name != INFO_FILE:
                ending = BadDigest
            self.fail(ending(f"{tries} times in a row: {error.message}", error.hint), now)
            return
        rest = timedelta(seconds=policy.refused_rest_s(tries)) if rests else None
        self.save(
            self._changed(
                faults=faults,
                failures=0,
                retry_at=None if rest is None else now + rest,
                problem=error.message,
            )
        )

    # Info.

    def take_info(self, data: bytes, info: InfoFile, now: datetime) -> None:
        """Keep a good info file that was just fetched, and go on by it.

        Raises:
            CleanFailed: what was made of an older one cannot be removed.
            OutOfSpace, StoreError: it cannot be kept.
        """
        self.answered(INFO_FILE)
        known = self.store.read_file(self.id, INFO_FILE)
        served = _sha256(data)
        if self.state is not State.OFFERED:
            if data == known or served == self.record.info_sha256:
                if data != known:  # it was changed on the disk, or is gone from there
                    self.store.save_file(self.id, INFO_FILE, data)
                self._info = info
                self.look_again()
                self._confirmed(now)
                return
            log.info("package %s: it was edited; starting over", self.id)
            # From here on a kill finds a package that has to read its info, and nothing else.
            self.apply(
                Event.REVISED,
                reread=False,
                doubt="",
                fresh=True,
                faults={},
                exec_tries=0,
                retries=0,
                retry_result=None,
                act_at=None,
                started=False,
                ask_at=None,
                consented=False,
            )
        if known is None or data != known:
            if not self._same_content(info):
                self.drop_content()
            self.store.save_file(self.id, INFO_FILE, data)
        self._info = info
        self.look_again()
        log.info("package %s: info file read, %s", self.id, _summary(info))
        self.apply(
            Event.INFO_READ if info.fragments else Event.INFO_READ_NO_FILE,
            info_sha256=served,
            reread=False,
            doubt="",
        )

    def _confirmed(self, now: datetime) -> None:
        """The server's info file is the one on the disk."""
        if self.record.doubt:
            self.fail(BadDigest(self.record.doubt), now)
        else:
            self.save(self._changed(reread=False))

    def _same_content(self, info: InfoFile) -> bool:
        """Whether fragments of the info file on disk are good for `info` too."""
        old = self.info
        return (
            old is not None
            and info.fragments_sha256 is not None
            and (old.fragments, old.fragments_sha256) == (info.fragments, info.fragments_sha256)
        )

    def _changed(self, **changes: Any) -> PackageRecord:
        return replace(self.record, **changes)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _summary(info: InfoFile) -> str:
    what = f"{info.action} {info.target!r}, priority {info.priority}"
    return f"{what}, {info.fragments} fragments" if info.fragments else what

"""Fetches one info file or one fragment, checks it on arrival, and counts what went wrong."""

import hashlib
import logging
import random
import shutil
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import BinaryIO

from deploy_agent.domain import policy
from deploy_agent.domain.errors import (
    BadDigest,
    BadInfo,
    BadPackageId,
    DefiniteError,
    FragmentsUnavailable,
    InfoUnavailable,
    NoCommand,
    OutOfSpace,
    PackageError,
    ServerUnreachable,
    TooLong,
    TooSlow,
    TransientError,
    WrongBytes,
)
from deploy_agent.domain.plan import Moved
from deploy_agent.machine.clock import Clock
from deploy_agent.machine.transport import Sink, Transport
from deploy_agent.services.ahead import BIGGEST, Fetched, ReadAhead
from deploy_agent.services.package import Package
from deploy_agent.wire import terms
from deploy_agent.wire.errors import FieldError, WireError
from deploy_agent.wire.fragment import FRAGMENTS_FILE, INFO_FILE, FragmentList, fragment_name
from deploy_agent.wire.info import InfoFile, parse_info

LISTS_KEPT = 4  # lists of digests in memory; one of a big package has megabytes
SPACE_FACTOR = 2  # joined package and tree, beside the fragments; each as big as the archive

log = logging.getLogger(__name__)


class Fetcher:
    """Brings files of packages to this computer."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        *,
        wait: bool = True,
        jitter: Callable[[], float] = random.random,
        in_a_hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        """Fetch through `transport`.

        Args:
            transport: the network.
            clock: tells the time.
            wait: leave a silent server alone for a while; False tries again at once.
            jitter: numbers from 0 to 1.
            in_a_hurry: whether no pause is wanted between two fragments.
        """
        self._transport = transport
        self._clock = clock
        self._wait = wait
        self._jitter = jitter
        self._in_a_hurry = in_a_hurry
        self._ahead = ReadAhead(transport)
        self._silent: dict[str, tuple[TransientError, datetime]] = {}
        self._lists: OrderedDict[str, tuple[bytes, FragmentList]] = OrderedDict()

    def fetch_info(self, package: Package) -> None:
        """Try once to fetch the package's info file, and go on by it where it came."""
        record = package.record
        url = f"{_central(package)}/{INFO_FILE}"
        no_cache = record.reread or record.fresh or _was_wrong(package, INFO_FILE)
        try:
            self._spare_the_silent(url)
            data = self._transport.read(url, limit=terms.INFO_MAX, no_cache=no_cache)
            package.take_info(data, _read_info(data, package.id), self._clock.now())
        except TransientError as error:
            self._back_off(package, url, error)
        except DefiniteError as error:
            if record.doubt:  # nobody says otherwise, so what the digest said stands
                package.fail(BadDigest(record.doubt), self._clock.now())
            else:
                now = self._clock.now()
                package.refuse(INFO_FILE, error, InfoUnavailable, now, rests=self._wait)
        except PackageError as error:
            package.fail(error, self._clock.now())

    def fetch_fragment(self, package: Package, number: int) -> Moved:
        """Try once to fetch fragment `number`, and before the first one the list of digests."""
        name = fragment_name(package.id, number)
        url = f"{_near(package)}/{name}"
        try:
            self._spare_the_silent(url)
            self._check_space(package)
            listed = self._digest_of(package, number)
            self._receive(package, url, number, listed)
        except TransientError as error:
            self._back_off(package, url, error)
        except _ListRefused as refusal:
            now = self._clock.now()
            package.refuse(FRAGMENTS_FILE, refusal.error, FragmentsUnavailable, now)
        except DefiniteError as error:
            package.refuse(name, error, FragmentsUnavailable, self._clock.now())
        except PackageError as error:
            package.fail(error, self._clock.now())
        else:
            package.has_fragment(number)
            package.answered(name)
            log.info("package %s: fragment %s of %s", package.id, number, _info(package).fragments)
            return Moved(used_network=True)
        return Moved(used_network=True, failed=True)

    def digests(self, package: Package) -> FragmentList | None:
        """Return the package's list of digests as it is on the disk, None where there is none."""
        wanted = _info(package).fragments_sha256
        if wanted is None:
            return None
        kept = self._lists.get(package.id)
        if kept is not None and kept[0] == wanted:
            self._lists.move_to_end(package.id)
            return kept[1]
        data = package.store.read_file(package.id, FRAGMENTS_FILE)
        if data is None or hashlib.sha256(data).digest() != wanted:
            return None
        return self._keep(package, wanted, data)

    def _back_off(self, package: Package, url: str, error: TransientError) -> None:
        now, delay = self._clock.now(), 0.0
        if self._wait:
            failures = package.record.failures + 1
            delay = policy.backoff_s(failures, self._jitter(), error.retry_after_s)
            # Nobody there, or somebody who asks to be left alone: that goes for every package.
            asked = error.retry_after_s is not None
            if asked or isinstance(error, (ServerUnreachable, TooSlow)):
                self._silent.setdefault(_host(url), (error, now + timedelta(seconds=delay)))
        package.back_off(error, now, delay)

    def _spare_the_silent(self, url: str) -> None:
        """Let no other package wait for a host that does not answer anyway.

        Raises:
            TransientError: it was silent a moment ago.
        """
        error, until = self._silent.get(_host(url), (None, None))
        if error is None or until is None:
            return
        if policy.is_pause(until, self._clock.now(), policy.RETRY_AFTER_MAX_S):
            raise error
        del self._silent[_host(url)]

    def _receive(self, package: Package, url: str, number: int, listed: bytes | None) -> None:
        name = fragment_name(package.id, number)
        size = _info(package).fragment_size
        if size is not None and size <= BIGGEST and self._in_a_hurry():
            self._receive_in_a_hurry(package, number, listed, size)
            return
        no_cache = package.record.fresh or _was_wrong(package, name)
        with package.store.writing(package.id, name) as file:
            sink = _HashingSink(file)
            length = self._fetch(package, url, sink, no_cache=no_cache)
            _check(package, number, listed, sink.digest(), length)

    def _receive_in_a_hurry(
        self, package: Package, number: int, listed: bytes | None, size: int
    ) -> None:
        """Fetch a fragment into memory, and write it while the next one comes."""
        name = fragment_name(package.id, number)
        url = f"{_near(package)}/{name}"
        no_cache = package.record.fresh or _was_wrong(package, name)
        fetched = None if no_cache else self._ahead.take((url, _info(package)))
        if fetched is None:
            self._ahead.drop()
            fetched = Fetched()
            self._transport.fetch(url, fetched, limit=size, no_cache=no_cache)
        _check(package, number, listed, fetched.digest(), fetched.length)
        self._begin_next(package, number + 1, size)
        with package.store.writing(package.id, name) as file:
            for piece in fetched.pieces:
                file.write(piece)

    def _begin_next(self, package: Package, number: int, size: int) -> None:
        info, name = _info(package), fragment_name(package.id, number)
        known = number > info.fragments or package.store.path(package.id, name).exists()
        if not known and not package.record.fresh and not _was_wrong(package, name):
            url = f"{_near(package)}/{name}"
            self._ahead.begin((url, info), url, size)

    def _fetch(self, package: Package, url: str, sink: Sink, *, no_cache: bool) -> int:
        size = _info(package).fragment_size
        if size is not None:
            return self._transport.fetch(url, sink, limit=size, no_cache=no_cache)
        # Nobody says how long it may be; once fetched it has to be joined, so it needs room twice.
        limit = shutil.disk_usage(package.store.folder(package.id)).free // 2
        try:
            return self._transport.fetch(url, sink, limit=limit, no_cache=no_cache)
        except TooLong as error:
            raise OutOfSpace(
                f"there is no room for it: {error.message}",
                "Free some space and assign the package again",
            ) from error

    def _digest_of(self, package: Package, number: int) -> bytes | None:
        """Return what the list says about a fragment, None where the package has no list.

        Raises:
            TransientError, _ListRefused: the list is not here and did not come.
        """
        if _info(package).fragments_sha256 is None:
            return None
        digests = self.digests(package) or self._fetch_list(package)
        return digests.digests[number - 1]

    def _fetch_list(self, package: Package) -> FragmentList:
        """Fetch the list of digests beside the fragments, else beside the info file."""
        near = f"{_near(package)}/{FRAGMENTS_FILE}"
        central = f"{_central(package)}/{FRAGMENTS_FILE}"
        silent: TransientError | None = None
        refused: DefiniteError | None = None
        for url in dict.fromkeys((near, central)):
            try:
                return self._read_list(package, url)
            except TransientError as error:
                silent = silent or error
            except DefiniteError as error:
                refused = error
        if silent is not None:  # a count runs only where both places have answered
            raise silent
        assert refused is not None
        raise _ListRefused(refused)

    def _read_list(self, package: Package, url: str) -> FragmentList:
        wanted = _info(package).fragments_sha256
        assert wanted is not None
        no_cache = package.record.fresh or _was_wrong(package, FRAGMENTS_FILE)
        data = self._transport.read(url, limit=terms.FRAGMENTS_LIST_MAX, no_cache=no_cache)
        if hashlib.sha256(data).digest() != wanted:
            raise WrongBytes(f"{url} is not what the info file says: its SHA-256 differs")
        digests = self._keep(package, wanted, data)
        if digests is None:
            raise WrongBytes(f"{url} does not list the package's fragments")
        package.store.save_file(package.id, FRAGMENTS_FILE, data)
        package.answered(FRAGMENTS_FILE)
        return digests

    def _keep(self, package: Package, wanted: bytes, data: bytes) -> FragmentList | None:
        try:
            digests = FragmentList.parse(data, package.id, _info(package).fragments)
        except FieldError as error:
            log.warning("package %s: %s", package.id, error)
            return None
        self._lists[package.id] = (wanted, digests)
        if len(self._lists) > LISTS_KEPT:
            self._lists.popitem(last=False)
        return digests

    def _check_space(self, package: Package) -> None:
        """Refuse a package that cannot fit, before it has filled the disk."""
        info = _info(package)
        size = info.fragment_size or _size_of_first(package)
        needed = size * (package.missing + SPACE_FACTOR * info.fragments)
        free = shutil.disk_usage(package.store.folder(package.id)).free
        if needed > free:
            raise OutOfSpace(
                f"the package needs {needed:,} bytes, the disk has {free:,} left",
                "Free some space and assign the package again",
            )


class _ListRefused(Exception):
    """The list of digests was definitely refused, in every place."""

    def __init__(self, error: DefiniteError) -> None:
        super().__init__(str(error))
        self.error = error


class _HashingSink:
    """Passes a stream on and hashes it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, piece: bytes) -> int:
        self._hash.update(piece)
        return self._file.write(piece)

    def digest(self) -> bytes:
        return self._hash.digest()


def _info(package: Package) -> InfoFile:
    info = package.info
    assert info is not None, "a package moves only with its info file"
    return info


def _central(package: Package) -> str:
    """Return where the info file is."""
    return f"https://{package.record.offer.info_loc}/{package.id}"


def _near(package: Package) -> str:
    """Return where the fragments are."""
    return f"{_info(package).protocol.lower()}://{package.record.offer.pack_loc}/{package.id}"


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _was_wrong(package: Package, name: str) -> bool:
    fault = package.record.faults.get(name)
    return fault is not None and fault.wrong_bytes


def _read_info(data: bytes, package_id: str) -> InfoFile:
    """Read an info file.

    Raises:
        WrongBytes: it is none; another try may bring it.
        BadPackageId, NoCommand, BadInfo: it is one, and this package cannot be.
    """
    try:
        info = parse_info(data)
    except FieldError as error:
        if error.field in ("NAME", "COMMAND"):
            raise NoCommand(f"the info file: {error}", "Build the package again") from error
        raise BadInfo(
            f"the info file: {error}", field=error.field, hint="Build the package again"
        ) from error
    except WireError as error:
        raise WrongBytes(f"what came as the info file is none: {error}") from error
    if info.package_id != package_id:
        raise BadPackageId(
            f"the info file is that of package {info.package_id}",
            "Look at the activation's address and at the folder there",
        )
    return info


def _check(package: Package, number: int, listed: bytes | None, digest: bytes, length: int) -> None:
    """Refuse a fragment that is not what it should be.

    Raises:
        WrongBytes: it is another.
    """
    info = _info(package)
    url = f"{_near(package)}/{fragment_name(package.id, number)}"
    if listed is not None and digest != listed:
        raise WrongBytes(f"{url} is not what {FRAGMENTS_FILE} says: its SHA-256 differs")
    if length == 0:
        raise WrongBytes(f"{url} is empty")
    whole = info.fragment_size is not None and number < info.fragments
    if whole and length != info.fragment_size:
        raise WrongBytes(f"{url} has {length} bytes instead of {info.fragment_size}")


def _size_of_first(package: Package) -> int:
    """Return the length of the first fragment, where servers do not say how long they are."""
    try:
        return package.store.path(package.id, fragment_name(package.id, 1)).stat().st_size
    except OSError:
        return 0

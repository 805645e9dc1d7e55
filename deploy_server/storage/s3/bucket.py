"""The objects of a bucket, below our prefix: read, written, listed, copied, removed.

The only module that knows the library. Credentials come as it finds them: from AWS_* variables of
the environment, else from the role of the machine.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import StorageError
from deploy_server.storage.s3.trouble import BucketAway, names_no_object, trouble

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Store

#: After how many seconds a store that does not answer is asked again, by one; until it answers that
#: one everybody hears at once that it is away. Else those who wait would use up the threads that
#: agents and people need for other things.
AWAY_S = 2.0

#: For how many seconds nobody else asks meanwhile.
_ASKING_S = 60.0

_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long a store is waited for, in seconds.

    Attributes:
        connect: until it takes a connection.
        read: until something comes, again and again.
        request: until everything is there.
        retry: from the first try to the last.
    """

    connect: float
    read: float
    request: float
    retry: float


#: For pieces of files: megabytes, on any line.
LONG = Patience(connect=4, read=20, request=60, retry=12)

#: For what is a few bytes, and what everything begins with: so it is soon known that a store hangs.
#: No try begins when the first one waited that long.
SHORT = Patience(connect=3, read=5, request=5, retry=3)


class NoObject(Exception):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing shows it.

    Attributes:
        name: below our prefix.
        size: bytes.
        modified: when it was written, by the store's clock.
    """

    name: str
    size: int
    modified: datetime


class Bucket:
    """A place in a bucket. Every method may raise StorageError.

    Args:
        address: where it is.
        clock: seconds that only grow.
    """

    def __init__(self, address: BucketAddress, clock: Callable[[], float] = time.monotonic) -> None:
        self.address = address
        self._clock = clock
        self._opened: dict[Patience, S3Store] = {}
        self._lock = threading.Lock()
        self._away: BucketAway | None = None
        self._ask_at = 0.0

    def get(self, name: str) -> bytes:
        """Return an object of a few bytes; who does not send it soon is away.

        Raises:
            NoObject: there is none.
        """
        with self._errors(f"{name} cannot be read", SHORT) as store:
            return bytes(store.get(name).bytes())

    def get_range(self, name: str, start: int, length: int) -> tuple[bytes, int]:
        """Return bytes of an object that is not empty, and how many it has.

        Args:
            name: below our prefix.
            start: the first of them; inside the object.
            length: how many; fewer come where it ends.

        Raises:
            NoObject: there is none.
        """
        with self._errors(f"{name} cannot be read") as store:
            found = store.get(name, options={"range": (start, start + length)})
            data = bytes(found.bytes())
            size = int(found.meta["size"])
        if len(data) != min(length, size - start):
            raise StorageError(f"{name} cannot be read: it came cut short", "Try again")
        return data, size

    def put(self, name: str, data: bytes) -> None:
        """Make an object be exactly `data`; others see the old one or this one."""
        with self._errors(f"{name} cannot be written") as store:
            store.put(name, data, use_multipart=False)

    def copy(self, name: str, to: str) -> None:
        """Make another object of the same bytes, without fetching them.

        Raises:
            NoObject: there is none.
        """
        with self._errors(f"{name} cannot be copied") as store:
            store.copy(name, to)

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""
        if names:
            with self._errors("objects cannot be removed") as store:
                store.delete([*names])

    def listed(self, folder: str) -> Iterator[ObjectInfo]:
        """Yield everything below a folder, by name."""
        with self._errors(f"{folder} cannot be listed") as store:
            for page in store.list(folder):
                for each in page:
                    yield ObjectInfo(each["path"], each["size"], each["last_modified"])

    def folders(self, folder: str) -> list[str]:
        """Return the last parts of the names of the folders in a folder."""
        with self._errors(f"{folder} cannot be listed") as store:
            found: Iterable[str] = store.list_with_delimiter(folder)["common_prefixes"]
            return sorted(each.rstrip("/").rpartition("/")[2] for each in found)

    def check(self) -> None:
        """Return when it answers."""
        with self._errors("packages cannot be looked at", SHORT) as store:
            store.list_with_delimiter("check")

    @contextmanager
    def _errors(self, what: str, patience: Patience = LONG) -> Iterator["S3Store"]:
        self._refuse_while_away()
        store = self._store(patience)
        from obstore.exceptions import BaseError

        try:
            yield store
        except (BaseError, OSError) as error:
            if names_no_object(error):
                self._away = None
                raise NoObject(str(error).split("\n", 1)[0]) from error
            wrong = trouble(what, self.address, error)
            self._away = wrong if isinstance(wrong, BucketAway) else None
            self._ask_at = self._clock() + AWAY_S
            raise wrong from error
        self._away = None

    def _refuse_while_away(self) -> None:
        """Return when it may be asked: where it did not answer, by one at a time."""
        with self._lock:
            if (away := self._away) is None:
                return
            if self._clock() >= self._ask_at:
                self._ask_at = self._clock() + _ASKING_S
                return
        raise BucketAway(away.bucket, away.hint)

    def _store(self, patience: Patience) -> "S3Store":
        """Return the library's object, made on first use.

        It works with threads, which do not survive a fork: a parent of workers must not use it.
        """
        if patience not in self._opened:
            self._opened[patience] = _open(self.address, patience)
        return self._opened[patience]


def _open(address: BucketAddress, patience: Patience) -> "S3Store":
    try:
        # Only here, because it takes 15 MB, and who keeps packages on a disk need not have it.
        from obstore.store import S3Store
    except ImportError:
        raise StorageError(
            "the library for packages in S3 is not installed",
            "Install tranche with its extra s3: pip install 'tranche[server,s3]'",
        ) from None
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=patience.connect),
        "read_timeout": timedelta(seconds=patience.read),
        "timeout": timedelta(seconds=patience.request),
        "allow_http": address.endpoint.startswith("http://"),
    }
    if address.ca:
        client["root_certificate"] = _read(address.ca)
    config: S3Config = {}
    if address.endpoint:
        config["endpoint"] = address.endpoint
    if address.region:
        config["region"] = address.region
    return S3Store(
        address.bucket,
        prefix=address.prefix or None,
        config=config,
        client_options=client,
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=patience.retry),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        },
    )


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise StorageError(
            f"the certificate {file} cannot be read: {error.strerror}",
            "Correct ca in packages in server.toml",
        ) from error

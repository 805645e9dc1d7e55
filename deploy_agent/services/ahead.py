"""Fetches the next fragment while the present one is being written and synced.

Only where nobody wants a pause between two: it keeps network and disk busy at the same time, and
takes the memory of one fragment. What came is as good or bad as if it had been fetched a moment
later; whoever takes it checks it, and whoever does not come for it loses nothing.
"""

import hashlib
import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass, field

from deploy_agent.machine.transport import Transport

BIGGEST = 4 * 1024 * 1024  # bytes of a fragment that is kept in memory
FRESH_S = 30.0  # an older answer may not be the server's any more


@dataclass
class Fetched:
    """A fragment in memory, hashed as it came: a Sink.

    Attributes:
        pieces: its bytes.
        length: how many.
    """

    pieces: list[bytes] = field(default_factory=list)
    length: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, piece: bytes) -> int:
        """Take the next piece."""
        self._hash.update(piece)
        self.pieces.append(piece)
        self.length += len(piece)
        return len(piece)

    def digest(self) -> bytes:
        """Return the SHA-256."""
        return self._hash.digest()


class ReadAhead:
    """At most one fragment that was fetched before its turn."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._thread: threading.Thread | None = None
        self._key: Hashable = None
        self._fetched: Fetched | None = None
        self._error: BaseException | None = None
        self._came = 0.0

    def begin(self, key: Hashable, url: str, limit: int) -> None:
        """Begin to fetch `url`, of at most `limit` bytes; what came before is forgotten."""
        self.drop()
        self._key = key
        # Nothing waits for it where the process ends: it has written nothing.
        self._thread = threading.Thread(
            target=self._fetch, args=(url, limit), name="ahead", daemon=True
        )
        self._thread.start()

    def take(self, key: Hashable) -> Fetched | None:
        """Return what was begun for `key`, None where that is nothing or too old.

        Raises:
            TransientError, DefiniteError: why it did not come.
        """
        if self._thread is None or self._key != key:
            return None
        self._thread.join()
        fetched, error = self._fetched, self._error
        fresh = time.monotonic() - self._came < FRESH_S
        self.drop()
        if not fresh:
            return None
        if error is not None:
            raise error
        return fetched

    def drop(self) -> None:
        """Forget what was begun; the network is nobody's then."""
        if self._thread is not None:
            self._thread.join()
        self._thread = self._key = self._fetched = self._error = None

    def _fetch(self, url: str, limit: int) -> None:
        fetched = Fetched()
        try:
            self._transport.fetch(url, fetched, limit=limit)
            self._fetched = fetched
        except BaseException as error:  # whatever it is, it is for whoever comes for the fragment
            self._error = error
        finally:
            self._came = time.monotonic()

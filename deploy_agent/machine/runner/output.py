"""The end of what an action writes, in bounded memory."""

from threading import Lock

OUTPUT_MAX = 64 * 1024  # bytes that are kept


class Tail:
    """Keeps the last `OUTPUT_MAX` bytes of a stream; safe between two threads."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._truncated = False
        self._lock = Lock()

    def add(self, piece: bytes) -> None:
        """Append `piece`; the oldest bytes go."""
        with self._lock:
            self._kept += piece
            surplus = len(self._kept) - OUTPUT_MAX
            if surplus > 0:
                del self._kept[:surplus]
                self._truncated = True

    def text(self) -> tuple[str, bool]:
        """Return what was kept, and whether there was more.

        Bytes that are no UTF-8 become U+FFFD; a character that the cut went through goes.
        """
        with self._lock:
            kept, truncated = bytes(self._kept), self._truncated
        if truncated:
            start = next((i for i in range(min(4, len(kept))) if kept[i] & 0xC0 != 0x80), 0)
            kept = kept[start:]
        return kept.decode(errors="replace"), truncated

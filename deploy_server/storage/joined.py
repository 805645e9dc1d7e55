"""The fragments of a package as one file that can be read and searched through."""

import io
from collections.abc import Callable
from typing import BinaryIO

from deploy_agent.wire.fragment import FragmentPlan, fragment_name
from deploy_server.domain.errors import NotFound, StorageError
from deploy_server.storage.disk import storage_errors

_BUFFER = 256 * 1024  # bytes


#: Opens a file of a package by its name; raises FileNotFoundError where there is none.
OpenFile = Callable[[str], BinaryIO]


def open_joined(open_file: OpenFile, package_id: str, plan: FragmentPlan) -> io.BufferedReader:
    """Return the fragments of a package joined; one of them is open at a time."""
    return io.BufferedReader(_Joined(open_file, package_id, plan), _BUFFER)


class _Joined(io.RawIOBase):
    """Reads from the fragment that the position lies in."""

    def __init__(self, open_file: OpenFile, package_id: str, plan: FragmentPlan) -> None:
        self._open_file = open_file
        self._package_id = package_id
        self._plan = plan
        self._position = 0
        self._open: BinaryIO | None = None
        self._number = 0  # of the open fragment

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._plan.size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._position >= self._plan.size:
            return 0
        before, offset = divmod(self._position, self._plan.fragment_size)
        wanted = min(len(buffer), self._plan.length(before + 1) - offset)
        with storage_errors(f"fragment {before + 1} of package {self._package_id} cannot be read"):
            file = self._fragment(before + 1)
            file.seek(offset)
            count: int = file.readinto(memoryview(buffer)[:wanted])  # type: ignore[attr-defined]
        if count == 0:
            raise StorageError(
                f"fragment {before + 1} of package {self._package_id} is cut short",
                "Build the package again",
            )
        self._position += count
        return count

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
        super().close()

    def _fragment(self, number: int) -> BinaryIO:
        if self._open is None or self._number != number:
            if self._open is not None:
                self._open.close()
                self._open = None
            name = fragment_name(self._package_id, number)
            try:
                self._open = self._open_file(name)
            except FileNotFoundError:
                raise NotFound(f"package {self._package_id} has no file {name}") from None
            self._number = number
        return self._open

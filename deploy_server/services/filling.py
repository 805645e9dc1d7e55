"""Fills a package's folder with its file: checked, wrapped where wanted, cut, described."""

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import BinaryIO

from deploy_agent.wire.digest import DigestAlgorithm
from deploy_agent.wire.fragment import INFO_FILE
from deploy_agent.wire.info import InfoFile, write_info
from deploy_agent.wire.terms import Action
from deploy_server.domain.archive import (
    HEAD,
    Contents,
    Kind,
    TarCheck,
    accept,
    accept_single,
    check_zip,
)
from deploy_server.domain.archive.contents import EntryKind
from deploy_server.domain.archive.wrap import wrap
from deploy_server.domain.errors import StorageError
from deploy_server.domain.layout import Content, fragment_size, needs_length, package_name
from deploy_server.domain.package import launch_name
from deploy_server.domain.spec import NAME_MAX, PackageSpec
from deploy_server.services.cutting import cut
from deploy_server.services.intake import PIECE, Intake
from deploy_server.storage.disk import storage_errors
from deploy_server.storage.fragments import FragmentStore, Staging

_MARGIN = 16 * 1024**2  # bytes that a build leaves free, for the database among others
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def kind_of(spec: PackageSpec, head: bytes) -> Kind:
    """Return which archive the package will have.

    Raises:
        SpecError: such a file cannot become a package for that system; field `file`.
    """
    return (accept_single if spec.wrap else accept)(head, spec.os)


def bare_name(file_name: str) -> str:
    """Return the last part of what a browser or a shell calls a file, safe to keep."""
    last = file_name.replace("\\", "/").rpartition("/")[2]
    return _UNSEEN.sub("_", last)[:NAME_MAX]


def fill(
    store: FragmentStore,
    staging: Staging,
    package_id: int,
    spec: PackageSpec,
    intake: Intake,
    *,
    now: datetime,
    file_name: str = "",
    ratio: int | None = None,
) -> Content:
    """Write the fragments of a package and their list.

    Args:
        store: for its free space.
        staging: where to.
        package_id: whose.
        spec: checked.
        intake: the file; read once.
        now: the time of a file that is wrapped.
        file_name: its name inside the archive then.
        ratio: DOWNLOAD_RATIO_FRAG in bytes where it counts.

    Raises:
        SpecError: the file is not what it should be; field `file`, `target` or `fragment_size`.
        TooLarge: the file is larger than `intake` takes.
        StorageError: the disk is full or refuses.
    """
    kind = kind_of(spec, intake.head)
    contents = Contents(spec.os, _launched(spec))
    with ExitStack() as stack:
        blocks: Iterable[bytes] = intake.blocks()
        length = intake.length
        if spec.wrap:
            name = file_name or contents.launch or "file"
            contents.add(name, EntryKind.FILE)
            contents.finish()
            if length is None:
                length, blocks = _count(store, blocks, stack)
            _check_space(store, length)
            blocks, length = wrap(blocks, kind, name, length, now), None
        if length is None and needs_length(spec, ratio):
            length, blocks = _count(store, blocks, stack)
        _check_space(store, length or 0)
        contents.archive_bytes = length
        tar = TarCheck(contents) if kind is Kind.TAR_GZ and not spec.wrap else None
        content = cut(
            _while_room(store.free_bytes, blocks),
            staging,
            package_name(package_id),
            fragment_size(spec, length, ratio),
            DigestAlgorithm(spec.digest_algorithm),
            [tar.feed] if tar else [],
        )
    if tar is not None:
        tar.finish()
    elif not spec.wrap:
        with staging.reader(content.plan) as file:
            check_zip(file, contents)
    return content


def check_archive(file: BinaryIO, spec: PackageSpec) -> None:
    """Return when what `file` holds suits `spec`; it is read to its end.

    Raises:
        SpecError: field `file` or `target`.
    """
    kind = accept(file.read(HEAD), spec.os)
    contents = Contents(spec.os, _launched(spec), archive_bytes=file.seek(0, io.SEEK_END))
    if kind is Kind.ZIP:
        check_zip(file, contents)
        return
    file.seek(0)
    check = TarCheck(contents)
    while block := file.read(PIECE):
        check.feed(block)
    check.finish()


def put_info(staging: Staging, info: InfoFile) -> None:
    """Write the info file."""
    file = staging.create(INFO_FILE)
    file.write(write_info(info))
    file.close()


def _launched(spec: PackageSpec) -> str | None:
    return launch_name(spec.target) if spec.action == Action.LAUNCH else None


_LOOK_EVERY = 64 * 1024**2  # bytes

_FREE_SOME = (
    "Free some space, or move the data directory to a larger disk; min_free_bytes in server.toml is"
    " kept free for the reports of agents"
)


def _check_space(store: FragmentStore, length: int) -> None:
    free = store.free_bytes()
    if free < length + _MARGIN:
        raise StorageError(
            f"the disk has {free // 1024**2} MiB left for packages, and this one needs"
            f" {(length + _MARGIN) // 1024**2} MiB",
            _FREE_SOME,
        )


def _while_room(room: Callable[[], int], blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks until the disk has no more room than agents need; others write to it too."""
    unlooked = 0
    for block in blocks:
        unlooked += len(block)
        if unlooked >= _LOOK_EVERY:
            unlooked = 0
            if not room():
                raise StorageError("the disk has no room left for this package", _FREE_SOME)
        yield block


def _count(
    store: FragmentStore, blocks: Iterable[bytes], stack: ExitStack
) -> tuple[int, Iterator[bytes]]:
    """Return how many bytes there are, and the same bytes from a file without a name."""
    scratch = stack.enter_context(store.scratch())
    length = 0
    for block in _while_room(store.scratch_bytes, blocks):
        with storage_errors("the file cannot be kept while it is counted"):
            scratch.write(block)
        length += len(block)
    with storage_errors("the file cannot be kept while it is counted"):
        scratch.seek(0)
    return length, iter(lambda: scratch.read(PIECE), b"")

"""Looks at a file before anybody relies on it: an exported package, or an archive to be built."""

import hashlib
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from deploy_agent.wire.digest import DigestAlgorithm, Hasher
from deploy_agent.wire.errors import WireError
from deploy_agent.wire.fragment import (
    FRAGMENTS_FILE,
    INFO_FILE,
    FragmentList,
    fragment_name,
)
from deploy_agent.wire.info import InfoFile, parse_info
from deploy_agent.wire.terms import FRAGMENTS_LIST_MAX, INFO_MAX
from deploy_server.domain.archive import HEAD, Kind, recognise
from deploy_server.domain.errors import DeployError, SpecError
from deploy_server.domain.spec import PackageSpec
from deploy_server.services.filling import check_archive
from deploy_server.services.intake import PIECE

_INFO = re.compile(r"([0-9]{10})/info\Z", re.ASCII)
_DAMAGED = (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError)


def lint(file: BinaryIO) -> list[str]:
    """Return what is wrong with `file`, a sentence for each; nothing is changed anywhere.

    Args:
        file: seekable, at its beginning; a zip from `export_package`, or an archive.
    """
    head = file.read(HEAD)
    file.seek(0)
    try:
        if recognise(head) is Kind.ZIP:
            folder = _exported(file)
            if folder is not None:
                return _Export(file, folder).findings()
        file.seek(0)
        # What the archive would be built for is not known: its own kind decides.
        os = "windows" if recognise(head) is Kind.ZIP else "linux"
        check_archive(file, PackageSpec("lint", os, "STORE", "/"))
    except DeployError as error:
        return [str(error)]
    return []


def _exported(file: BinaryIO) -> str | None:
    """Return the id of the package whose export `file` is; None where it is something else."""
    try:
        with zipfile.ZipFile(file) as archive:
            found = [_INFO.match(name) for name in archive.namelist()]
    except _DAMAGED:
        return None
    ids = [match.group(1) for match in found if match]
    return ids[0] if len(ids) == 1 else None


class _Export:
    """The zip of a published folder."""

    def __init__(self, file: BinaryIO, folder: str) -> None:
        self._archive = zipfile.ZipFile(file)
        self._folder = folder

    def findings(self) -> list[str]:
        with self._archive, _readable():
            try:
                info = parse_info(self._read(INFO_FILE, INFO_MAX + 1))
            except WireError as error:
                return [f"the info file cannot be read: {error}"]
            found = []
            if info.package_id != self._folder:
                found.append(f"the info file is of {info.package_id}, the folder {self._folder}")
            return found + self._about_names(info) + self._about_bytes(info)

    def _about_names(self, info: InfoFile) -> list[str]:
        names = [INFO_FILE, *(fragment_name(self._folder, n + 1) for n in range(info.fragments))]
        if info.fragments:
            names.append(FRAGMENTS_FILE)
        wanted = {f"{self._folder}/{name}" for name in names}
        there = set(self._archive.namelist())
        return [f"{name} is missing" for name in sorted(wanted - there)] + [
            f"{name} does not belong there" for name in sorted(there - wanted)
        ]

    def _about_bytes(self, info: InfoFile) -> list[str]:
        if not info.fragments or info.digest is None:
            return []
        listed = self._read(FRAGMENTS_FILE, FRAGMENTS_LIST_MAX + 1)
        if hashlib.sha256(listed).digest() != info.fragments_sha256:
            return [f"{FRAGMENTS_FILE} is not the one of the info file"]
        try:
            digests = FragmentList.parse(listed, self._folder, info.fragments).digests
        except WireError as error:
            return [str(error)]
        found = []
        whole = Hasher({info.digest.algorithm, DigestAlgorithm.SHA256})
        for number, digest in enumerate(digests, 1):
            name = fragment_name(self._folder, number)
            one = hashlib.sha256()
            for block in self._blocks(name):
                one.update(block)
                whole.update(block)
            if one.digest() != digest:
                found.append(f"{name} is damaged: its SHA-256 is another")
        if not info.digest.matches(whole.raw(info.digest.algorithm)):
            found.append("the fragments together do not have the DIGEST of the info file")
        if info.sha256 not in (None, whole.raw(DigestAlgorithm.SHA256)):
            found.append("the fragments together do not have the X_SHA256 of the info file")
        return found

    def _read(self, name: str, limit: int) -> bytes:
        try:
            with self._archive.open(f"{self._folder}/{name}") as file:
                return file.read(limit)
        except KeyError:
            return b""

    def _blocks(self, name: str) -> Iterator[bytes]:
        try:
            file = self._archive.open(f"{self._folder}/{name}")
        except KeyError:
            return
        with file:
            while block := file.read(PIECE):
                yield block


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        why = " ".join(str(error).split())
        raise SpecError("file", f"the zip is damaged: {why}", "Export the package again") from error

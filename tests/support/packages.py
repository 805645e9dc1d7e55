"""Packages for tests of services: built for real, in a folder of the test's own."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from deploy_server.domain.package import PackageSpec
from deploy_server.services.building import build_package
from deploy_server.storage.fragments import FragmentStore, LocalFragmentStore
from deploy_server.storage.models import Activation, Package

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LAUNCH = PackageSpec("Tool", "linux", "LAUNCH", "install.sh", fragment_size=100)
COMMAND = PackageSpec("Tool", "linux", "EXECUTE", "true")


def local_store(folder: Path) -> LocalFragmentStore:
    """An empty store."""
    return LocalFragmentStore(folder / "download", folder / "staging")


def build(
    session: Session,
    store: FragmentStore,
    spec: PackageSpec = COMMAND,
    data: bytes | None = None,
    **change: Any,
) -> Package:
    """A built package; `change` goes into its specification."""
    source = None if data is None else io.BytesIO(data)
    return build_package(session, store, replace(spec, **change), source, now=NOW, actor="tests")


def activated(session: Session, package: Package, info: str = "a.example/download") -> Activation:
    """An activation, without any check."""
    made = Activation(
        package_id=package.id, info_url=info, fragment_url=info, created_at=NOW, created_by="tests"
    )
    session.add(made)
    session.flush()
    return made


def content(store: LocalFragmentStore, package_id: int) -> dict[str, bytes]:
    """Every published file of a package."""
    folder = store.download / str(package_id)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def joined(store: LocalFragmentStore, package: Package) -> bytes:
    """The package's fragments in order."""
    files = content(store, package.id)
    return b"".join(files[f"{package.id}-{n}"] for n in range(1, package.fragments + 1))

import io
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import Conflict, NotFound, StorageError
from deploy_server.services.packages import (
    Impact,
    delete_packages,
    export_package,
    get_package,
    impact,
    list_packages,
)
from deploy_server.storage.fragments import LocalFragmentStore
from deploy_server.storage.models import Activation, Assignment, Computer, Group, GroupAssignment
from tests.support.archive_bytes import tar_gz
from tests.support.packages import COMMAND, LAUNCH, NOW, activated, build, content, local_store

ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n" * 50})


@pytest.fixture
def store(tmp_path: Path) -> LocalFragmentStore:
    return local_store(tmp_path)


def assign(session: Session, activation: Activation, *statuses: str) -> None:
    """A computer for each status."""
    classes = {"WAITING": ResultClass.WAITING, "NOTIFIED": ResultClass.NOTIFIED}
    start = session.scalar(select(func.count()).select_from(Computer)) or 0
    for number, status in enumerate(statuses, start):
        device = f"pc{number}-2026-11-21-10-00-00"
        computer = Computer(device_id=device, device_id_key=device, created_at=NOW)
        session.add(computer)
        session.flush()
        session.add(
            Assignment(
                computer_id=computer.id, package_id=activation.package_id,
                activation_id=activation.id, attempt=1, status=status,
                status_class=classes.get(status, ResultClass.SUCCESS), since=NOW, assigned_at=NOW,
            )
        )  # fmt: skip
    session.commit()


def test_the_newest_comes_first_with_its_counts(
    session: Session, store: LocalFragmentStore
) -> None:
    first = build(session, store, name="first")
    second = build(session, store, name="second")
    assign(session, activated(session, first), "WAITING", "WAITING", "NOTIFIED", "SUCCESS")
    activated(session, first, "b.example/download")
    rows = list_packages(session, now=NOW)
    assert [row.package.id for row in rows] == [second.id, first.id]
    assert [row.activations for row in rows] == [0, 2]
    assert rows[1].status.by_class[ResultClass.WAITING] == 2
    assert rows[1].status.total == 4
    assert list_packages(session, now=NOW, deleted=True) == []


def test_a_package_is_found_by_its_id(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store)
    assert get_package(session, package.id) is package
    assert get_package(session, str(package.id)) is package
    for text in (
        "1700000000",
        "x",
        "",
        "-1",
        "99999999999999999999",
        "１７００００００００",
        "1.0",
    ):
        with pytest.raises(NotFound, match="does not exist"):
            get_package(session, text)


def test_a_deleted_package(session: Session, store: LocalFragmentStore) -> None:
    keep, gone = build(session, store, name="a"), build(session, store, LAUNCH, ARCHIVE)
    activation = activated(session, gone)
    assign(session, activation, "WAITING", "NOTIFIED", "NOTIFIED", "SUCCESS", "ERR_X")
    assign(session, activated(session, keep), "WAITING")
    group = Group(name="g", name_key="g", kind="static", created_at=NOW)
    session.add(group)
    session.flush()
    session.add(
        GroupAssignment(
            group_id=group.id, package_id=gone.id, activation_id=activation.id, attempt=1,
            assigned_at=NOW,
        )
    )  # fmt: skip
    session.commit()
    expected = Impact(packages=1, activations=1, waiting=1, notified=2, groups=1)
    assert impact(session, [gone.id]) == expected
    assert delete_packages(session, store, [gone.id], now=NOW, actor="tests") == expected

    session.expire_all()
    assert store.ids() == [keep.id]
    with pytest.raises(NotFound, match="was deleted"):
        get_package(session, gone.id)
    assert get_package(session, gone.id, deleted=True).deleted_at == NOW
    assert session.get_one(Activation, activation.id).ended_at == NOW
    assert session.scalars(select(GroupAssignment)).all() == []
    left = session.scalars(select(Assignment.status).where(Assignment.package_id == gone.id)).all()
    assert sorted(left) == ["ERR_X", "SUCCESS"]
    assert [row.package.id for row in list_packages(session, now=NOW)] == [keep.id]
    assert [row.package.id for row in list_packages(session, now=NOW, deleted=True)] == [gone.id]
    assert build(session, store, LAUNCH, ARCHIVE).name == gone.name


def test_one_unknown_id_deletes_nothing(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store)
    with pytest.raises(NotFound):
        delete_packages(session, store, [package.id, 5], now=NOW, actor="tests")
    session.rollback()
    assert get_package(session, package.id).deleted_at is None
    assert store.exists(package.id)


def test_files_that_cannot_be_removed_are_named(
    session: Session, store: LocalFragmentStore
) -> None:
    package = build(session, store)
    with store.begin(package.id), pytest.raises(StorageError, match="db sweep"):
        delete_packages(session, store, [package.id], now=NOW, actor="tests")
    with pytest.raises(NotFound):
        get_package(session, package.id)


def test_an_export_is_the_published_folder(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store, LAUNCH, ARCHIVE)
    data = b"".join(export_package(session, store, package.id))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {f"{package.id}/{k}": v for k, v in content(store, package.id).items()}
    assert next(iter(found)) == f"{package.id}/info"


def test_an_export_of_nothing(session: Session, store: LocalFragmentStore) -> None:
    with pytest.raises(NotFound):
        export_package(session, store, 5)
    package = build(session, store, COMMAND)
    store.delete(package.id)
    with pytest.raises(NotFound, match="gone"):
        export_package(session, store, package.id)


def test_an_export_never_mixes_two_revisions(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store, LAUNCH, ARCHIVE)
    pieces = export_package(session, store, package.id)
    next(pieces)
    info = store.path(package.id, "info")
    info.write_bytes(info.read_bytes().replace(b'X_REVISION="1"', b'X_REVISION="2"'))
    with pytest.raises(Conflict, match="changed while"):
        list(pieces)

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from deploy_server.services.sweeping import sweep_orphans
from deploy_server.storage.allocation import allocate
from deploy_server.storage.fragments import LocalFragmentStore
from tests.support.packages import NOW, build, content, local_store


@pytest.fixture
def store(tmp_path: Path) -> LocalFragmentStore:
    return local_store(tmp_path)


def leave(store: LocalFragmentStore, package_id: int, *, published: bool = False) -> None:
    """What a process leaves that was killed."""
    staging = store.begin(package_id)
    file = staging.create("info")
    file.write(b"<")
    file.close()
    if published:
        staging.publish()
    staging.leave()


def test_in_order_is_in_order(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store)
    assert sweep_orphans(session, store, NOW) == []
    assert set(content(store, package.id)) == {"info"}


@pytest.mark.parametrize("published", [False, True])
def test_what_has_no_row_is_removed(
    session: Session, store: LocalFragmentStore, published: bool
) -> None:
    allocate(session, "package", 1_800_000_000)
    session.commit()
    leave(store, 1_800_000_000, published=published)
    (said,) = sweep_orphans(session, store, NOW)
    assert "never completed" in said
    assert store.ids() == []
    assert list(store.staging.iterdir()) == []


def test_a_build_that_lives_is_left_alone(session: Session, store: LocalFragmentStore) -> None:
    allocate(session, "package", 1_800_000_000)
    session.commit()
    with store.begin(1_800_000_000) as staging:
        assert sweep_orphans(session, store, NOW) == []
        staging.publish()
        assert sweep_orphans(session, store, NOW) == []
        assert store.exists(1_800_000_000)


def test_what_was_deleted_is_removed(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store)
    package.deleted_at = NOW
    session.commit()
    assert len(sweep_orphans(session, store, NOW)) == 1
    assert store.ids() == []


def test_files_of_another_database_are_left_alone(
    session: Session, store: LocalFragmentStore
) -> None:
    leave(store, 1_800_000_000, published=True)
    (said,) = sweep_orphans(session, store, NOW)
    assert "left alone" in said
    assert store.exists(1_800_000_000)


def test_missing_files_are_named(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store)
    store.delete(package.id)
    (said,) = sweep_orphans(session, store, NOW)
    assert f"files of package {package.id} are gone" in said

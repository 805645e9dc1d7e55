import hashlib
import io
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from deploy_agent.wire.info import parse_info
from deploy_server.domain.errors import Conflict, NotFound, SpecError, SpecErrors
from deploy_server.domain.package import PackageSpec
from deploy_server.services.editing import edit_package, spec_of
from deploy_server.storage.fragments import LocalFragmentStore
from deploy_server.storage.models import Package
from tests.support.archive_bytes import tar_gz, zip_
from tests.support.packages import COMMAND, LAUNCH, NOW, build, content, joined, local_store

OLD = tar_gz({"install.sh": random.Random(1).randbytes(500), "other.sh": b"2"})
NEW = tar_gz({"install.sh": random.Random(2).randbytes(900)})


@pytest.fixture
def store(tmp_path: Path) -> LocalFragmentStore:
    return local_store(tmp_path)


@pytest.fixture
def package(session: Session, store: LocalFragmentStore) -> Package:
    return build(session, store, LAUNCH, OLD)


def edit(
    session: Session,
    store: LocalFragmentStore,
    package: Package,
    data: bytes | None = None,
    **change: Any,
) -> Package:
    spec = replace(spec_of(package), **change)
    source = None if data is None else io.BytesIO(data)
    return edit_package(session, store, package.id, spec, source, now=NOW, actor="tests")


def is_sound(store: LocalFragmentStore, package: Package, data: bytes) -> bool:
    """Whether files, info file and row say the same about `data`."""
    files = content(store, package.id)
    info = parse_info(files["info"])
    assert joined(store, package) == data
    assert len(files) == package.fragments + 2
    assert info.digest is not None
    raw = hashlib.new(info.digest.algorithm.lower(), data).digest()
    assert (info.digest.raw, info.digest.text) == (raw, package.digest)
    assert info.sha256 == hashlib.sha256(data).digest()
    assert info.fragments_sha256 == hashlib.sha256(files["fragments.sha256"]).digest()
    assert (info.revision, info.fragments) == (package.revision, package.fragments)
    assert list(store.staging.iterdir()) == []
    return True


def test_a_package_says_what_it_was_built_from(session: Session, store: LocalFragmentStore) -> None:
    spec = PackageSpec(
        "Ö", "windows", "EXECUTE", "msiexec /i a.msi", priority=0, fragment_size=77,
        protocol="HTTPS", digest_algorithm="SHA1", digest_encoding="Base64", description="d",
        notify_text="a", notify_countdown=0, can_abort=True, done_text="b", success_codes=(1,),
        reboot_codes=(2, 3), retry_codes=(4,), execution_timeout=0,
    )  # fmt: skip
    built = build(session, store, spec, zip_({"a.msi": b"1"}))
    session.expire_all()
    assert spec_of(session.get_one(Package, built.id)) == spec
    assert spec_of(build(session, store, COMMAND)) == COMMAND


def test_a_new_file(session: Session, store: LocalFragmentStore, package: Package) -> None:
    changed = edit(session, store, package, NEW, description="second")
    assert (changed.id, changed.revision) == (package.id, 2)
    assert changed.description == "second"
    assert is_sound(store, changed, NEW)


def test_texts_alone(session: Session, store: LocalFragmentStore, package: Package) -> None:
    before = content(store, package.id)
    changed = edit(session, store, package, name="Tool 2", priority=1, target="install.sh -v")
    assert is_sound(store, changed, OLD)
    after = content(store, package.id)
    info = parse_info(after.pop("info"))
    assert (info.priority, info.target, info.revision) == (1, "install.sh -v", 2)
    before.pop("info")
    assert after == before
    session.expire_all()
    row = session.get_one(Package, package.id)
    assert (row.name, row.name_key, row.revision) == ("Tool 2", "tool 2", 2)


@pytest.mark.parametrize(
    ("change", "fragments"),
    [
        ({"fragment_size": 200}, -(-len(OLD) // 200)),
        ({"fragment_size": None, "fragments": 2}, 2),
        ({"digest_algorithm": "SHA256"}, -(-len(OLD) // 100)),
        ({"digest_algorithm": "SHA1", "fragment_size": None}, -(-len(OLD) // 100)),
        ({"digest_encoding": "Base64"}, -(-len(OLD) // 100)),
        ({"fragment_size": None}, -(-len(OLD) // 100)),
    ],
)
def test_another_cut_or_digest_of_the_same_file(
    session: Session,
    store: LocalFragmentStore,
    package: Package,
    change: dict[str, Any],
    fragments: int,
) -> None:
    changed = edit(session, store, package, **change)
    assert changed.fragments == fragments
    assert is_sound(store, changed, OLD)


def test_a_command_gets_a_file(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store, COMMAND)
    changed = edit(session, store, package, NEW, fragment_size=100)
    assert is_sound(store, changed, NEW)
    again = edit(session, store, changed, target="false")
    assert (again.revision, is_sound(store, again, NEW)) == (3, True)


def test_a_command_without_a_file(session: Session, store: LocalFragmentStore) -> None:
    package = build(session, store, COMMAND)
    edit(session, store, package, target="false")
    (info,) = content(store, package.id).values()
    assert (parse_info(info).target, parse_info(info).revision) == ("false", 2)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"priority": 11}, SpecErrors),
        ({"target": "missing.sh"}, SpecError),
        ({"os": "windows"}, SpecError),
        ({"fragment_size": 200, "target": "missing.sh"}, SpecError),
        ({"name": "taken"}, Conflict),
    ],
)
def test_what_does_not_fit_changes_nothing(
    session: Session,
    store: LocalFragmentStore,
    package: Package,
    change: dict[str, Any],
    error: type[Exception],
) -> None:
    build(session, store, COMMAND, name="TAKEN")
    with pytest.raises(error):
        edit(session, store, package, **change)
    session.rollback()
    session.expire_all()
    assert session.get_one(Package, package.id).revision == 1
    assert is_sound(store, package, OLD)


def test_what_is_launched_may_be_another_file_of_the_archive(
    session: Session, store: LocalFragmentStore, package: Package
) -> None:
    assert is_sound(store, edit(session, store, package, target="other.sh"), OLD)


def test_two_at_the_same_time(
    session: Session, store: LocalFragmentStore, package: Package
) -> None:
    with store.begin(package.id), pytest.raises(Conflict, match="somebody else"):
        edit(session, store, package, priority=1)


def test_a_deleted_package(session: Session, store: LocalFragmentStore, package: Package) -> None:
    package.deleted_at = NOW
    session.commit()
    with pytest.raises(NotFound):
        edit(session, store, package, priority=1)


def test_a_commit_that_fails_gives_the_old_files_back(
    session: Session, store: LocalFragmentStore, package: Package
) -> None:
    def refuse(_: Session) -> None:
        if session.dirty:
            raise KeyboardInterrupt

    event.listen(session, "before_commit", refuse)
    with pytest.raises(KeyboardInterrupt):
        edit(session, store, package, NEW)
    event.remove(session, "before_commit", refuse)
    session.expire_all()
    assert is_sound(store, session.get_one(Package, package.id), OLD)


def test_what_a_crash_left_is_taken_back_first(
    session: Session, store: LocalFragmentStore, package: Package
) -> None:
    """A change of before was published and never committed."""
    staging = store.begin(package.id)
    file = staging.create("info")
    file.write(content(store, package.id)["info"].replace(b'X_REVISION="1"', b'X_REVISION="2"'))
    file.close()
    staging.publish()
    staging.leave()
    assert is_sound(store, edit(session, store, package, priority=1), OLD)

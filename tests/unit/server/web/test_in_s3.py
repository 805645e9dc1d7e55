"""What people do with packages in the console, where a bucket has them."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from deploy_agent.wire.info import parse_info
from deploy_server.domain.bucket import BucketAddress
from deploy_server.storage.models import Package
from deploy_server.storage.s3 import Bucket
from deploy_server.storage.stores import fragment_store
from tests.support.archive_bytes import tar_gz
from tests.support.console import Console, running_console
from tests.support.databases import SqliteDatabases

ARCHIVE = tar_gz({"install.sh": b"#!/bin/sh\n"})


@pytest.fixture
def console(sqlite_databases: SqliteDatabases, tmp_path: Path, bucket: str) -> Iterator[Console]:
    with (
        sqlite_databases.fresh(tmp_path) as url,
        running_console(tmp_path / "data", url, packages=bucket) as console,
    ):
        yield console


def test_the_life_of_a_package(console: Console, bucket: str) -> None:
    admin, store = console.user("superadmin"), fragment_store(console.config)
    form = {"name": "Hello", "os": "linux", "action": "LAUNCH", "target": "install.sh",
            "priority": "3", "fragment_size": "64", "protocol": "HTTP",
            "digest_algorithm": "MD5", "digest_encoding": "Hexa"}  # fmt: skip
    file = (io.BytesIO(ARCHIVE), "hello.tar.gz")
    built = admin.post("/packages/build", {**form, "file": file, "do": "build"})
    assert built.status_code == 302, built.text
    (package_id,) = store.ids()
    edited = admin.post(f"{built.location}/edit", {**form, "priority": "7", "do": "save"})
    assert edited.status_code == 302, edited.text
    copied = admin.post(f"{built.location}/copy", {**form, "name": "Copy", "do": "build"})
    assert copied.status_code == 302, copied.text
    with console.sessions() as session:
        for package in session.scalars(select(Package)):
            answer = admin.get(f"/packages/{package.id}/export")
            with zipfile.ZipFile(io.BytesIO(answer.data)) as exported:
                names = [f"{package.id}/{package.id}-{n}" for n in range(1, package.fragments + 1)]
                assert b"".join(exported.read(name) for name in names) == ARCHIVE
                info = parse_info(exported.read(f"{package.id}/info"))
                assert info.revision == package.revision == (2 if package.id == package_id else 1)
    for each in store.ids():
        assert admin.get(f"/packages/{each}").status_code == 200
        assert admin.post("/packages/delete", {"package": str(each)}).status_code == 302
    place = Bucket(BucketAddress.parse(bucket))
    assert [each.name for root in ("packages", "uploads") for each in place.listed(root)] == []
    for folder in (console.config.download, console.config.staging, console.config.uploads):
        assert list(folder.iterdir()) == []


def test_a_form_that_is_refused_keeps_its_file(console: Console, bucket: str) -> None:
    admin = console.user("superadmin")
    file = (io.BytesIO(b"no archive"), "hello.tar.gz")
    form = {"name": "", "os": "linux", "action": "LAUNCH", "do": "build", "file": file}
    assert admin.post("/packages/build", form).status_code in (200, 422)
    place = Bucket(BucketAddress.parse(bucket))
    assert {each.name.rpartition("/")[2] for each in place.listed("uploads")} == {
        "about.json",
        "00000000000000000000-10",
    }

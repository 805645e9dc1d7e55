"""A CA, a server of it, and a server without TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Issued, issue
from tests.support.talking import LOCAL, serving
from tests.support.webfolder import PlainWebServer


@pytest.fixture(scope="module")
def ca() -> Issued:
    return issue("an own CA", ca=True)


@pytest.fixture
def ca_file(ca: Issued, tmp_path: Path) -> Path:
    path = tmp_path / "cacert.pem"
    path.write_bytes(ca.pem())
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[PlainWebServer]:
    (tmp_path / "plain").mkdir()
    with PlainWebServer(tmp_path / "plain") as server:
        yield server


@pytest.fixture
def https(tmp_path: Path, ca: Issued) -> Iterator[PlainWebServer]:
    yield from serving(tmp_path, issue("server", by=ca, san=LOCAL))

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from flask import Flask
from flask.testing import FlaskClient

from deploy_server.config import ServerConfig
from deploy_server.storage.stores import fragment_store
from deploy_server.web import files
from deploy_server.web.errors import init_errors
from deploy_server.web.services import Scheme, Services
from deploy_server.web.wire import Wire

ID = "1800000001"
CONTENT = {"info": b"<DOWNLOAD/>", f"{ID}-1": bytes(range(256)) * 4096, "fragments.sha256": b"ab"}
BIG = len(CONTENT[f"{ID}-1"])


def client(config: ServerConfig, scheme: Scheme) -> FlaskClient:
    """A client of the files face alone: no database anywhere."""
    store = fragment_store(config)
    with store.begin(int(ID)) as staging:
        for name, data in CONTENT.items():
            file = staging.create(name)
            file.write(data)
            file.close()
        staging.publish()
        staging.finish()
    if config.bucket is None:
        (config.download / "secret").write_bytes(b"secret")
    app = Flask("test", static_folder=None)
    app.extensions["tranche"] = Services(
        config,
        store,
        lambda: datetime.now(UTC),
        scheme,
        frozenset({"files"}),
        cast(Wire, None),  # files have no database
    )
    init_errors(app)
    app.register_blueprint(files.blueprint)
    return app.test_client()


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> ServerConfig:
    place = request.getfixturevalue("bucket") if request.param == "s3" else "disk"
    return ServerConfig(tmp_path, packages=place)


@pytest.fixture
def https(config: ServerConfig) -> Iterator[FlaskClient]:
    with client(config, "https") as made:
        yield made


@pytest.fixture
def http(config: ServerConfig) -> Iterator[FlaskClient]:
    with client(config, "http") as made:
        yield made


@pytest.mark.parametrize("name", CONTENT)
def test_every_file_is_sent_whole(https: FlaskClient, name: str) -> None:
    answer = https.get(f"/download/{ID}/{name}", buffered=True)
    assert (answer.status_code, answer.data) == (200, CONTENT[name])
    assert answer.headers["Content-Length"] == str(len(CONTENT[name]))
    assert answer.headers["Accept-Ranges"] == "bytes"
    caching = "no-store" if name == "info" else "max-age=3600"
    assert answer.headers["Cache-Control"] == caching
    assert not {"ETag", "Last-Modified", "Set-Cookie"} & set(answer.headers.keys())


@pytest.mark.parametrize("name", CONTENT)
def test_head_says_the_same_without_the_bytes(https: FlaskClient, name: str) -> None:
    answer = https.head(f"/download/{ID}/{name}", buffered=True)
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT[name]))


def test_plain_http_has_fragments_and_no_info(http: FlaskClient) -> None:
    assert http.get(f"/download/{ID}/{ID}-1", buffered=True).data == CONTENT[f"{ID}-1"]
    assert http.get(f"/download/{ID}/fragments.sha256", buffered=True).data == b"ab"
    answer = http.get(f"/download/{ID}/info", buffered=True)
    assert answer.status_code == 404
    assert "HTTPS only" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-None-Match": "*"},
        {"If-None-Match": '"x"', "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ],
)
def test_never_304(https: FlaskClient, headers: dict[str, str]) -> None:
    answer = https.get(f"/download/{ID}/{ID}-1", headers=headers, buffered=True)
    assert (answer.status_code, len(answer.data)) == (200, BIG)


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, BIG),
        ("bytes=300-599", 300, 600),
        (f"bytes={BIG - 1}-", BIG - 1, BIG),
        (f"bytes=1000-{BIG * 9}", 1000, BIG),
        ("bytes=-5", BIG - 5, BIG),
        (f"bytes=-{BIG * 2}", 0, BIG),
    ],
)
def test_one_range(https: FlaskClient, asked: str, start: int, stop: int) -> None:
    answer = https.get(f"/download/{ID}/{ID}-1", headers={"Range": asked}, buffered=True)
    assert (answer.status_code, answer.data) == (206, CONTENT[f"{ID}-1"][start:stop])
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{BIG}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,5-6", f"bytes={BIG}-", "bytes=5-2", "bytes=-0", "bytes=-", "lines=0-1", "x", "",
     "bytes=0x1-2", "bytes=" + "9" * 30 + "-"],
)  # fmt: skip
def test_any_other_range_is_the_whole_file(https: FlaskClient, asked: str) -> None:
    answer = https.get(f"/download/{ID}/{ID}-1", headers={"Range": asked}, buffered=True)
    assert (answer.status_code, len(answer.data)) == (200, BIG)


def test_if_range_never_holds(https: FlaskClient) -> None:
    headers = {"Range": "bytes=1-2", "If-Range": '"x"'}
    assert https.get(f"/download/{ID}/{ID}-1", headers=headers, buffered=True).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/download/{ID}/{ID}-2",
        f"/download/{ID}/{ID}-0",
        f"/download/{ID}/{ID}-01",
        f"/download/{ID}/{ID}-",
        f"/download/{ID}/{ID}-1 ",
        f"/download/{ID}/{ID}-+1",
        f"/download/{ID}/{ID}-١",
        f"/download/{ID}/1800000002-1",
        f"/download/{ID}/INFO",
        f"/download/{ID}/",
        f"/download/{ID}",
        "/download/",
        "/download/1800000002/info",
        "/download/18000000010/info",
        "/download/../secret",
        "/download/..%2fsecret/info",
        f"/download/{ID}/..%2f..%2fsecret",
        f"/download/{ID}/%2e%2e/secret",
        f"/download/{ID}/info%00",
        "/download/..........%00/info",
        f"/download/{ID}/info/",
    ],
)
def test_nothing_else_is_there(https: FlaskClient, path: str) -> None:
    answer = https.get(path, buffered=True)
    assert answer.status_code == 404
    assert b"secret" not in answer.data
    assert len(answer.data) < 300
    assert answer.mimetype == "text/plain"


def test_only_reading(https: FlaskClient) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert https.open(f"/download/{ID}/info", method=method).status_code == 405

"""The address of a bucket, and what its store refuses as sentences that people can act on."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from deploy_server.config import ConfigError, ServerConfig
from deploy_server.domain.bucket import BucketAddress
from deploy_server.domain.errors import StorageError
from deploy_server.storage.s3 import Bucket
from deploy_server.storage.s3 import bucket as bucket_module
from deploy_server.storage.s3.bucket import AWAY_S, NoObject
from deploy_server.storage.s3.trouble import BucketAway, trouble
from tests.support.object_store import CREDENTIALS

WHERE = "https://s3.example.org"


def test_an_address_is_read() -> None:
    text = f"s3://packages/at/home/?endpoint={WHERE}/&region=eu-central-1&ca=/etc/own.pem"
    address = BucketAddress.parse(text)
    assert address == BucketAddress("packages", "at/home", WHERE, "eu-central-1", "/etc/own.pem")
    assert str(address) == f"packages at {WHERE}"
    assert BucketAddress.parse("s3://packages") == BucketAddress("packages")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/srv/packages", "is no address of a bucket"),
        ("http://packages", "is no address of a bucket"),
        ("s3://", "is no name of a bucket"),
        ("s3://key:secret@packages", "AWS_SECRET_ACCESS_KEY"),
        ("s3://packages?secret_access_key=x", "secret_access_key is no option there"),
        ("s3://packages/../x", "cannot begin names"),
        ("s3://packages/a b", "cannot begin names"),
        ("s3://packages?endpoint=s3.example.org", "Give a URL like"),
        ("s3://packages?endpoint=https://k:s@s3.example.org", "Give a URL like"),
    ],
)
def test_what_is_none_is_named(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="packages: ") as refused:
        ServerConfig(tmp_path, packages=text)
    assert why in str(refused.value)


def said(code: str, status: int = 403) -> StorageError:
    text = f"Generic S3 error: status code: {status}: <Error><Code>{code}</Code></Error>"
    return trouble("x cannot be read", BucketAddress("packages"), OSError(text))


@pytest.mark.parametrize(
    ("code", "why", "hint"),
    [
        ("NoSuchBucket", "the bucket packages does not exist", "Make it"),
        ("AccessDenied", "refuses that to this server", "s3:ListBucket"),
        ("InvalidAccessKeyId", "does not take the server's credentials", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "does not take the server's credentials", "AWS_SECRET"),
        ("RequestTimeTooSkewed", "the clock of this machine is wrong", "Set the clock"),
        ("PermanentRedirect", "lies in another region", "region="),
        ("SlowDown", "has too much to do", "Try again"),
        ("SomethingNew", "SomethingNew", "Try again"),
    ],
)
def test_a_refusal_says_what_and_why_and_what_to_do(code: str, why: str, hint: str) -> None:
    error = said(code)
    assert error.message.startswith("x cannot be read: the bucket packages")
    assert why in error.message
    assert hint in error.hint
    assert "<" not in str(error)


def test_who_has_no_credentials_is_told() -> None:
    text = "Error performing PUT http://169.254.169.254/latest/api/token: HTTP error: timed out"
    error = trouble("x", BucketAddress("packages"), OSError(text))
    assert "without credentials" in error.message
    assert "give this machine a role" in error.hint


Answer = Callable[[str, str], tuple[int, bytes]]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A store that answers as it is told; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer("GET", self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def test_the_library_s_errors_are_read() -> None:
    def answer(_method: str, path: str) -> tuple[int, bytes]:
        code = path.rpartition("/")[2]
        return (404 if code.startswith("NoSuch") else 403), (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
        )

    with answering(answer) as url:
        bucket = Bucket(BucketAddress("packages", "", url))
        with pytest.raises(NoObject):
            bucket.get("NoSuchKey")
        for code, why in {
            "NoSuchBucket": "does not exist",
            "RequestTimeTooSkewed": "clock",
            "SignatureDoesNotMatch": "credentials",
        }.items():
            with pytest.raises(StorageError, match=why):
                bucket.get(code)


def test_who_does_not_answer_is_left_alone_for_a_moment() -> None:
    now = [100.0]
    asked: list[str] = []
    during: list[Callable[[str], bytes]] = []

    def answer(_method: str, path: str) -> tuple[int, bytes]:
        asked.append(path)
        return 200, during.pop()(path) if during else b"x"

    with answering(answer) as url:
        bucket = Bucket(BucketAddress("packages", "", url), lambda: now[0])
        away = BucketAddress("packages", "", "http://127.0.0.1:1")
        bucket.address, there = away, bucket.address
        with pytest.raises(StorageError, match=r"cannot be reached.*") as first:
            bucket.get("x")
        bucket.address = there
        bucket._opened.clear()
        with pytest.raises(StorageError) as second:
            bucket.get("y")
        # What it was asked for first is not what this one wants.
        assert str(first.value) == f"x cannot be read: {second.value!s}"
        assert str(second.value).startswith(f"the bucket {away} cannot be reached.")
        assert asked == []
        now[0] += AWAY_S

        def answer_one(name: str) -> bytes:
            # While one asks, the others do not wait for what it hears.
            with pytest.raises(StorageError, match="cannot be reached"):
                bucket.get("y")
            return b"x"

        during.append(answer_one)
        assert bucket.get("x") == b"x"
        assert asked == ["/packages/x"]
        assert bucket.get("y") == b"x"


@pytest.mark.parametrize("call", [lambda bucket: bucket.get("x"), lambda bucket: bucket.check()])
def test_who_hangs_is_soon_known(
    call: Callable[[Bucket], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What has only a few bytes to say has to say them soon; the other tries would add to that.
    patience = bucket_module.SHORT
    assert max(patience.connect, patience.read, patience.request) <= 5
    assert patience.retry <= patience.request
    monkeypatch.setattr(bucket_module, "SHORT", replace(patience, read=0.1, request=0.1, retry=0))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        bucket = Bucket(BucketAddress("p", "", f"http://127.0.0.1:{mute.getsockname()[1]}"))
        began = time.monotonic()
        with pytest.raises(BucketAway, match="cannot be reached"):
            call(bucket)
        assert time.monotonic() - began < 5


def test_a_certificate_that_is_not_there_is_named(tmp_path: Path) -> None:
    bucket = Bucket(BucketAddress("packages", "", WHERE, ca=str(tmp_path / "ca.pem")))
    with pytest.raises(StorageError, match=r"ca\.pem cannot be read: No such file"):
        bucket.get("x")


def test_a_bucket_that_does_not_exist(bucket: str) -> None:
    address = BucketAddress.parse(bucket.replace("tests-", "others-", 1))
    for call in (lambda b: b.check(), lambda b: b.get("x"), lambda b: b.put("x", b"")):
        with pytest.raises(StorageError, match="does not exist"):
            call(Bucket(address))

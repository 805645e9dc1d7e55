"""Answers that only somebody gives who wants to stop the agent: each is an error like any other."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from deploy_agent.domain.errors import DefiniteError, HttpStatus, RedirectRefused
from tests.support.talking import answers, client
from tests.support.webfolder import PlainWebServer

NO_ADDRESSES = ["[", "[::1", "a]b", "h:99999", "h:x", "\N{ACCOUNT OF}", "[fe80::1%\n]:1"]


@pytest.mark.parametrize("host", NO_ADDRESSES)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_an_offer_with_an_address_that_is_none(
    scheme: str, host: str, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "a.example")  # has the port looked at
    url = f"{scheme}://{host}/download/1800000001/info"
    with pytest.raises(DefiniteError, match="is no usable address"):
        client("http://127.0.0.1/", ca_file).read(url, limit=10)


@pytest.mark.parametrize("target", ["http://[", "https://[::1/x", "//a]b/", "https://h:99999/"])
def test_a_redirect_to_an_address_that_is_none(
    plain: PlainWebServer, ca_file: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "a.example,127.0.0.1")
    plain.faults["/a"] = answers(302, headers={"Location": target})
    url = f"http://{plain.address}/a"
    with pytest.raises(RedirectRefused, match="which is no address"):
        client(url, ca_file).read(url, limit=10)


def test_no_redirect_fills_the_log(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults["/a"] = answers(302, headers={"Location": "javascript:" + "x" * 30_000})
    url = f"http://{plain.address}/a"
    with pytest.raises(RedirectRefused) as caught:
        client(url, ca_file).read(url, limit=10)
    assert len(caught.value.message) < 500
    with pytest.raises(RedirectRefused) as caught:
        client(url, ca_file).post(b"<x/>")
    assert len(caught.value.message) < 500


def test_the_body_of_a_redirect_is_not_read(plain: PlainWebServer, ca_file: Path) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    headers = {"Location": "/b", "Content-Encoding": "gzip"}
    plain.faults.update({"/a": answers(302, bomb, headers), "/b": b"there"})
    talks = client("http://127.0.0.1/", ca_file)
    tracemalloc.start()
    try:
        assert talks.read(f"http://{plain.address}/a", limit=10) == b"there"
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "date",
    [
        f"Mon, 01 Jan 2020 00:00:00 +{'9' * 20}",
        f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
        f"Mon, 01 Jan 2020 {'9' * 20}:00:00 GMT",
    ],
)
def test_a_time_that_no_calendar_has(plain: PlainWebServer, ca_file: Path, date: str) -> None:
    headers = {"Retry-After": date, "Date": date}
    plain.faults["/"] = answers(503, headers=headers)
    url = f"http://{plain.address}/"
    with pytest.raises(HttpStatus) as caught:
        client(url, ca_file).read(url, limit=10)
    assert caught.value.retry_after_s is None


def test_json_that_is_deeper_than_anybody_reads(plain: PlainWebServer, ca_file: Path) -> None:
    plain.faults["/api"] = answers(200, b"[" * 100_000)
    talks = client(f"http://{plain.address}/ocsinventory", ca_file)
    assert talks.post_json("/api", {}) == (200, None)

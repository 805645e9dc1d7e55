"""Our agent against a server that is not ours: OCS's recorded one, and one that means harm."""

import gzip
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from deploy_agent.wire.messages import Inventory, Prolog, parse_request
from tests.benchmarks.measure import PeakMemory
from tests.support.agent import TrancheAgent
from tests.support.hostile import deep, entity_documents
from tests.support.recorded_ocs import PACKAGE, RecordedOcsServer
from tests.support.server import RunningServer
from tests.support.tampering import alter_info
from tests.support.vectors import Exchange

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("elsewhere")]

MiB = 1024 * 1024
#: Where the recorded package's script writes; the path is part of the recording.
TRACE = Path("/tmp/ocs-launch.out")


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA and a certificate for localhost and 127.0.0.1, made by ``init``."""
    return RunningServer(tmp_path_factory.mktemp("ca")).data / "certs"


@pytest.fixture
def ocs(certs: Path, tmp_path: Path) -> Iterator[RecordedOcsServer]:
    folder = tmp_path / "ocs"
    folder.mkdir()
    with RecordedOcsServer(folder, certs / "server.pem") as running:
        yield running
    TRACE.unlink(missing_ok=True)


@pytest.fixture
def agent(ocs: RecordedOcsServer, certs: Path, tmp_path: Path) -> TrancheAgent:
    return TrancheAgent(tmp_path / "agent", f"https://{ocs.address}", certs / "cacert.pem")


def codes(ocs: RecordedOcsServer) -> list[tuple[str, str]]:
    return [(report.package_id, report.code) for report in ocs.reports]


def test_a_package_of_ocs_is_done(ocs: RecordedOcsServer, agent: TrancheAgent) -> None:
    agent.once()
    assert codes(ocs) == [(PACKAGE, "SUCCESS")]
    assert TRACE.read_text().startswith("args: 0 two\n")
    asked = [path.rpartition("/")[2] for path in ocs.requests]
    assert asked == ["info", f"{PACKAGE}-1", f"{PACKAGE}-2", f"{PACKAGE}-3"]


def test_ocs_sees_nothing_of_our_extension(ocs: RecordedOcsServer, agent: TrancheAgent) -> None:
    agent.once()
    paths = {path for path, _ in ocs.posts}
    assert paths == {"/ocsinventory"}
    messages = [zlib.decompress(body) for _, body in ocs.posts]
    assert {type(parse_request(each)) for each in messages} >= {Prolog, Inventory}
    assert not [each for each in messages if b"X_" in each or b"TRANCHE" in each]


def test_what_is_in_our_history_is_said_in_ocs_words(
    ocs: RecordedOcsServer, agent: TrancheAgent
) -> None:
    agent.once()
    agent.once()
    assert codes(ocs) == [(PACKAGE, "SUCCESS"), (PACKAGE, "SUCCESS_ALREADY_SETUP")]


def test_force_does_it_again(ocs: RecordedOcsServer, agent: TrancheAgent) -> None:
    agent.once()
    ocs.prolog = ocs.prolog.replace(b'FORCE="0"', b'FORCE="1"')
    agent.once()
    assert codes(ocs) == [(PACKAGE, "SUCCESS")] * 2


def test_retry_needs_an_administrator_there(ocs: RecordedOcsServer, agent: TrancheAgent) -> None:
    alter_info(ocs.folder / "download" / PACKAGE, NAME="absent.sh")
    agent.once()
    assert codes(ocs) == [(PACKAGE, "ERR_EXECUTE")]
    refused = agent.run("retry", PACKAGE)
    assert refused.returncode == 1
    assert "administrator" in refused.stderr


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DIGEST": "0" * 32}, "ERR_BAD_DIGEST"),
        ({"ID": "1800000002"}, "ERR_BAD_ID"),
        ({"FRAGS": "4"}, "ERR_DOWNLOAD_PACK"),
        ({"ACT": "DELETE"}, "ERR_BAD_PARAM"),
        ({"DIGEST_ALGO": "CRC32"}, "ERR_BAD_PARAM"),
        ({"NAME": None}, "ERR_EXECUTE_PACK"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_results_without_our_attributes(
    ocs: RecordedOcsServer, agent: TrancheAgent, change: dict[str, str | None], code: str
) -> None:
    alter_info(ocs.folder / "download" / PACKAGE, **change)
    agent.once()
    assert codes(ocs) == [(PACKAGE, code)]


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Promise a terabyte and send until the other side has enough."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**12))
    handler.end_headers()
    try:
        for _ in range(2000):
            handler.wfile.write(bytes(MiB))
    except OSError:
        handler.close_connection = True


HOSTILE_REPLIES = {
    "garbage": b"\x00" * 5000,
    "empty": b"",
    "html": b"<html><body>Welcome to the hotel's network</body></html>",
    "bomb": zlib.compress(b"<REPLY>" + bytes(256 * MiB), 9),
    "gzip bomb": gzip.compress(bytes(256 * MiB), 1),
    "deep": zlib.compress(deep(100_000)),
    "laughs": zlib.compress(entity_documents()["billion-laughs"]),
    "cut": Exchange("agent-03-prolog-one-package").response.body[:-20],
    "endless": endless,
    "500": 500,
    "403": 403,
}


@pytest.mark.parametrize("name", HOSTILE_REPLIES)
def test_a_hostile_reply_ends_the_contact_with_a_reason(
    ocs: RecordedOcsServer, agent: TrancheAgent, name: str
) -> None:
    ocs.faults["/ocsinventory"] = HOSTILE_REPLIES[name]
    began = time.monotonic()
    process = agent.start("once", "--no-wait")
    with PeakMemory(process.pid, "rss") as watched:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "Traceback" not in output
    assert output.strip()
    assert watched.peak < 256
    assert time.monotonic() - began < 60


HOSTILE_INFOS = {
    "garbage": b"\x00" * 5000,
    "empty": b"",
    "doctype": entity_documents()["billion-laughs"],
    "deep": deep(10_000),
    "long": b"<DOWNLOAD NAME='" + b"x" * (4 * MiB) + b"'/>",
    "endless": endless,
}


@pytest.mark.parametrize("name", HOSTILE_INFOS)
def test_a_hostile_info_file_ends_its_package(
    ocs: RecordedOcsServer, agent: TrancheAgent, name: str
) -> None:
    ocs.faults[f"/download/{PACKAGE}/info"] = HOSTILE_INFOS[name]
    process = agent.start("once", "--no-wait")
    with PeakMemory(process.pid, "rss") as watched:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert watched.peak < 256
    assert [code for _, code in codes(ocs)] in (["ERR_BAD_PARAM"], ["ERR_DOWNLOAD_INFO"])


def test_an_endless_fragment_fills_no_disk(ocs: RecordedOcsServer, agent: TrancheAgent) -> None:
    ocs.faults[f"/download/{PACKAGE}/{PACKAGE}-2"] = endless
    agent.once()
    assert codes(ocs) == [(PACKAGE, "ERR_OUT_OF_SPACE")]
    left = sum(path.stat().st_size for path in agent.state.rglob("*") if path.is_file())
    assert left < 64 * MiB


def test_info_is_never_fetched_over_plain_http(ocs: RecordedOcsServer, agent: TrancheAgent) -> None:
    """Not even where the server redirects there."""

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", f"http://{ocs.address}/download/{PACKAGE}/info")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    ocs.faults[f"/download/{PACKAGE}/info"] = redirect
    agent.run("once", "--no-wait")
    assert "SUCCESS" not in [code for _, code in codes(ocs)]
    assert not TRACE.exists()

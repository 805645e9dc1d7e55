"""What is refused before anybody is asked is counted, and has a number that the log has too."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy_server.storage.database import make_engine, session_factory
from deploy_server.web.app import create_app
from deploy_server.web.board import Board
from deploy_server.web.database import db
from deploy_server.web.gateway import Gateway
from tests.support.apps import Site, make_site
from tests.support.databases import SqliteDatabases

SPOOL = 1000


@pytest.fixture
def site(sqlite_databases: SqliteDatabases, tmp_path: Path) -> Iterator[Site]:
    with sqlite_databases.fresh(tmp_path) as url:
        engine = make_engine(url)
        with make_site(tmp_path / "data", url, session_factory(engine)) as site:
            yield site
        engine.dispose()


@pytest.fixture
def board(site: Site) -> Iterator[tuple[Board, Gateway]]:
    board = Board()
    app = create_app(replace(site.config, trusted_proxies=("192.0.2.1",)), board=board)
    gateway = Gateway(
        app,
        threads=1,
        spool_bytes=SPOOL,
        access_log=True,
        shortcuts=app.shortcuts,
        refused=app.refused,
    )
    yield board, gateway
    gateway.close()
    with app.app_context():
        db.engine.dispose()


def ask(gateway: Gateway, path: str, messages: list[dict[str, Any]], *headers: tuple[bytes, bytes]
) -> tuple[int, dict[bytes, bytes]]:  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "scheme": "https", "http_version": "1.1",
        "client": ("192.0.2.1", 1), "server": ("localhost", 443), "headers": list(headers),
    }  # fmt: skip
    got: list[Any] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        got.append(message)

    asyncio.run(asyncio.wait_for(gateway(scope, receive, send), timeout=20))
    return got[0]["status"], dict(got[0]["headers"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/ocsinventory", "refused"), ("/packages/build", "build"), ("*", "console")],
)
def test_a_body_that_breaks_off(
    board: tuple[Board, Gateway], caplog: pytest.LogCaptureFixture, path: str, kind: str
) -> None:
    caplog.set_level(logging.INFO, "tranche.access")
    gone = [{"type": "http.disconnect"}]
    status, headers = ask(board[1], path, gone, (b"content-length", b"100"))
    assert status == 400
    number = headers[b"x-request-id"].decode()
    (counted,) = (each for each in board[0].counted() if each.statuses)
    assert (counted.kind, counted.statuses) == (kind, {400: 1})
    assert counted.sent > 0
    assert [line.__dict__["request_id"] for line in caplog.records] == [number]


def test_a_body_that_is_too_long_without_saying_so(board: tuple[Board, Gateway]) -> None:
    pieces: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"x" * 600, "more_body": True} for _ in range(3)
    ]
    pieces.append({"type": "http.disconnect"})
    status, headers = ask(
        board[1], "/ocsinventory", pieces,
        (b"transfer-encoding", b"chunked"), (b"x-forwarded-for", b"10.0.0.1"),
        (b"x-request-id", b"from-the-proxy"),
    )  # fmt: skip
    assert status == 411
    assert headers[b"x-request-id"] == b"from-the-proxy"
    assert next(each for each in board[0].counted() if each.kind == "refused").statuses == {411: 1}

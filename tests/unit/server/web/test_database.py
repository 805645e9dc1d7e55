"""One session a request: readers wait for nobody, and what was answered without error is kept."""

from pathlib import Path

import pytest
from flask import Flask, request
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from deploy_server.config import ServerConfig
from deploy_server.domain.errors import Conflict
from deploy_server.storage.database import make_engine
from deploy_server.storage.models import Counter
from deploy_server.web.app import create_app
from deploy_server.web.database import db, reading_session
from deploy_server.web.rights import Right, needs
from tests.support.console import BASE, Console, running_console


def writing(app: Flask, status: int) -> None:
    """Make an address that counts, and answers with `status` or fails with a Conflict."""

    @needs(Right.PUBLIC)
    def view() -> tuple[str, int]:
        db.session.add(Counter(name=request.method, value=1))
        db.session.flush()
        if status == 409:
            raise Conflict("somebody was faster", "Reload")
        return "", status

    app._got_first_request = False  # routes are usually complete before the first request
    app.add_url_rule("/download/count", "count", view, methods=["GET", "POST", "PUT", "DELETE"])


def send(console: Console, method: str) -> TestResponse:
    return console.app.test_client().open("/download/count", method=method, base_url=BASE)


def counted(console: Console) -> list[str]:
    with console.sessions() as session:
        return list(session.scalars(select(Counter.name)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(("status", "kept"), [(200, True), (302, True), (409, False), (422, False)])
def test_what_was_answered_without_error_is_kept(
    console: Console, method: str, status: int, kept: bool
) -> None:
    writing(console.app, status)
    assert send(console, method).status_code == status
    assert counted(console) == ([method] if kept else [])


def test_reading_keeps_nothing(console: Console) -> None:
    writing(console.app, 200)
    assert send(console, "GET").status_code == 200
    assert counted(console) == []


def test_pages_wait_for_no_writer(console: Console) -> None:
    admin = console.user("superadmin")
    with console.sessions() as writer:
        writer.execute(text("DELETE FROM counter"))  # the lock is held from here on
        for path in ("/", "/packages", "/computers", "/groups", "/settings"):
            assert admin.get(path).status_code == 200


def test_a_page_uses_one_connection(console: Console) -> None:
    admin = console.user("superadmin")
    admin.get("/computers")
    with console.app.app_context():
        pool = db.engine.pool
        assert pool.checkedout() == 0  # type: ignore[attr-defined]
        assert pool.checkedin() <= 2  # type: ignore[attr-defined]


def test_the_engine_is_the_one_of_the_rest_of_the_server(console: Console) -> None:
    with console.app.app_context(), db.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA synchronous")) == 2


def test_a_session_for_reading_never_takes_the_lock(console: Console) -> None:
    with console.sessions() as writer:
        writer.execute(text("DELETE FROM counter"))
        with console.app.app_context(), reading_session() as session:
            assert session.scalars(select(Counter)).all() == []


def test_every_page_on_both_databases(tmp_path: Path, database_url: str) -> None:
    engine = make_engine(database_url)
    engine.dispose()
    with running_console(tmp_path / "console", database_url) as console:
        admin = console.user("superadmin")
        for path in (
            "/", "/progress", "/failures", "/packages", "/packages?sort=error", "/computers",
            "/computers?q=os+~+debian", "/deploy", "/groups", "/settings", "/people", "/account",
        ):  # fmt: skip
            assert admin.get(path).status_code == 200, path
        answer = admin.post("/groups", {"name": "Pilot"})
        assert answer.status_code == 302
        assert "Pilot" in admin.get(answer.location).text


@pytest.mark.parametrize("faces", [("comm",), ("files",), ("comm", "files")])
def test_faces_without_a_console_have_no_sessions_and_no_pages(
    console: Console, faces: tuple[str, ...]
) -> None:
    config: ServerConfig = console.config
    config.secret_key_file.unlink()
    app = create_app(config, faces=faces, clock=console.clock)
    client = app.test_client()
    for path in ("/", "/login", "/packages", "/static/css/base.css"):
        answer = client.get(path, base_url=BASE)
        assert (answer.status_code, answer.mimetype) == (404, "text/plain")
    assert client.get("/healthz", base_url=BASE).status_code == 200
    writing(app, 500)

    def fails() -> str:
        raise RuntimeError("a mistake")

    app.add_url_rule("/download/fails", "fails", fails)
    answer = client.get("/download/fails", base_url=BASE)
    assert (answer.status_code, answer.mimetype) == (500, "text/plain")
    with app.app_context():
        db.engine.dispose()

"""Errors as answers: a page for people, a line or JSON for machines, never a traceback."""

import logging

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from deploy_server.domain.errors import (
    BadMessage,
    Conflict,
    DeployError,
    Forbidden,
    NotFound,
    SpecError,
    StorageError,
    TooLarge,
)
from deploy_server.web.app import create_app
from deploy_server.web.rights import Right, needs
from tests.support.console import Browser, Console

ERRORS = [
    (SpecError("name", "the name is taken", "Choose another"), 422),
    (BadMessage("it makes no sense", "Send sense"), 400),
    (Forbidden("you may not", "Ask"), 403),
    (NotFound("there is none", "Look again"), 404),
    (Conflict("somebody was faster", "Reload"), 409),
    (TooLarge("too many bytes", "Send fewer"), 413),
    (StorageError("the disk is full", "Free some space"), 503),
    (DeployError("it failed", "Do something"), 500),
]


def failing(app: Flask, path: str, error: Exception) -> None:
    """Make an address that fails."""

    @needs(Right.PUBLIC)
    def view() -> str:
        raise error

    app._got_first_request = False  # routes are usually complete before the first request
    app.add_url_rule(path, path, view)


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
def test_people_read_what_why_and_what_to_do(
    console: Console, error: DeployError, status: int
) -> None:
    failing(console.app, "/failing", error)
    answer = console.browser().get("/failing")
    assert answer.status_code == status
    assert error.message[1:] in answer.text
    assert error.hint in answer.text
    assert answer.mimetype == "text/html"


def test_what_is_not_there_is_looked_for_in_the_console(admin: Browser) -> None:
    for address, place in (
        ("/computers/4711", "/computers"),
        ("/packages/4711/results", "/packages"),
        ("/packages/4711", "/packages"),
    ):
        answer = admin.get(address)
        assert answer.status_code == 404
        assert "deploy-server" not in answer.text
        assert f'<p>Find it in <a href="{place}">' in answer.text


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
def test_machines_read_one_line(console: Console, error: DeployError, status: int) -> None:
    failing(console.app, "/download/x", error)
    answer = console.browser().get("/download/x")
    assert (answer.status_code, answer.mimetype) == (status, "text/plain")
    number = f" Request {answer.headers['X-Request-Id']}." if status >= 500 else ""
    assert answer.text == f"{error.message}. {error.hint}.{number}\n"


def test_scripts_read_json(console: Console) -> None:
    failing(console.app, "/failing", Conflict("somebody was faster", "Reload"))
    answer = console.browser().get("/failing", headers={"X-Requested-With": "fetch"})
    assert answer.status_code == 409
    assert answer.json == {
        "error": "Conflict",
        "message": "somebody was faster",
        "hint": "Reload",
    }


def test_a_mistake_is_logged_and_not_shown(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    failing(console.app, "/failing", RuntimeError("secret detail"))
    with caplog.at_level(logging.ERROR):
        answer = console.browser().get("/failing")
    assert answer.status_code == 500
    assert "The server made a mistake; nothing was changed." in answer.text
    assert "secret detail" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret detail" in caplog.text


def test_a_database_that_refuses_is_no_mistake(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    error = OperationalError("INSERT secret", {}, Exception("database or disk is full"))
    failing(console.app, "/failing", error)
    answer = console.browser().get("/failing")
    assert answer.status_code == 503
    assert "The database cannot take that now" in answer.text
    assert "INSERT" not in answer.text
    assert "disk is full" in caplog.text


def test_a_wrong_address_leads_back(admin: Browser) -> None:
    answer = admin.get("/nothing/here")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.text
    assert 'href="/"' in answer.text


def test_a_wrong_method_names_the_right_ones(admin: Browser) -> None:
    answer = admin.get("/logout")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
    assert "Use the buttons" in answer.text


def test_a_body_that_is_too_large_is_named(admin: Browser) -> None:
    answer = admin.post("/groups", {"name": "x" * 3_000_000})
    assert answer.status_code == 413
    assert "Select fewer rows" in answer.text


@pytest.mark.parametrize("path", ["/packages/1", "/no/such/page", "/logout"])
def test_whoever_is_logged_in_keeps_the_menu(admin: Browser, console: Console, path: str) -> None:
    answer = admin.get(path)
    assert answer.status_code in (404, 405)
    assert '<nav class="menu"' in answer.text
    assert '<nav class="menu"' not in console.browser().get(path).text


def test_a_path_with_a_slash_too_many_is_no_error(admin: Browser) -> None:
    assert admin.get("/computers/").status_code in (301, 308, 404)


def test_plain_http_has_no_console(console: Console) -> None:
    app = create_app(console.config, scheme="http")
    client = app.test_client()
    for path in ("/", "/login", "/packages", "/static/css/base.css", "/healthz", "/account"):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (404, "text/plain")


HUGE = "9" * 30


@pytest.mark.parametrize(
    "path",
    [
        f"/computers/{HUGE}",
        f"/groups/{HUGE}",
        f"/packages/{HUGE}",
        f"/settings/group/{HUGE}",
        "/computers/2147483648",
    ],
)
def test_a_number_beyond_every_row_is_no_page(console: Console, path: str) -> None:
    assert console.user("superadmin").get(path).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        f"page={HUGE}",
        "_scheme=x",
        "_anchor=x",
        "_method=GET",
        "endpoint=x",
        "_external=1",
        "q=a&q=b",
    ],
)
@pytest.mark.parametrize("path", ["/computers", "/packages", "/groups"])
def test_odd_arguments_of_lists_do_no_harm(console: Console, path: str, query: str) -> None:
    assert console.user("superadmin").get(f"{path}?{query}").status_code in (200, 422)

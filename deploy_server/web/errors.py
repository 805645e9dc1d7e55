"""Every error as an answer: a page for people, one line of text or JSON for machines.

The status is the error's own (domain/errors.py), so there is one table and it is there. A person
reads what happened, why, and what to do; nobody ever reads a traceback.
"""

import logging
from http import HTTPStatus

from flask import Flask, Response, g, jsonify, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from deploy_server.domain.errors import DeployError, InternalError, StorageError
from deploy_server.web.observing import request_id
from deploy_server.web.services import services

log = logging.getLogger(__name__)

#: Paths that machines ask for; what is not among them belongs to people.
MACHINE_PATHS = ("/ocsinventory", "/download", "/api", "/healthz", "/readyz", "/metrics")

#: After how many seconds an agent may ask again for what a disk or a database did not give.
AGAIN_S = 30

#: What went wrong and what to do, for statuses that Flask itself gives.
_SENTENCES: dict[int, tuple[str, str]] = {
    400: (
        "The server could not read that request.",
        "Go back, reload the page and try again.",
    ),
    404: (
        "There is nothing at this address.",
        "It may have been deleted, or the address has a typing error. Start from the overview.",
    ),
    405: (
        "This address does not take that kind of request.",
        "Use the buttons of the page instead of typing the address.",
    ),
    413: (
        "That is more than this form may send.",
        "Select fewer rows, or a smaller file. The limit for packages is max_package_bytes in"
        " server.toml.",
    ),
    429: (
        "Too many attempts from this address.",
        "Wait a minute, then try again.",
    ),
    500: (
        "The server made a mistake; nothing was changed.",
        "Try again. If it happens again, the log of deploy-server says what happened and when.",
    ),
}

#: Commands that hints name, as pages of the console: where it is, what stands there.
_LISTS = {
    "deploy-server computer list": ("console.computers.index", "the list of computers"),
    "deploy-server package list": ("console.packages.index", "the list of packages"),
    "deploy-server package activations": ("console.packages.index", "the list of packages"),
    "deploy-server group list": ("console.groups.index", "the list of groups"),
    "deploy-server setting list": ("console.settings.index", "the settings"),
    "deploy-server user list": ("console.users.index", "the list of people"),
}


def init_errors(app: Flask) -> None:
    """Answer every error of `app` in the form that suits who asked."""
    app.register_error_handler(DeployError, _refused)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DBAPIError, _failed)
    # Anything else is a mistake in the program: it is logged with its traceback, people and
    # machines get a status and a sentence.
    app.register_error_handler(Exception, _failed)


def wants_html() -> bool:
    """Whether a person with a browser asked, not a machine or a script of ours."""
    if "admin" not in services().faces or request.path.startswith(MACHINE_PATHS):
        return False
    return request.headers.get("X-Requested-With") != "fetch"


def _refused(error: DeployError) -> ResponseReturnValue:
    return _answer(error.status, error.message, error.hint, error.code)


def _http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None or error.code is None or error.code < 400:
        return error  # a redirect, or an answer that is complete already
    what, hint = _SENTENCES.get(error.code, (error.description or error.name, ""))
    response = _answer(error.code, what, hint, type(error).__name__)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def told_to_machines(error: Exception, asked: str) -> tuple[int, str]:
    """Return status and line for what failed outside of Flask; the log says more.

    Args:
        error: what was raised.
        asked: method and path, for the log.
    """
    trouble = _trouble(error, asked)
    return trouble.status, _line(trouble.status, trouble.message, trouble.hint)


def _trouble(error: Exception, asked: str) -> DeployError:
    """Return an error of ours for any error."""
    if isinstance(error, DeployError):
        return error
    if isinstance(error, DBAPIError):
        # A full disk, a lock that was held too long, a server that went away: not the asker's
        # fault.
        log.error("the database refused %s", asked, exc_info=error)
        return StorageError(
            "The database cannot take that now; nothing was changed.",
            hint="Try again in a minute. If it goes on, check the free space of the server's disk"
            " and the log of deploy-server.",
        )
    log.error("%s failed", asked, exc_info=error)
    return InternalError(*_SENTENCES[500])


def _failed(error: Exception) -> ResponseReturnValue:
    original = getattr(error, "original_exception", None) or error
    if isinstance(original, DeployError):
        return _refused(original)
    trouble = _trouble(original, f"{request.method} {request.path}")
    _forget_promises()
    return _answer(trouble.status, trouble.message, trouble.hint, trouble.code)


def _forget_promises() -> None:
    """Drop the messages that say what was done, because nothing of it was kept."""
    if "admin" in services().faces:  # the other faces have no sessions
        session.pop("_flashes", None)


def _answer(status: int, message: str, hint: str, code: str) -> Response:
    if not wants_html():
        response = _for_machines(status, message, hint, code)
    else:
        # Where the person is not known, or the database fails, the menu cannot be drawn.
        inside = g.get("person") is not None and status < 500
        page = render_template(
            "errors/inside.html" if inside else "errors/outside.html",
            status=status,
            title=HTTPStatus(status).phrase,
            message=message,
            hint=hint,
            place=_place(hint) if inside else None,
            request_id=request_id(),
        )
        response = Response(page)
    response.status_code = status
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = str(AGAIN_S)
    return response


def _place(hint: str) -> tuple[str, str] | None:
    """The page for what a hint asks to be typed: its address, and what it is."""
    found = (where for command, where in _LISTS.items() if command in hint)
    endpoint, words = next(found, ("", ""))
    return (url_for(endpoint), words) if endpoint else None


def _for_machines(status: int, message: str, hint: str, code: str) -> Response:
    if request.path.startswith("/api") or request.headers.get("X-Requested-With") == "fetch":
        return jsonify(error=code, message=message, hint=hint)
    return Response(_line(status, message, hint), mimetype="text/plain")


def _line(status: int, message: str, hint: str) -> str:
    number = f"Request {request_id()}" if status >= 500 else ""
    return ". ".join(part.rstrip(".") for part in (message, hint, number) if part) + ".\n"

"""What protects the console: who is asking, whether they may, forged requests, limits, headers.

The order for every request of the console: log in, right, size, CSRF, and only then the view. The
body is not read before all of that, so nobody fills the disk without an account.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from flask import Flask, Response, current_app, flash, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import Unauthorized

from deploy_server.domain.errors import Forbidden
from deploy_server.services import sessions
from deploy_server.services.audit import act_for
from deploy_server.storage.database import session_factory
from deploy_server.storage.hidden import hidden_packages, leave_out
from deploy_server.storage.models import User
from deploy_server.web.database import db, reading_session
from deploy_server.web.errors import MACHINE_PATHS, wants_html
from deploy_server.web.rights import NOT_WITH_TAGS, RIGHTS, Right, View, right_of
from deploy_server.web.services import services

#: Bytes of a form without files.
FORM_MAX = 2 * 1024 * 1024

#: Nothing but our own files; no script or style inside a page.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

login_manager = LoginManager()
csrf = CSRFProtect()
# The counters are in the memory of one worker, so with n workers n times as many attempts pass;
# what stops guessing a password are the locks of services/logins.
limiter = Limiter(key_func=get_remote_address, storage_uri="memory://")


@dataclass(frozen=True)
class Person:
    """Whoever is logged in; the row as it was when the request began.

    Attributes:
        id: of the row.
        name: as people see it.
        role: a key of `RIGHTS`.
        tags: empty means every computer.
        session_id: of the session that this request is part of; 0 where it is not known.
        unseen: hidden packages, where the role may not see them.
    """

    id: int
    name: str
    role: str
    tags: frozenset[str]
    session_id: int = 0
    unseen: frozenset[int] = frozenset()

    is_authenticated = True
    is_active = True
    is_anonymous = False

    @property
    def perimeter(self) -> frozenset[str] | None:
        """The tags that limit every list, count and action; None means every computer."""
        return self.tags or None

    def may(self, right: Right) -> bool:
        """Whether the role has `right`, and the tags do not take it away."""
        return right in RIGHTS[self.role] and not (self.tags and right in NOT_WITH_TAGS)

    def get_id(self) -> str:
        """What the cookie keeps besides the session's token."""
        return str(self.id)


def person_of(user: User, session_id: int = 0) -> Person:
    """The person whose row this is."""
    return Person(user.id, user.name, user.role, frozenset(user.tags), session_id)


def person() -> Person:
    """Whoever is asking; views that are not public always have one."""
    return cast(Person, g.person)


class ConsoleSessions(SecureCookieSessionInterface):
    """Sessions belong to the console: what agents and mirrors get never varies by a cookie."""

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie, and say that the answer depends on it, for the console's pages only."""
        if not request.path.startswith(MACHINE_PATHS):
            super().save_session(app, session, response)


def init_security(app: Flask) -> None:
    """Set up sessions, cookies, CSRF, limits and headers of the console."""
    app.config.update(
        SECRET_KEY=app.extensions["tranche"].config.secret_key_file.read_bytes(),
        SESSION_COOKIE_NAME="__Host-session",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=sessions.LONGEST,
        # The guard below asks for the token, after it knows who is asking.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        RATELIMIT_HEADERS_ENABLED=False,
    )
    app.session_interface = ConsoleSessions()
    login_manager.init_app(app)
    csrf.init_app(app)
    limiter.init_app(app)
    app.before_request(know_the_lost)
    app.after_request(add_headers)


@login_manager.user_loader  # type: ignore[untyped-decorator]
def load_person(number: str) -> Person | None:
    """The person of a session; None where it has ended or the account is closed."""
    now = services().now()
    # A session of its own: a request that uploads for an hour must not hold a transaction.
    with reading_session() as reading:
        found = sessions.find(reading, session.get("token", ""), now)
        sees_all = found is None or Right.SEE_HIDDEN in RIGHTS[found[0].role]
        unseen = frozenset() if sees_all else hidden_packages(reading)
    if found is None or str(found[0].id) != number:
        return None
    user, row = found
    if now - row.seen_at >= sessions.SEEN_EVERY:
        _mark_seen(row.id, now)
    return replace(person_of(user, row.id), unseen=unseen)


def _mark_seen(session_id: int, now: datetime) -> None:
    # A page is shown also where that cannot be written down.
    with suppress(DBAPIError), session_factory(db.engine).begin() as transaction:
        sessions.mark_seen(transaction, session_id, now)


def log_in(user: User) -> None:
    """Begin a session; nothing of what was in the browser's before it stays."""
    session.clear()
    session.permanent = True
    session["token"] = sessions.begin(
        db.session(),
        user,
        address=request.remote_addr or "",
        browser=request.user_agent.string,
        now=services().now(),
    )
    login_user(person_of(user))


def log_out() -> None:
    """End the session of this browser, and of whoever has a copy of its cookie."""
    sessions.log_out(db.session(), person().name, person().session_id, now=services().now())
    logout_user()
    session.clear()


def large_body(view: View) -> View:
    """Mark a view that takes a package's file."""
    view.__dict__["large_body"] = True
    return view


def know_the_lost() -> None:
    """Where an address leads nowhere no guard is asked; people keep their menu there."""
    if request.url_rule is None and wants_html() and current_user.is_authenticated:
        g.person = cast(Person, current_user._get_current_object())


def guard() -> ResponseReturnValue | None:
    """Let a request of the console pass, or answer it."""
    g.person = None
    if request.endpoint == "console.static":
        return None
    view = current_app.view_functions[request.endpoint or ""]
    right = right_of(view)
    if right is None:  # check_views let no such view pass
        raise Forbidden("this address has no right attached", hint="Report this mistake")
    if current_user.is_authenticated:
        g.person = cast(Person, current_user._get_current_object())
    act_for(g.person.name if g.person else "nobody", request.remote_addr or "")
    if right is not Right.PUBLIC:
        if g.person is None:
            return _ask_to_log_in()
        if not g.person.may(right):
            raise Forbidden(
                f"you may not {right.value}", hint="Ask a superadmin for a role that may."
            )
        g.unseen = g.person.unseen
        leave_out(db.session(), g.unseen)
    limit = FORM_MAX
    if getattr(view, "large_body", False):
        limit += services().config.max_package_bytes
    request.max_content_length = limit
    _check_forgery()
    return None


def _ask_to_log_in() -> ResponseReturnValue:
    if request.method == "GET" and wants_html():
        wanted = request.full_path.rstrip("?")
        return redirect(url_for("console.login.form", next=wanted if wanted != "/" else None))
    if not wants_html():
        raise Unauthorized("Log in again: the session has ended.")
    flash("The session has ended before that was sent. Log in and do it again.", "warning")
    return redirect(url_for("console.login.form"))


def _check_forgery() -> None:
    try:
        csrf.protect()
    except CSRFError as error:
        raise Forbidden(
            "the form is not from this session: " + str(error.description).rstrip("."),
            hint="Go back, reload the page and send it again.",
        ) from None


def safe_next(target: str) -> str:
    """Return `target` when it is a path of this console, else the overview's."""
    plain = target.startswith("/") and not target.startswith(("//", "/\\"))
    if not plain or any(ord(letter) < 33 for letter in target):
        return url_for("console.overview.index")
    return target


def add_headers(response: Response) -> Response:
    """Tell the browser what it may do with a page of the console."""
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    if request.path.startswith(MACHINE_PATHS):
        return response
    headers["Content-Security-Policy"] = _POLICY
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    if request.endpoint != "console.static":
        headers["Cache-Control"] = "no-store"
    if services().config.https_port == 443:
        # It counts for every port of the host, so only where the host is ours anyway; and a day,
        # because whoever installs another CA must not be locked out for longer.
        headers["Strict-Transport-Security"] = "max-age=86400"
    return response

"""Logging in and out."""

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.services import accounts, logins
from deploy_server.web import known
from deploy_server.web.database import db, reading_session
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import limiter, log_in, log_out, safe_next
from deploy_server.web.services import services

blueprint = Blueprint("login", __name__)


@blueprint.get("/login")
@needs(Right.PUBLIC)
def form() -> ResponseReturnValue:
    """Ask for name and password."""
    return _page()


@blueprint.post("/login")
@needs(Right.PUBLIC)
@limiter.limit("20 per minute; 200 per hour")
def enter() -> ResponseReturnValue:
    """Begin a session for whoever knows the password."""
    name, password = request.form.get("name", ""), request.form.get("password", "")
    # Checking a password takes a tenth of a second, in which nothing may be locked.
    with reading_session() as reading:
        stored = accounts.stored_hash(reading, name)
    ok = accounts.matches(stored, password)
    user = logins.record_login(
        db.session(), name, ok=ok, now=services().now(), source=known.source()
    )
    if user is None:
        db.session.commit()  # wrong passwords are counted
        return _page(name, failed=True), 401
    log_in(user)
    response = make_response(redirect(safe_next(request.form.get("next", ""))))
    known.remember(response, user.id)
    return response


@blueprint.post("/logout")
@needs(Right.ACCOUNT)
def leave() -> ResponseReturnValue:
    """End the session."""
    log_out()
    return redirect(url_for("console.login.form"))


def _page(name: str = "", *, failed: bool = False) -> str:
    return render_template(
        "login/form.html",
        name=name,
        failed=failed,
        wanted=request.values.get("next", ""),
        lock_after=logins.LOCK_AFTER,
    )

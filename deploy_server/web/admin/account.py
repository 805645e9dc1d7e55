"""A person's own page: password, sessions, colours."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import SpecError
from deploy_server.services import accounts, sessions
from deploy_server.web.database import db, reading_session
from deploy_server.web.formats import plural
from deploy_server.web.pages import THEME_COOKIE, THEMES, row_id
from deploy_server.web.rights import RIGHTS, Right, needs
from deploy_server.web.security import limiter, log_in, log_out, person, safe_next
from deploy_server.web.services import services

blueprint = Blueprint("account", __name__, url_prefix="/account")

_YEAR_S = 365 * 24 * 3600


@blueprint.get("")
@needs(Right.ACCOUNT)
def index() -> ResponseReturnValue:
    """Show who is logged in and what they may do."""
    return _page({})


@blueprint.post("/password")
@needs(Right.ACCOUNT)
@limiter.limit("10 per minute")
def password() -> ResponseReturnValue:
    """Change the person's own password; every other session of theirs ends."""
    old, new = request.form.get("old", ""), request.form.get("password", "")
    name = person().name
    with reading_session() as reading:
        stored = accounts.stored_hash(reading, name)
    if not accounts.matches(stored, old):
        return _page({"old": "That is not your current password."}), 422
    if new != request.form.get("repeated", ""):
        return _page({"repeated": "The two new passwords differ."}), 422
    try:
        user = accounts.set_password(db.session(), name, new, now=services().now())
    except SpecError as error:
        return _page({error.field: str(error)}), 422
    log_in(user)
    flash("The password is changed. Every other session of yours has ended.", "success")
    return redirect(url_for(".index"))


@blueprint.post("/sessions/end")
@needs(Right.ACCOUNT)
def end_session() -> ResponseReturnValue:
    """End one session of the person's, or all but this one."""
    session, now, who = db.session(), services().now(), person()
    user = accounts.get_user(session, who.name)
    which = request.form.get("session", type=row_id)
    if which is None:
        number = sessions.end_others(session, user, who.session_id, now=now)
        flash(f"{plural(number, 'other session')} ended." if number else "There was no other.")
    elif which == who.session_id:
        log_out()
        return redirect(url_for("console.login.form"))
    else:
        sessions.end_session(session, user, which, now=now)
        flash("That session has ended.", "success")
    return redirect(url_for(".index"))


@blueprint.post("/theme")
@needs(Right.ACCOUNT)
def theme() -> ResponseReturnValue:
    """Keep the colours that were chosen in this browser."""
    chosen = request.form.get("theme", "")
    response = redirect(safe_next(request.form.get("next", "")))
    if chosen in THEMES:
        response.set_cookie(
            THEME_COOKIE, chosen, max_age=_YEAR_S, secure=True, httponly=True, samesite="Lax"
        )
    else:
        response.delete_cookie(THEME_COOKIE, secure=True, httponly=True, samesite="Lax")
    return response


def _page(problems: dict[str, str]) -> str:
    session, now = db.session(), services().now()
    user = accounts.get_user(session, person().name)
    rights = [right for right in Right if right in RIGHTS[person().role] and person().may(right)]
    return render_template(
        "login/account.html",
        section="account",
        problems=problems,
        sessions=sessions.list_sessions(session, user, now),
        rights=[right.value for right in rights if right is not Right.PUBLIC],
        shortest=accounts.shortest(session),
    )

"""People who may log in: who they are, what they may do, which computers they see."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import Conflict, SpecError
from deploy_server.services import accounts, computers, logins, sessions
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.pages import row_id
from deploy_server.web.rights import RIGHTS, Right, needs
from deploy_server.web.services import services

blueprint = Blueprint("users", __name__, url_prefix="/people")

_EMPTY = {"name": "", "role": "operator", "tags": "", "password": ""}


@blueprint.get("")
@needs(Right.EDIT_USERS)
def index() -> ResponseReturnValue:
    """List everybody."""
    return _list({}, {})


@blueprint.post("")
@needs(Right.EDIT_USERS)
def add() -> ResponseReturnValue:
    """Let somebody log in; without a password one is made and shown once."""
    values = {name: request.form.get(name, "") for name in _EMPTY}
    made = "" if values["password"] else accounts.make_password()
    try:
        user = accounts.add_user(
            db.session(),
            values["name"],
            made or values["password"],
            values["role"],
            _tags(values["tags"]),
            now=services().now(),
        )
    except SpecError as error:
        return _list(values, {error.field: str(error)}), 422
    except Conflict as error:
        return _list(values, {"name": str(error)}), 409
    flash(_told(user.name, made, "can log in now."), "success")
    return redirect(url_for(".index"))


@blueprint.get("/edit")
@needs(Right.EDIT_USERS)
def edit() -> ResponseReturnValue:
    """Show what can be changed about somebody."""
    return _page(request.args.get("name", ""), {})


@blueprint.post("/edit")
@needs(Right.EDIT_USERS)
def change() -> ResponseReturnValue:
    """Change role and tags; the person logs in again."""
    name = request.form.get("name", "")
    tags = _tags(request.form.get("tags", ""))
    try:
        user = accounts.change_user(
            db.session(), name, role=request.form.get("role", ""), tags=tags, now=services().now()
        )
    except (SpecError, Conflict) as error:
        db.session.rollback()
        return _page(name, {getattr(error, "field", "role"): str(error)}), error.status
    flash(f"{user.name} is changed and has to log in again.", "success")
    return redirect(url_for(".index"))


@blueprint.post("/password")
@needs(Right.EDIT_USERS)
def password() -> ResponseReturnValue:
    """Give somebody a new password, shown once."""
    made = accounts.make_password()
    user = accounts.set_password(
        db.session(), request.form.get("name", ""), made, now=services().now()
    )
    flash(_told(user.name, made, "was logged out everywhere."), "success")
    return redirect(url_for(".index"))


@blueprint.post("/disable")
@needs(Right.EDIT_USERS)
def disable() -> ResponseReturnValue:
    """Keep somebody out; what they did stays theirs."""
    user = accounts.disable_user(db.session(), request.form.get("name", ""), now=services().now())
    flash(f"{user.name} is logged out everywhere and cannot log in any more.", "success")
    return redirect(url_for(".index"))


@blueprint.post("/sessions/end")
@needs(Right.EDIT_USERS)
def end_session() -> ResponseReturnValue:
    """End a session of somebody's, or all of them."""
    session, now = db.session(), services().now()
    user = accounts.get_user(session, request.form.get("name", ""))
    which = request.form.get("session", type=row_id)
    if which is None:
        number = sessions.end_others(session, user, 0, now=now)
        flash(f"{plural(number, 'session')} of {user.name} ended.", "success")
    else:
        sessions.end_session(session, user, which, now=now)
        flash(f"That session of {user.name} has ended.", "success")
    return redirect(url_for(".edit", name=user.name))


@blueprint.post("/enable")
@needs(Right.EDIT_USERS)
def enable() -> ResponseReturnValue:
    """Let somebody in again who was disabled or locked."""
    user = accounts.enable_user(db.session(), request.form.get("name", ""), now=services().now())
    flash(f"{user.name} can log in again.", "success")
    return redirect(url_for(".index"))


def _told(name: str, made: str, what: str) -> str:
    if not made:
        return f"{name} {what}"
    return f"{name} {what} The password is {made} and is not shown again."


def _tags(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _list(values: dict[str, str], problems: dict[str, str]) -> str:
    return render_template(
        "users/index.html",
        section="users",
        users=accounts.list_users(db.session()),
        values={**_EMPTY, **values},
        problems=problems,
        now=services().now(),
        **_choices(),
    )


def _page(name: str, problems: dict[str, str]) -> str:
    session, now = db.session(), services().now()
    user = accounts.get_user(session, name)
    return render_template(
        "users/edit.html",
        section="users",
        user=user,
        sessions=sessions.list_sessions(session, user, now),
        locks=logins.locks(session, user, now),
        problems=problems,
        **_choices(),
    )


def _choices() -> dict[str, Any]:
    roles = [(role, sorted(right.value for right in RIGHTS[role])) for role in accounts.ROLES]
    return {"roles": roles, "tags": computers.tags_in_use(db.session())}

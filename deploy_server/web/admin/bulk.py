"""One action on many computers: tag, settings, deletion. Each is shown before it happens."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import SpecError, SpecErrors
from deploy_server.services import computers, fleet, settings
from deploy_server.services.settings import Scope, SettingView
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.forms import by_field
from deploy_server.web.picking import Picked
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services

blueprint = Blueprint("bulk", __name__, url_prefix="/computers")

#: What a field of the settings says when the computers' own value goes, or stays as it is.
_LEAVE, _DEFAULT, _VALUE = "", "default", "value"


@blueprint.get("/tag")
@needs(Right.EDIT_TAGS)
def ask_tag() -> ResponseReturnValue:
    """Ask which tag the picked computers get."""
    return _asked(_tag_page)


@blueprint.post("/tag")
@needs(Right.EDIT_TAGS)
def tag() -> ResponseReturnValue:
    """Give the picked computers a tag."""
    wanted = request.form.get("tag", "")
    try:
        return _done(_tag_page, lambda picked: _set_tag(picked, wanted))
    except SpecError as error:
        if error.field != "tag":
            raise
        return _tag_page(Picked.sent(request.form), problems=by_field(error), tag=wanted), 422


@blueprint.get("/settings")
@needs(Right.EDIT_SETTINGS)
def ask_settings() -> ResponseReturnValue:
    """Ask which settings the picked computers get."""
    return _asked(_settings_page)


@blueprint.post("/settings")
@needs(Right.EDIT_SETTINGS)
def save_settings() -> ResponseReturnValue:
    """Give the picked computers settings of their own, or take those away."""
    try:
        return _done(_settings_page, _set_values)
    except SpecErrors as error:
        page = _settings_page(Picked.sent(request.form), problems=by_field(error))
        return page, 422


@blueprint.get("/delete")
@needs(Right.DELETE_COMPUTERS)
def ask_delete() -> ResponseReturnValue:
    """Show which computers would be deleted."""
    return _asked(_delete_page)


@blueprint.post("/delete")
@needs(Right.DELETE_COMPUTERS)
def delete() -> ResponseReturnValue:
    """Delete computers; their results stay, and an agent that is still there comes back."""
    return _done(_delete_page, _delete)


Page = Callable[..., str]


def _asked(page: Page) -> ResponseReturnValue:
    """The page that asks before an action; back to the list where nothing was picked."""
    picked = Picked.sent(request.args)
    if picked.nothing:
        flash("Tick at least one computer, or the whole result.", "warning")
        return redirect(url_for("console.computers.index", q=picked.query or None))
    return page(picked)


def _done(page: Page, action: Callable[[Picked], str]) -> ResponseReturnValue:
    """Act on what was picked; ask again where the search finds others than were shown."""
    picked = Picked.sent(request.form)
    if picked.nothing:
        raise SpecError("selection", "no computer was picked", "Tick some in the list first")
    moved = picked.moved(picked.radius()) if picked.whole else ""
    if moved:
        return page(picked, moved=moved), 409
    flash(action(picked), "success")
    return redirect(url_for("console.computers.index", q=picked.query or None))


def _who() -> dict[str, Any]:
    who = person()
    return {"actor": who.name, "now": services().now(), "perimeter": who.perimeter}


def _set_tag(picked: Picked, wanted: str) -> str:
    count = fleet.set_tag(db.session(), picked.selection(), wanted, **_who())
    shown = " ".join(wanted.split())[:80]
    said = f"{plural(count, 'computer')} now {'has' if count == 1 else 'have'}"
    return f"{said} the tag {shown}." if shown else f"{said} no tag here."


def _set_values(picked: Picked) -> str:
    wanted = _wanted_values()
    if not wanted:
        return "Nothing was changed: every setting was left as it is."
    count = fleet.set_values(db.session(), picked.selection(), wanted, **_who())
    said = plural(len(wanted), "setting")
    return f"Changed {said} of {plural(count, 'computer')}; agents learn it at their next contact."


def _delete(picked: Picked) -> str:
    who = _who()
    now, perimeter = who["now"], who["perimeter"]
    gone = fleet.device_ids(db.session(), picked.selection(), now=now, perimeter=perimeter)
    count = computers.delete_computers(db.session(), gone, **who)
    return f"Deleted {plural(count, 'computer')}. Their results stay in the history."


def _wanted_values() -> dict[str, str | None]:
    """The settings that the form changes: a value, or None for the default."""
    found: dict[str, str | None] = {}
    for view in _options():
        what = request.form.get(f"{view.name}-do", _LEAVE)
        if what == _DEFAULT:
            found[view.name] = None
        elif what == _VALUE:
            found[view.name] = request.form.get(view.name, "").strip()
    return found


def _options() -> list[SettingView]:
    return settings.list_settings(db.session(), Scope("computer", 0))


def _tag_page(
    picked: Picked, *, problems: dict[str, str] | None = None, tag: str = "", moved: str = ""
) -> str:
    perimeter = person().perimeter
    tags = sorted(perimeter) if perimeter else computers.tags_in_use(db.session())
    return _page("bulk/tag.html", picked, moved, problems=problems or {}, tag=tag, tags=tags)


def _settings_page(
    picked: Picked, *, problems: dict[str, str] | None = None, moved: str = ""
) -> str:
    more = {"views": _options(), "problems": problems or {}, "sent": request.form}
    return _page("bulk/settings.html", picked, moved, **more)


def _delete_page(picked: Picked, *, moved: str = "") -> str:
    return _page("bulk/delete.html", picked, moved)


def _page(template: str, picked: Picked, moved: str, **context: Any) -> str:
    return render_template(
        template,
        section="computers",
        picked=picked,
        radius=picked.radius(),
        moved=moved,
        **context,
    )

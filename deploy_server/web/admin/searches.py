"""What helps to search: completion, the criteria builder, searches saved under a name."""

from dataclasses import asdict

from flask import Blueprint, flash, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import Forbidden
from deploy_server.domain.search.writing import Criterion, write
from deploy_server.services import searching
from deploy_server.services.searching import Reader
from deploy_server.storage.types import fold
from deploy_server.web.database import db
from deploy_server.web.errors import wants_html
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services
from deploy_server.web.undo import flash_done

blueprint = Blueprint("searches", __name__, url_prefix="/searches")


@blueprint.post("")
@needs(Right.READ)
def save() -> ResponseReturnValue:
    """Save a search under a name."""
    query, audience = request.form.get("q", ""), request.form.get("audience", "mine")
    if audience != "mine" and not person().may(Right.JOIN_GROUPS):
        raise Forbidden("viewers keep their searches to themselves", "Save it for yourself")
    name = searching.save_search(
        db.session(),
        reader(),
        request.form.get("name", ""),
        query,
        audience,
        now=services().now(),
    )
    flash(f"The search {name} is saved.", "success")
    return redirect(url_for("console.computers.index", q=query.strip()))


@blueprint.get("/complete")
@needs(Right.READ)
def complete() -> ResponseReturnValue:
    """Say what may stand where somebody writes; the values are those that they may see."""
    text = request.args.get("q", "")
    found = searching.complete(
        db.session(),
        text,
        request.args.get("at", len(text), type=int),
        perimeter=person().perimeter,
        all_groups=person().may(Right.EDIT_GROUPS),
    )
    suggestions = [asdict(each) for each in found.suggestions]
    return jsonify(start=found.start, suggestions=suggestions)


@blueprint.get("/criteria")
@needs(Right.READ)
def criteria() -> ResponseReturnValue:
    """Write the expression of the criteria builder: for its script, or search for it."""
    columns = [request.args.getlist(name) for name in ("field", "of", "operator", "value")]
    rows = [Criterion(*each) for each in zip(*columns, strict=False) if each[0]]
    text = write(rows, request.args.get("join", "and"))
    if wants_html():
        return redirect(url_for("console.computers.index", q=text or None))
    return jsonify(expression=text)


@blueprint.post("/<int:search_id>/delete")
@needs(Right.READ)
def delete(search_id: int) -> ResponseReturnValue:
    """Delete a search of one's own; a superadmin deletes what others share, too."""
    anybodys = person().may(Right.EDIT_USERS)
    found = {each.id: each for each in searching.list_searches(db.session(), reader())}
    name = searching.delete_search(
        db.session(), reader(), search_id, anybodys=anybodys, now=services().now()
    )
    said, gone = f"The search {name} is deleted.", found[search_id]
    audience = gone.audience
    if audience == "tag":
        mine = {fold(tag): tag for tag in person().tags}
        audience = f"tag:{mine.get(gone.audience_key, '')}"
    if gone.own and audience != "tag:":
        again = {"name": name, "q": gone.expression, "audience": audience}
        flash_done(said, "Save it again", url_for(".save"), again)
    else:  # whoever saved again what another has shared would become its owner
        flash(said, "success")
    return redirect(url_for("console.computers.index"))


def reader() -> Reader:
    """Whoever is logged in, as saved searches know them."""
    who = person()
    return Reader(who.id, who.role, who.tags)

"""Computers that look alike: side by side, and merged by an administrator."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.duplicates import Likeness
from deploy_server.services import computers, duplicates
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.pages import listing, row_id
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services

blueprint = Blueprint("duplicates", __name__, url_prefix="/computers/duplicates")

_LABELS = {
    Likeness.SERIAL: "Same serial number",
    Likeness.MAC: "Same network card",
    Likeness.NAME: "Same name",
}


@blueprint.get("")
@needs(Right.DELETE_COMPUTERS)
def index() -> ResponseReturnValue:
    """List computers that look alike."""
    asked = request.args.get("by", "")
    likeness = Likeness(asked) if asked in set(Likeness) else Likeness.SERIAL
    page = duplicates.lookalikes(
        db.session(), likeness, perimeter=person().perimeter, page=listing("").page
    )
    return render_template(
        "duplicates/index.html",
        section="computers",
        likeness=likeness,
        labels=_LABELS,
        page=page,
    )


@blueprint.get("/merge")
@needs(Right.DELETE_COMPUTERS)
def ask() -> ResponseReturnValue:
    """Show what merging would do."""
    keep = request.args.get("keep", 0, type=row_id)
    gone = [each for each in request.args.getlist("computer", type=row_id) if each != keep]
    if not keep or not gone:
        flash("Say which one stays, and tick at least one other.", "warning")
        return redirect(url_for(".index", by=request.args.get("by")))
    perimeter = person().perimeter
    rows = [
        computers.get_computer_by_id(db.session(), each, perimeter=perimeter)
        for each in (keep, *gone)
    ]
    keeps, *goes = rows
    return render_template("duplicates/merge.html", section="computers", keep=keeps, gone=goes)


@blueprint.post("/merge")
@needs(Right.DELETE_COMPUTERS)
def merge() -> ResponseReturnValue:
    """Merge computers into the one that stays."""
    keep = request.form.get("keep", 0, type=row_id)
    count = duplicates.merge(
        db.session(),
        keep,
        request.form.getlist("computer", type=row_id),
        actor=person().name,
        now=services().now(),
        perimeter=person().perimeter,
    )
    flash(f"Merged {plural(count, 'computer')} into this one.", "success")
    return redirect(url_for("console.computers.show", computer_id=keep))

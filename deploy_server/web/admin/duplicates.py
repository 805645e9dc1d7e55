"""Computers that look alike: side by side, and merged by an administrator."""

from collections.abc import Sequence

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.duplicates import Likeness, Trait, says_itself
from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import computers, duplicates, settings
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
    Likeness.CHOSEN: "All that is chosen",
}

_TRAITS = {
    Trait.NAME: "name",
    Trait.SERIAL: "serial number",
    Trait.MAC: "network card",
    Trait.MODEL: "model",
}


@blueprint.get("")
@needs(Right.DELETE_COMPUTERS)
def index() -> ResponseReturnValue:
    """List computers that look alike."""
    asked = request.args.get("by", "")
    likeness = Likeness(asked) if asked in set(Likeness) else Likeness.SERIAL
    traits = duplicates.traits_of(db.session(), likeness)
    page = duplicates.lookalikes(
        db.session(), likeness, perimeter=person().perimeter, page=listing("").page
    )
    return render_template(
        "duplicates/index.html",
        section="computers",
        likeness=likeness,
        labels=_LABELS,
        page=page,
        traits=[_TRAITS[each] for each in traits],
        blacklist=_blacklist(traits),
    )


@blueprint.post("/ignore")
@needs(Right.EDIT_GLOBAL_SETTINGS)
def ignore() -> ResponseReturnValue:
    """Add a serial number or a network card to those that say nothing."""
    asked, value = request.form.get("by", ""), " ".join(request.form.get("value", "").split())
    likeness = Likeness(asked) if asked in set(Likeness) else Likeness.CHOSEN
    name = _blacklist(duplicates.traits_of(db.session(), likeness))
    if not name or not value:
        raise NotFound("only a serial number or a network card can be ignored", "Reload the list")
    if not says_itself(value):
        raise SpecError(
            "value",
            f"the setting {name} would take {value[:80]!r} for a pattern or a remark, and then"
            " ignore others or nothing",
            "Write a line that fits this value alone into the setting, with * for what cannot"
            " stand there",
        )
    before = settings.get_setting(db.session(), name).value
    wanted = f"{before}\n{value}".strip()
    settings.set_setting(db.session(), name, wanted, actor=person().name, now=services().now())
    flash(f"{value[:80]} makes no look-alikes any more. The setting {name} has it.", "success")
    return redirect(url_for(".index", by=likeness.value))


def _blacklist(traits: Sequence[Trait]) -> str:
    """The setting that a value of one trait alone can be added to; '' for none."""
    return duplicates.BLACKLISTS.get(traits[0], "") if len(traits) == 1 else ""


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

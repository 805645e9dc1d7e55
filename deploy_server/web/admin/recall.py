"""Stopping a package: whom it reaches, what the agents say of it afterwards, the way back."""

from contextlib import suppress
from datetime import UTC, datetime

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import NotFound
from deploy_server.services import assigning, withdrawing
from deploy_server.services.assigning import Cleared
from deploy_server.web.admin.results import about
from deploy_server.web.admin.taking import lists_of
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.pages import PAGE_SIZE, listing
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services
from deploy_server.web.undo import flash_cleared

blueprint = Blueprint("recall", __name__, url_prefix="/packages/<int:package_id>/stop")

#: The agents' words in addresses.
_WORDS = {
    "stopped": withdrawing.STOPPED,
    "running": withdrawing.RUNNING,
    "finished": withdrawing.FINISHED,
    "unanswered": withdrawing.UNSAID,
}


@blueprint.get("")
@needs(Right.ASSIGN)
def ask(package_id: int) -> ResponseReturnValue:
    """Show whom stopping the package would reach."""
    reached = assigning.preview_stop(
        db.session(), package_id, now=services().now(), perimeter=person().perimeter
    )
    return render_template(
        "results/stop.html",
        **about(package_id, "list"),
        reached=reached,
        lists=lists_of(package_id),
    )


@blueprint.post("")
@needs(Right.ASSIGN)
def stop(package_id: int) -> ResponseReturnValue:
    """Take the package back from whoever has not ended it."""
    now = services().now()
    reached = assigning.stop(
        db.session(), package_id, actor=person().name, now=now, perimeter=person().perimeter
    )
    said = [f"Stopped. {plural(reached.waiting, 'computer')} that waited will not be told"]
    if reached.told:
        said.append(f"{plural(reached.told, 'agent')} will be told to drop it")
    if reached.beyond:
        said.append(f"{plural(reached.beyond, 'agent')} of OCS cannot be told and may go on")
    text = "; ".join(said) + ". Results that still come go to the history."
    if reached.waiting and not (reached.told or reached.beyond or reached.groups):
        flash_cleared(text, "Let them wait again", package_id, "waiting", reached.waiting, now)
    else:
        flash(text, "success")
    # Whom nobody told has no word to give.
    view = ".taken_back" if reached.told else "console.results.index"
    return redirect(url_for(view, package_id=package_id))


@blueprint.post("/back")
@needs(Right.ASSIGN)
def bring_back(package_id: int) -> ResponseReturnValue:
    """Take back that rows of the package were cleared at one moment."""
    what, cleared, cleared_at = _cleared()
    rows = assigning.bring_back(
        db.session(),
        package_id,
        cleared_at,
        what,
        rows=cleared,
        actor=person().name,
        now=services().now(),
        perimeter=person().perimeter,
    )
    again = "waits again" if rows == 1 else "wait again"
    if what == "success":
        again = "is counted again" if rows == 1 else "are counted again"
    flash(f"{plural(rows, 'computer')} {again}.", "success")
    return redirect(url_for("console.packages.show", package_id=package_id))


@blueprint.get("/computers")
@needs(Right.READ)
def taken_back(package_id: int) -> ResponseReturnValue:
    """List the computers that the package was taken back from, by the agent's word for it."""
    chosen = request.args.get("word", "")
    context = about(package_id, "withdrawn")
    if not chosen:
        present = [name for name, word in _WORDS.items() if word in context["withdrawn"]]
        chosen = (present or list(_WORDS))[0]
    if chosen not in _WORDS:
        raise NotFound(f"no agent says {chosen[:40]!r}", "Follow a link of the package's results")
    page = withdrawing.withdrawn_page(
        db.session(),
        package_id,
        _WORDS[chosen],
        perimeter=person().perimeter,
        page=listing("at").page,
        page_size=PAGE_SIZE,
    )
    return render_template(
        "results/withdrawn.html", **context, words=_WORDS, chosen=chosen, page=page
    )


def _cleared() -> tuple[Cleared, int, datetime]:
    """Which rows the form names, how many, and when they were cleared."""
    named = request.form.get("what", "")
    kinds: dict[str, Cleared] = {"waiting": "waiting", "success": "success"}
    what = kinds.get(named)
    moment: datetime | None = None
    with suppress(ValueError, OverflowError):
        sent = datetime.fromisoformat(request.form.get("at", ""))
        moment = sent.astimezone(UTC) if sent.tzinfo else None
    rows = request.form.get("rows", 0, type=int)
    if what is None or moment is None or rows < 1:
        raise NotFound("that names nothing that was cleared", "Look at the package's results")
    return what, rows, moment

"""Results of a package: lists behind counts, over time, by group; validating, running again."""

from collections.abc import Iterable
from typing import Any, cast, get_args

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass, ResultCode
from deploy_server.domain.errors import NotFound
from deploy_server.services import assigning, packages, status, withdrawing
from deploy_server.services.status import Validation
from deploy_server.web import charts
from deploy_server.web.database import db
from deploy_server.web.exports import csv_response
from deploy_server.web.formats import CLASS_NAMES, class_slices, plural
from deploy_server.web.pages import PAGE_SIZE, listing, row_id
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services
from deploy_server.web.undo import flash_cleared

blueprint = Blueprint("results", __name__, url_prefix="/packages/<int:package_id>/results")

_COLUMNS = (
    "device_id",
    "name",
    "tag",
    "status",
    "class",
    "since",
    "group",
    "last_contact",
    "assigned",
    "assigned_by",
)

_CLASSES = {name: which for which, name in CLASS_NAMES.items()}

#: What each way of validating does, in the words of its button, its page and its report.
_VALIDATIONS: dict[str, dict[str, str]] = {
    "success": {
        "title": "Validate successes",
        "what": "Computers on which the package succeeded leave the counts.",
        "done": "Cleared {rows} that succeeded.",
    },
    "not_notified": {
        "title": "Unassign not notified",
        "what": "Computers that were not told of the package yet do not get it.",
        "done": "Withdrew the package from {rows} that had not been told.",
    },
    "all": {
        "title": "Validate all",
        "what": "Every computer leaves the counts: successes, errors, and those that wait or were"
        " told. What an agent was already told of may still run; its report goes to the history.",
        "done": "Cleared {rows}.",
    },
}


@blueprint.get("")
@needs(Right.READ)
def index(package_id: int) -> ResponseReturnValue:
    """List the computers behind a count."""
    asked = _asked()
    page = status.results(
        db.session(),
        package_id,
        now=services().now(),
        wanted=asked,
        perimeter=person().perimeter,
        page=listing("since").page,
        page_size=PAGE_SIZE,
    )
    return render_template(
        "results/index.html",
        **about(package_id, "list"),
        chosen=request.args.get("class", ""),
        wanted=asked,
        page=page,
    )


@blueprint.get("/export")
@needs(Right.READ)
def export(package_id: int) -> ResponseReturnValue:
    """Send the list as CSV: all its pages."""
    asked, perimeter = _asked(), person().perimeter

    def find(session: Session) -> Iterable[Iterable[object]]:
        now = services().now()
        return map(
            _cells,
            status.each_result(session, package_id, now=now, wanted=asked, perimeter=perimeter),
        )

    name = f"results-{package_id:010d}-{services().now():%Y-%m-%d}.csv"
    return csv_response(name, _COLUMNS, find)


@blueprint.get("/time")
@needs(Right.READ)
def time(package_id: int) -> ResponseReturnValue:
    """Show how the results came in, hour by hour."""
    session, now, perimeter = db.session(), services().now(), person().perimeter
    hours = status.statistics(session, package_id, by="hour", now=now, perimeter=perimeter)
    context = about(package_id, "time")
    return render_template(
        "results/time.html",
        **context,
        curve=charts.curve(hours, context["status"].total, now),
        rows=charts.rows(hours, context["status"].total),
    )


@blueprint.get("/groups")
@needs(Right.READ)
def groups(package_id: int) -> ResponseReturnValue:
    """Show how far each group is."""
    session, now, perimeter = db.session(), services().now(), person().perimeter
    found = status.statistics(session, package_id, by="group", now=now, perimeter=perimeter)
    rows = [{"group": each, "slices": class_slices(each.by_class)} for each in found]
    return render_template("results/groups.html", **about(package_id, "groups"), rows=rows)


@blueprint.get("/validate")
@needs(Right.ASSIGN)
def ask_validate(package_id: int) -> ResponseReturnValue:
    """Show how many computers a validation would clear."""
    what = _validation(request.args.get("what", ""))
    session = db.session()
    found = status.package_status(
        session, package_id, now=services().now(), perimeter=person().perimeter
    )
    by_class = found.by_class
    rows = {
        "success": by_class.get(ResultClass.SUCCESS, 0),
        "not_notified": by_class.get(ResultClass.WAITING, 0),
        "all": found.total,
    }[what]
    return render_template(
        "results/validate.html",
        section="packages",
        package=packages.get_package(session, package_id, deleted=True),
        what=what,
        words=_VALIDATIONS[what],
        rows=rows,
        status=found,
    )


@blueprint.post("/validate")
@needs(Right.ASSIGN)
def validate(package_id: int) -> ResponseReturnValue:
    """Clear rows of a package."""
    what, now = _validation(request.form.get("what", "")), services().now()
    rows = status.validate(
        db.session(),
        package_id,
        what,
        actor=person().name,
        now=now,
        perimeter=person().perimeter,
    )
    said = _VALIDATIONS[what]["done"].format(rows=plural(rows, "computer"))
    said += " The history keeps what they reported."
    if rows and what == "success":
        flash_cleared(said, "Count them again", package_id, "success", rows, now)
    elif rows and what == "not_notified":
        flash_cleared(said, "Let them wait again", package_id, "waiting", rows, now)
    else:
        flash(said, "success")
    return redirect(url_for("console.packages.show", package_id=package_id))


@blueprint.get("/again")
@needs(Right.RUN_AGAIN)
def ask_again(package_id: int) -> ResponseReturnValue:
    """Show on how many computers the package would run again."""
    code = request.args.get("status", "")
    context = about(package_id, "list")
    failed = {
        each: number
        for each, number in context["status"].by_status.items()
        if ResultCode.parse(each).result_class is ResultClass.ERROR and code in ("", each)
    }
    return render_template("results/again.html", **context, code=code, failed=failed)


@blueprint.post("/again")
@needs(Right.RUN_AGAIN)
def again(package_id: int) -> ResponseReturnValue:
    """Run the package again where it failed: on the ticked computers, or on all."""
    everywhere = request.form.get("everywhere") == "1"
    ids = request.form.getlist("computer", type=row_id)
    back = redirect(url_for(".index", package_id=package_id) + "?class=error")
    if not ids and not everywhere:
        flash("Tick at least one computer.", "warning")
        return back
    rows = assigning.assign_again(
        db.session(),
        package_id,
        None if everywhere else ids,
        actor=person().name,
        now=services().now(),
        perimeter=person().perimeter,
        status=request.form.get("status") or None,
    )
    if rows:
        flash(f"{plural(rows, 'computer')} will try again at the next contact.", "success")
    else:
        flash("No computer: nothing had failed, or its activation has ended.", "warning")
    return back


def about(package_id: int, view: str) -> dict[str, Any]:
    """What every page of the results shows."""
    session, now, perimeter = db.session(), services().now(), person().perimeter
    found = status.package_status(session, package_id, now=now, perimeter=perimeter)
    return {
        "section": "packages",
        "package": packages.get_package(session, package_id, deleted=True),
        "status": found,
        "withdrawn": withdrawing.words(session, package_id, perimeter=perimeter),
        "view": view,
    }


def _asked() -> status.Wanted:
    """What the address asks for.

    Raises:
        NotFound: a class that nobody knows.
    """
    chosen = request.args.get("class", "")
    if chosen and chosen not in _CLASSES:
        raise NotFound(f"there is no class {chosen[:40]!r} of results")
    return status.Wanted(
        status=request.args.get("status") or None,
        status_class=_CLASSES.get(chosen),
        group=request.args.get("group"),
        when=request.args.get("when"),
    )


def _cells(row: status.ResultRow) -> tuple[object, ...]:
    return (
        row.device_id,
        row.computer_name,
        row.tag,
        row.status,
        CLASS_NAMES[row.status_class],
        row.since,
        row.group,
        row.last_contact,
        row.assigned_at,
        row.assigned_by,
    )


def _validation(text: str) -> Validation:
    if text not in get_args(Validation):
        raise NotFound(f"there is no validation called {text[:40]!r}")
    return cast(Validation, text)

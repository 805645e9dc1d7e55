"""Results of a package: the lists behind its counts, validation, running failed ones again."""

from typing import Any, cast, get_args

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_agent.wire.result import ResultClass
from deploy_server.domain.errors import NotFound
from deploy_server.services import assigning, packages, status, withdrawing
from deploy_server.services.status import Validation
from deploy_server.web.database import db
from deploy_server.web.formats import CLASS_NAMES, plural
from deploy_server.web.pages import PAGE_SIZE, listing, row_id
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services

blueprint = Blueprint("results", __name__, url_prefix="/packages/<int:package_id>/results")

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
    session, now, perimeter = db.session(), services().now(), person().perimeter
    chosen = request.args.get("class", "")
    code = request.args.get("status", "")
    if chosen and chosen not in _CLASSES:
        raise NotFound(f"there is no class {chosen[:40]!r} of results")
    return render_template(
        "results/index.html",
        section="packages",
        package=packages.get_package(session, package_id, deleted=True),
        chosen=chosen,
        code=code,
        status=status.package_status(session, package_id, now=now, perimeter=perimeter),
        withdrawn=withdrawing.words(session, package_id, perimeter=perimeter),
        page=status.results(
            session,
            package_id,
            now=now,
            status=code or None,
            status_class=_CLASSES.get(chosen),
            perimeter=perimeter,
            page=listing("since").page,
            page_size=PAGE_SIZE,
        ),
    )


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
    what = _validation(request.form.get("what", ""))
    rows = status.validate(
        db.session(),
        package_id,
        what,
        actor=person().name,
        now=services().now(),
        perimeter=person().perimeter,
    )
    said = _VALIDATIONS[what]["done"].format(rows=plural(rows, "computer"))
    flash(f"{said} The history keeps what they reported.", "success")
    return redirect(url_for("console.packages.show", package_id=package_id))


@blueprint.post("/again")
@needs(Right.RUN_AGAIN)
def again(package_id: int) -> ResponseReturnValue:
    """Run the package again where it failed: on the ticked computers."""
    ids = request.form.getlist("computer", type=row_id)
    back = redirect(url_for(".index", package_id=package_id) + "?class=error")
    if not ids:
        flash("Tick at least one computer.", "warning")
        return back
    rows = assigning.assign_again(
        db.session(),
        package_id,
        ids,
        actor=person().name,
        now=services().now(),
        perimeter=person().perimeter,
    )
    flash(f"{plural(rows, 'computer')} will try again at the next contact.", "success")
    return back


def validation_links() -> list[tuple[str, dict[str, Any]]]:
    """The ways to validate, for the package's page."""
    return [(what, dict(words)) for what, words in _VALIDATIONS.items()]


def _validation(text: str) -> Validation:
    if text not in get_args(Validation):
        raise NotFound(f"there is no validation called {text[:40]!r}")
    return cast(Validation, text)

"""Activating packages: where agents fetch them, checked from here."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import Conflict, NotFound, SpecErrors
from deploy_server.domain.location import is_local
from deploy_server.services import activation, packages
from deploy_server.services.activation import Check
from deploy_server.storage.models import Activation, Package
from deploy_server.web.database import db
from deploy_server.web.formats import plural
from deploy_server.web.pages import row_id
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services
from deploy_server.web.undo import flash_done

blueprint = Blueprint("activations", __name__)


@blueprint.get("/packages/<int:package_id>/activate")
@needs(Right.ACTIVATE)
def form(package_id: int) -> ResponseReturnValue:
    """Ask where agents find the package; this server is filled in, and looked at if asked to."""
    session = db.session()
    package = packages.get_package(session, package_id)
    info, fragments = activation.default_locations(session, services().config.in_use(), package)
    try:
        checks = check(package, info, fragments) if request.args.get("checked") else []
    except SpecErrors as errors:
        return _page(package, info, fragments, problems=errors.by_field())
    package = packages.get_package(session, package_id)
    return _page(package, info, fragments, checks=checks)


@blueprint.post("/packages/<int:package_id>/activate")
@needs(Right.ACTIVATE)
def activate(package_id: int) -> ResponseReturnValue:
    """Look at both places as an agent would, then activate; or ask whether to do so anyway."""
    session = db.session()
    package = packages.get_package(session, package_id)
    info = request.form.get("info_url", "").strip()
    fragments = request.form.get("fragment_url", "").strip()
    confirmed = request.form.get("confirmed", "") == f"{info} {fragments}"
    try:
        checks = [] if confirmed else check(package, info, fragments)
        package = packages.get_package(session, package_id)
        if any(not each.ok for each in checks) or (not confirmed and _is_local(info, fragments)):
            return _page(package, info, fragments, checks=checks), 409
        made = activation.activate(
            session, package, info, fragments, now=services().now(), actor=person().name
        )
    except SpecErrors as errors:
        return _page(package, info, fragments, problems=errors.by_field()), 422
    except Conflict as error:
        return _page(package, info, fragments, problems={"info_url": str(error)}), 409
    flash(f"Activated as A{made.id}. Agents are offered it once it is deployed.", "success")
    return redirect(url_for("console.packages.show", package_id=package_id))


@blueprint.get("/activations/end")
@needs(Right.DEACTIVATE)
def ask_end() -> ResponseReturnValue:
    """Show what ending activations would touch: those that are named, or all of packages."""
    ids = request.args.getlist("activation", type=row_id)
    of = request.args.getlist("package", type=row_id)
    ids += [each.id for one in of for each in activation.list_activations(db.session(), one)]
    if of and not ids:
        flash("None of the ticked packages is activated.", "warning")
        return redirect(url_for("console.packages.index"))
    found = _activations(ids)
    return render_template(
        "activations/end.html",
        section="packages",
        activations=found,
        impact=activation.impact(db.session(), ids),
    )


@blueprint.post("/activations/end")
@needs(Right.DEACTIVATE)
def end() -> ResponseReturnValue:
    """End activations."""
    found = _activations(request.form.getlist("activation", type=row_id))
    gone = activation.deactivate(
        db.session(),
        [each.id for each in found],
        now=services().now(),
        actor=person().name,
    )
    said = (
        f"Ended {plural(gone.activations, 'activation')}. {plural(gone.waiting, 'computer')} that"
        " waited will not be told; no computer and no file was touched."
    )
    if gone.waiting or gone.groups:
        said += " Whoever waited, and groups, would have to be deployed to again."
    again = {"activation": [str(each.id) for each in found]}
    flash_done(said, "Activate again", url_for(".again"), again)
    return _back(found)


@blueprint.post("/activations/again")
@needs(Right.ACTIVATE)
def again() -> ResponseReturnValue:
    """Activate where something was activated before; looked at like any other place."""
    session = db.session()
    ids = request.form.getlist("activation", type=row_id)
    found = [each for each in (session.get(Activation, one) for one in ids) if each]
    if not found:
        raise NotFound("there was no such activation", "Activate the package from its page")
    made = 0
    for each in found:
        package = packages.get_package(session, each.package_id)
        places = each.info_url, each.fragment_url
        checks = check(package, *places)
        package = packages.get_package(session, each.package_id)
        if any(not one.ok for one in checks):
            flash(f"{plural(made, 'activation')} made again before this one.", "warning")
            return _page(package, *places, checks=checks), 409
        now = services().now()
        activation.activate(session, package, *places, now=now, actor=person().name)
        session.commit()  # the next one is looked at without a lock
        made += 1
    flash(f"Activated again: {plural(made, 'activation')} at the same addresses.", "success")
    return _back(found)


def _back(found: list[Activation]) -> ResponseReturnValue:
    """To the package that all of them are of, else to the list."""
    ids = {each.package_id for each in found}
    if len(ids) > 1:
        return redirect(url_for("console.packages.index"))
    return redirect(url_for("console.packages.show", package_id=ids.pop()))


def check(package: Package, info: str, fragments: str) -> list[Check]:
    """Look at both places as an agent would, without holding a lock on the database.

    Whoever needs `package` afterwards gets it anew: here the request's transaction ends.
    """
    session = db.session()
    session.expunge(package)
    session.rollback()
    config, store = services().config.in_use(), services().store
    return activation.check_locations(config, store, package, info, fragments)


def _activations(ids: list[int]) -> list[Activation]:
    session = db.session()
    unique = dict.fromkeys(ids)
    found = [each for each in (session.get(Activation, one) for one in unique) if each]
    if not found or any(each.ended_at for each in found):
        raise NotFound("there is no such activation any more", "Reload the package's page")
    return found


def _is_local(info: str, fragments: str) -> bool:
    """Whether agents would look for one of the two on themselves."""
    return is_local(info) or is_local(fragments)


def _page(package: Package, info: str, fragments: str, **more: Any) -> str:
    context: dict[str, Any] = {"problems": {}, "checks": [], **more}
    return render_template(
        "activations/form.html",
        section="packages",
        package=package,
        info_url=info,
        fragment_url=fragments,
        local=_is_local(info, fragments),
        others=activation.list_activations(db.session(), package.id),
        **context,
    )

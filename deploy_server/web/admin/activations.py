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
    """Show what ending activations would touch."""
    found = _activations(request.args.getlist("activation", type=row_id))
    return render_template("activations/end.html", section="packages", activations=found)


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
    flash(
        f"Ended {plural(gone.activations, 'activation')}. {plural(gone.waiting, 'computer')} that"
        " waited will not be told; no computer and no file was touched.",
        "success",
    )
    return redirect(url_for("console.packages.show", package_id=found[0].package_id))


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
    found = [each for each in (session.get(Activation, one) for one in ids) if each]
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

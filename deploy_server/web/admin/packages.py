"""Packages: the list, one of them, deletion, export."""

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from deploy_agent.wire.fragment import INFO_FILE
from deploy_agent.wire.terms import INFO_MAX
from deploy_server.domain.errors import NotFound
from deploy_server.domain.estimate import estimate_s
from deploy_server.domain.legacy import agents_that_refuse
from deploy_server.domain.spec import OS_FAMILIES
from deploy_server.services import activation, hiding, packages, settings, status
from deploy_server.services.package_list import FILTERS, Wanted, package_page
from deploy_server.services.packages import Impact
from deploy_server.storage.models import Package
from deploy_server.web.database import db
from deploy_server.web.exports import csv_response
from deploy_server.web.formats import OS_LABELS, class_slices, plural, slices
from deploy_server.web.package_columns import all_columns, cell, choose_columns, chosen_columns
from deploy_server.web.pages import PAGE_SIZE, listing, row_id
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person, safe_next
from deploy_server.web.services import services
from deploy_server.web.undo import flash_done

_ASKS = ("q", "deleted", "sort", "desc", *FILTERS)
_EVERYTHING = 1_000_000  # packages; no list is longer

blueprint = Blueprint("packages", __name__, url_prefix="/packages")


@blueprint.get("")
@needs(Right.READ)
def index() -> ResponseReturnValue:
    """List the packages, or the deleted ones."""
    asked, wanted = listing("created", descending=True), _wanted()
    page = package_page(
        db.session(),
        wanted,
        now=services().now(),
        sort=asked.sort,
        descending=asked.descending,
        page=asked.page,
        page_size=PAGE_SIZE,
        perimeter=person().perimeter,
    )
    return render_template(
        "packages/index.html",
        section="packages",
        page=page,
        asked=asked,
        wanted=wanted,
        deleted=wanted.deleted,
        columns=chosen_columns(deleted=wanted.deleted),
        all_columns=all_columns(deleted=wanted.deleted),
        cell=cell,
        systems=[(each, OS_LABELS[each]) for each in OS_FAMILIES],
        csv_of={key: value for key, value in request.args.items(multi=True) if key in _ASKS},
    )


@blueprint.post("/columns")
@needs(Right.READ)
def columns() -> ResponseReturnValue:
    """Keep which columns the person wants to see."""
    deleted = request.form.get("deleted") == "1"
    choose_columns(request.form.getlist("column"), deleted=deleted)
    back = safe_next(request.form.get("back", ""))
    return redirect(back if back.startswith(url_for(".index")) else url_for(".index"))


@blueprint.get("/csv")
@needs(Right.READ)
def export_list() -> ResponseReturnValue:
    """Send the list as CSV: all its pages, with the columns that are shown."""
    asked, wanted = listing("created", descending=True), _wanted()
    keys = [each.key for each in chosen_columns(deleted=wanted.deleted)]
    keys = list(dict.fromkeys(("id", "name", *keys)))

    def find(session: Session) -> Iterable[Iterable[object]]:
        page = package_page(
            session,
            wanted,
            now=services().now(),
            sort=asked.sort,
            descending=asked.descending,
            page_size=_EVERYTHING,
            perimeter=person().perimeter,
        )
        return ([cell(row, key) for key in keys] for row in page.rows)

    name = f"packages{'-deleted' if wanted.deleted else ''}-{services().now():%Y-%m-%d}.csv"
    return csv_response(name, keys, find)


@blueprint.get("/purge")
@needs(Right.DELETE_PACKAGES)
def ask_purge() -> ResponseReturnValue:
    """Show what taking deleted packages off the list would touch."""
    ids = request.args.getlist("package", type=row_id)
    if not ids:
        flash("Tick at least one package.", "warning")
        return redirect(url_for(".index", deleted=1))
    session = db.session()
    return render_template(
        "packages/purge.html",
        section="packages",
        packages=packages.deleted_packages(session, ids),
        computers=packages.histories_with(session, ids),
    )


@blueprint.post("/purge")
@needs(Right.DELETE_PACKAGES)
def purge() -> ResponseReturnValue:
    """Take deleted packages off the list; their results stay."""
    ids = request.form.getlist("package", type=row_id)
    back = redirect(url_for(".index", deleted=1))
    if not ids:
        flash("Tick at least one package.", "warning")
        return back
    computers = packages.purge_packages(
        db.session(), ids, now=services().now(), actor=person().name
    )
    flash(
        f"Purged {plural(len(ids), 'package')}; the ids went out of the histories of"
        f" {plural(computers, 'computer')}. Results stay in the history.",
        "success",
    )
    return back


@blueprint.post("/hide")
@needs(Right.EDIT_PACKAGES)
def hide() -> ResponseReturnValue:
    """Hide packages from operators and viewers, or show them again."""
    ids = request.form.getlist("package", type=row_id)
    hidden = request.values.get("hidden") == "1"
    if not ids:
        raise NotFound("no package was named", "Tick packages in the list and press hide")
    changed = hiding.set_hidden(
        db.session(), ids, hidden, now=services().now(), actor=person().name
    )
    if not changed:
        flash(f"Nothing to do: {'hidden' if hidden else 'shown'} already.", "success")
    else:
        them = "it" if len(changed) == 1 else "them"
        what = f"hidden: only administrators see {them}" if hidden else "shown to everybody again"
        flash_done(
            f"{plural(len(changed), 'package')} {what}.",
            "Show again" if hidden else "Hide again",
            url_for(".hide"),
            {"package": [str(each) for each in changed], "hidden": "" if hidden else "1"},
        )
    one = url_for(".show", package_id=ids[0]) if len(ids) == 1 else url_for(".index")
    return redirect(one)


@blueprint.get("/<int:package_id>")
@needs(Right.READ)
def show(package_id: int) -> ResponseReturnValue:
    """Show everything about a package."""
    session, store = db.session(), services().store
    package = packages.get_package(session, package_id, deleted=True)
    return render_template(
        "packages/show.html",
        section="packages",
        package=package,
        activations=activation.list_activations(session, package_id),
        info=_info_text(package),
        files=store.names(package_id) if package.deleted_at is None else [],
        refusing=agents_that_refuse(package.digest_algorithm, package.digest_encoding)
        if package.fragments
        else (),
        duration_s=_duration_s(package),
        **results_of(package_id),
    )


@blueprint.get("/<int:package_id>/counts")
@needs(Right.READ)
def counts(package_id: int) -> ResponseReturnValue:
    """Show the results of a package; a part of its page that is fetched again and again."""
    package = packages.get_package(db.session(), package_id, deleted=True)
    return render_template("packages/counts.html", package=package, **results_of(package_id))


@blueprint.get("/<int:package_id>/export")
@needs(Right.BUILD)
def export(package_id: int) -> ResponseReturnValue:
    """Send the published folder as a zip."""
    package = packages.get_package(db.session(), package_id)
    pieces = packages.export_package(db.session(), services().store, package_id)
    headers = {"Content-Disposition": f'attachment; filename="{package.id}.zip"'}
    return Response(pieces, mimetype="application/zip", headers=headers)


@blueprint.get("/delete")
@needs(Right.DELETE_PACKAGES)
def ask_delete() -> ResponseReturnValue:
    """Show what deleting packages would touch."""
    ids = request.args.getlist("package", type=row_id)
    if not ids:
        flash("Tick at least one package.", "warning")
        return redirect(url_for(".index"))
    session = db.session()
    return render_template(
        "packages/delete.html",
        section="packages",
        packages=[packages.get_package(session, each) for each in ids],
        impact=packages.impact(session, ids),
    )


@blueprint.post("/delete")
@needs(Right.DELETE_PACKAGES)
def delete() -> ResponseReturnValue:
    """Delete packages with their files; their results stay."""
    ids = request.form.getlist("package", type=row_id)
    if not ids:
        raise NotFound("no package was named", "Tick packages in the list and press delete")
    gone = packages.delete_packages(
        db.session(), services().store, ids, now=services().now(), actor=person().name
    )
    flash(_deleted(gone), "success")
    return redirect(url_for(".index"))


def results_of(package_id: int) -> dict[str, Any]:
    """The counts of a package, as its page draws them."""
    found = status.package_status(
        db.session(), package_id, now=services().now(), perimeter=person().perimeter
    )
    ranked = sorted(found.by_status.items(), key=lambda each: (-each[1], each[0]))
    return {
        "status": found,
        "slices": class_slices(found.by_class, found.already),
        "by_status": ranked,
        "shares": {each.label: each.share for each in slices((k, "", n) for k, n in ranked)},
    }


def _duration_s(package: Package) -> int | None:
    """How long an agent takes to fetch it, told what everybody is told; None for ever."""
    told = settings.load_effective(db.session(), None, {}).download()
    return estimate_s(package.fragments, package.size, package.priority, told)


def _wanted() -> Wanted:
    """Which packages the address asks for."""
    filters = {name: request.args.get(name, "") for name in FILTERS}
    deleted = request.args.get("deleted") == "1"
    return Wanted(request.args.get("q", "").strip(), deleted, **filters)


def _info_text(package: Package) -> str:
    """The info file as it is served; '' where there is none any more."""
    if package.deleted_at is not None:
        return ""
    try:
        with services().store.open(package.id, INFO_FILE) as file:
            return file.read(INFO_MAX).decode("utf-8", "replace")
    except NotFound:
        return ""


def _deleted(gone: Impact) -> str:
    said = f"Deleted {plural(gone.packages, 'package')}"
    if gone.activations:
        said += f" with {plural(gone.activations, 'activation')}"
    if gone.waiting:
        said += f"; {plural(gone.waiting, 'computer')} that waited will not be told"
    return f"{said}. Results stay in the history."

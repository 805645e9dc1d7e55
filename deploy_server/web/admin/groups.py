"""Groups: make them, say who is in, see what they are given."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from deploy_server.domain.errors import Conflict, Forbidden, NotFound, SpecError
from deploy_server.domain.group import check_expression
from deploy_server.services import assigning, computers, fleet, group_lists, groups
from deploy_server.services.assigning import Selection
from deploy_server.services.group_lists import GroupPackage
from deploy_server.services.groups import GroupRow
from deploy_server.storage.models import Group
from deploy_server.web.database import db
from deploy_server.web.formats import class_slices, plural
from deploy_server.web.pages import PAGE_SIZE, listing, row_id
from deploy_server.web.picking import Picked
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services

blueprint = Blueprint("groups", __name__, url_prefix="/groups")


@blueprint.get("")
@needs(Right.READ)
def index() -> ResponseReturnValue:
    """List the groups; an expression in the address begins a new dynamic one."""
    wanted = request.args.get("expression", "").strip()
    return _list({"kind": "dynamic", "expression": wanted} if wanted else {}, {})


@blueprint.post("")
@needs(Right.EDIT_GROUPS)
def add() -> ResponseReturnValue:
    """Make a group, static or dynamic."""
    names = ("name", "description", "visible", "kind", "expression")
    values = {name: request.form.get(name, "") for name in names}
    dynamic = values["kind"] == "dynamic"
    try:
        made = groups.add_group(
            db.session(),
            values["name"],
            expression=values["expression"] if dynamic else None,
            description=values["description"],
            visible=bool(values["visible"]) and not dynamic,
            actor=person().name,
            now=services().now(),
        )
    except SpecError as error:
        return _list(values, {error.field: str(error)}, error), 422
    except Conflict as error:
        return _list(values, {"name": str(error)}), 409
    if dynamic:
        said = f"The group {made.name} is there, with {plural(made.members, 'computer')} now."
    else:
        said = f"The group {made.name} is there. Put computers into it."
    flash(said, "success")
    return redirect(url_for(".show", group_id=made.id))


@blueprint.get("/<int:group_id>")
@needs(Right.READ)
def show(group_id: int) -> ResponseReturnValue:
    """Show a group: its members, what they are given."""
    return _page(_group(group_id), {})


@blueprint.post("/<int:group_id>")
@needs(Right.EDIT_GROUPS)
def edit(group_id: int) -> ResponseReturnValue:
    """Change a group; another expression is shown with whom it reaches before it counts."""
    group = _group(group_id)
    dynamic = group.kind == "dynamic"
    expression = request.form.get("expression", group.expression).strip() if dynamic else None
    try:
        if expression not in (None, group.expression) and not request.form.get("confirmed"):
            reach = group_lists.expression_reach(
                db.session(), check_expression(expression), now=services().now()
            )
            return _page(group, {}, changing=(expression or "", reach)), 409
        changed = groups.edit_group(
            db.session(),
            group.name,
            new_name=request.form.get("name", ""),
            expression=expression,
            description=request.form.get("description", ""),
            visible=bool(request.form.get("visible")) and not dynamic,
            now=services().now(),
        )
    except SpecError as error:
        return _page(group, {error.field: str(error)}, error=error), 422
    except Conflict as error:
        return _page(group, {"name": str(error)}), 409
    flash(f"The group {changed.name} is changed.", "success")
    return redirect(url_for(".show", group_id=group_id))


@blueprint.post("/<int:group_id>/members")
@needs(Right.JOIN_GROUPS)
def members(group_id: int) -> ResponseReturnValue:
    """Put computers into a group, keep them out of it, or let its definition decide again."""
    group = _group(group_id)
    ids = request.form.getlist("computer", type=row_id)
    if request.form.get("device_ids"):
        devices = request.form["device_ids"].split()
    else:
        devices = [_device(each) for each in ids]
    if not devices:
        flash("Name or tick at least one computer.", "warning")
        return redirect(url_for(".show", group_id=group_id))
    said = _change(group, request.form.get("do", "include"), devices)
    flash(f"{said} {group.name}.", "success")
    return redirect(url_for(".show", group_id=group_id))


@blueprint.post("/join")
@needs(Right.JOIN_GROUPS)
def join() -> ResponseReturnValue:
    """Put the picked computers into the group that was chosen."""
    picked = Picked.sent(request.form)
    group = _group(request.form.get("group", 0, type=row_id))
    if picked.nothing:
        raise NotFound("no computer was named", "Tick computers in the list first")
    moved = picked.moved(picked.radius()) if picked.whole else ""
    if moved:
        return _choose(picked, moved), 409
    devices = fleet.device_ids(
        db.session(), picked.selection(), now=services().now(), perimeter=person().perimeter
    )
    said = _change(group, "include", devices)
    flash(f"{said} {group.name}.", "success")
    if len(picked.ids) == 1 and not picked.whole:
        return redirect(url_for("console.computers.show", computer_id=picked.ids[0], tab="groups"))
    return redirect(url_for(".show", group_id=group.id))


@blueprint.get("/choose")
@needs(Right.JOIN_GROUPS)
def choose() -> ResponseReturnValue:
    """Ask into which group the picked computers go."""
    picked = Picked.sent(request.args)
    if picked.nothing:
        flash("Tick at least one computer, or the whole result.", "warning")
        return redirect(url_for("console.computers.index", q=picked.query or None))
    return _choose(picked)


@blueprint.get("/<int:group_id>/unassign")
@needs(Right.ASSIGN)
def ask_unassign(group_id: int) -> ResponseReturnValue:
    """Show what taking a package back from a group would touch."""
    group = _group(group_id)
    package = request.args.get("package", type=row_id)
    found = [row for row in _assigned(group) if row.package.id == package]
    if not found:
        raise NotFound("the group is not given that package", "Reload the group's page")
    return render_template("groups/unassign.html", section="groups", group=group, row=found[0])


@blueprint.post("/<int:group_id>/unassign")
@needs(Right.ASSIGN)
def unassign(group_id: int) -> ResponseReturnValue:
    """Take a package back from a group."""
    group = _group(group_id)
    named = request.form.get("package", "")
    # Members without a row of their own wait, too; they are counted as the page before did.
    waiting = sum(row.waiting for row in _assigned(group) if str(row.package.id) == named)
    assigning.unassign(
        db.session(),
        named,
        Selection(group=group.name),
        actor=person().name,
        now=services().now(),
        perimeter=person().perimeter,
    )
    flash(
        f"Took the package back from the group; up to {plural(waiting, 'computer')} that waited"
        " will not be told. Members that were told keep it.",
        "success",
    )
    return redirect(url_for(".show", group_id=group_id))


@blueprint.get("/<int:group_id>/delete")
@needs(Right.EDIT_GROUPS)
def ask_delete(group_id: int) -> ResponseReturnValue:
    """Show what deleting a group would touch."""
    group = _group(group_id)
    return render_template(
        "groups/delete.html", section="groups", group=group, packages=_assigned(group)
    )


@blueprint.post("/<int:group_id>/delete")
@needs(Right.EDIT_GROUPS)
def delete(group_id: int) -> ResponseReturnValue:
    """Delete a group; no computer is deleted."""
    group = _group(group_id)
    given = len(_assigned(group))
    groups.delete_group(db.session(), group.name, now=services().now())
    said = f"The group {group.name} is deleted; its {plural(group.members, 'computer')} "
    said += "is not" if group.members == 1 else "are not"
    if given:
        said += f". {plural(given, 'package')} withdrawn from whoever was not told yet"
    flash(f"{said}.", "success")
    return redirect(url_for(".index"))


def _change(group: GroupRow, what: str, devices: list[str]) -> str:
    session, now, perimeter = db.session(), services().now(), person().perimeter
    if not person().may(Right.EDIT_GROUPS):
        _check_allowed(group, what, devices)
    if what == "reset":
        count = groups.reset(session, group.name, devices, now=now, perimeter=perimeter)
        return f"{plural(count, 'computer')} no longer set by hand in"
    change = {"include": groups.include, "exclude": groups.exclude}.get(what)
    if change is None:
        raise NotFound(f"members cannot be changed by {what[:40]!r}")
    count = change(session, group.name, devices, actor=person().name, now=now, perimeter=perimeter)
    verb = "put into" if what == "include" else "kept out of"
    return f"{plural(count, 'computer')} {verb}"


def _check_allowed(group: GroupRow, what: str, devices: list[str]) -> None:
    """Let people whose group it is not put computers in and take them out again, and no more.

    Raises:
        Forbidden: they keep somebody out, or somebody is kept out by those whose group it is.
    """
    if what == "exclude":
        raise Forbidden(
            f"an administrator says who is kept out of {group.name}",
            "Take the computers out instead",
        )
    perimeter = person().perimeter
    kept = group_lists.kept_out(db.session(), group.id, devices, perimeter=perimeter)
    if kept:
        more = f" and {len(kept) - 3} more" if len(kept) > 3 else ""
        raise Forbidden(
            f"an administrator keeps {', '.join(kept[:3])}{more} out of {group.name}; nothing was"
            " changed",
            "Leave them out, or ask for a change",
        )


def _group(group_id: int) -> GroupRow:
    """A group that the person may see: operators and viewers see the visible ones."""
    row = db.session().get(Group, group_id)
    if row is None or not (row.visible or person().may(Right.EDIT_GROUPS)):
        raise NotFound("there is no such group", "It may have been deleted; look at the list")
    return groups.get_group(
        db.session(), row.name, now=services().now(), perimeter=person().perimeter
    )


def _device(computer_id: int) -> str:
    perimeter = person().perimeter
    return computers.get_computer_by_id(db.session(), computer_id, perimeter=perimeter).device_id


def _groups() -> list[GroupRow]:
    return groups.list_groups(
        db.session(),
        now=services().now(),
        perimeter=person().perimeter,
        visible_only=not person().may(Right.EDIT_GROUPS),
    )


def _assigned(group: GroupRow) -> list[GroupPackage]:
    """The packages that the group is given, with how far they are."""
    return group_lists.group_packages(
        db.session(), group.id, now=services().now(), perimeter=person().perimeter
    )


def _choose(picked: Picked, moved: str = "") -> str:
    return render_template(
        "groups/choose.html",
        section="computers",
        picked=picked,
        radius=picked.radius(),
        moved=moved,
        groups=_groups(),
    )


def _list(values: dict[str, str], problems: dict[str, str], error: SpecError | None = None) -> str:
    asked = listing("name")
    empty = {"name": "", "description": "", "visible": "", "kind": "static", "expression": ""}
    return render_template(
        "groups/index.html",
        section="groups",
        asked=asked,
        page=group_lists.group_page(
            db.session(),
            query=asked.query,
            now=services().now(),
            perimeter=person().perimeter,
            visible_only=not person().may(Right.EDIT_GROUPS),
            page=asked.page,
            page_size=PAGE_SIZE,
        ),
        values={**empty, **values},
        problems=problems,
        error=error if error and error.field == "expression" else None,
    )


def _page(
    group: GroupRow,
    problems: dict[str, str],
    *,
    changing: tuple[str, int] | None = None,
    error: SpecError | None = None,
) -> str:
    asked = listing("name")
    page = groups.group_members(
        db.session(),
        group.name,
        now=services().now(),
        perimeter=person().perimeter,
        sort=asked.sort,
        descending=asked.descending,
        page=asked.page,
        page_size=PAGE_SIZE,
    )
    row = db.session().get_one(Group, group.id)
    sent = request.form if problems or changing else {}
    return render_template(
        "groups/show.html",
        section="groups",
        group=group,
        page=page,
        asked=asked,
        problems=problems,
        values={
            name: sent.get(name, getattr(group, name))
            for name in ("name", "description", "expression")
        },
        changing=changing,
        error=error if error and error.field == "expression" else None,
        by_hand=group_lists.set_by_hand(db.session(), row, perimeter=person().perimeter),
        packages=_assigned(group),
        class_slices=class_slices,
    )

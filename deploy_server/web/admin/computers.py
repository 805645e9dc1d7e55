"""Computers: search, one of them with its deployments, deletion."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from deploy_server.domain.errors import NotFound, SpecError
from deploy_server.services import (
    assigning,
    computers,
    groups,
    refusals,
    searching,
    settings,
    status,
    withdrawing,
)
from deploy_server.services.computers import ComputerPage, ComputerRow
from deploy_server.services.memberships import memberships_of
from deploy_server.storage.search import search_clause
from deploy_server.web.admin.searches import reader
from deploy_server.web.columns import COLUMNS, cell_text, choose_columns, chosen_columns
from deploy_server.web.criteria import builder
from deploy_server.web.database import db, list_session
from deploy_server.web.formats import csv_line, defused
from deploy_server.web.pages import PAGE_SIZE, listing, row_id
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person, safe_next
from deploy_server.web.services import services

blueprint = Blueprint("computers", __name__, url_prefix="/computers")

#: Searches that people ask for again and again.
COMMON = (
    ("Windows (all)", "os ~ windows"),
    ("Linux (all)", "os is not empty and not (os ~ windows or os ~ mac)"),
    ("macOS (all)", "os ~ mac"),
    ("No contact for 7 days", "last_contact > 7d"),
    ("In contact today", "last_contact < 1d"),
    ("Without a tag", "tag is empty"),
)

#: The tabs of a computer's page.
TABS = {
    "deployments": "Deployments",
    "inventory": "Inventory",
    "software": "Software",
    "history": "History",
    "groups": "Groups",
    "settings": "Settings",
}


#: What people look for first in an inventory.
_FIRST_SECTIONS = ("HARDWARE", "BIOS", "CPUS", "MEMORIES", "DRIVES", "STORAGES", "NETWORKS")


@dataclass(frozen=True)
class Found:
    """What a search box found.

    Attributes:
        page: the computers; None where the expression is wrong.
        error: what is wrong with it.
    """

    page: ComputerPage | None
    error: SpecError | None = None


@blueprint.get("")
@needs(Right.READ)
def index() -> ResponseReturnValue:
    """Search computers."""
    asked = listing("name")
    found = search(asked.query, asked.sort, asked.descending, asked.page)
    page = render_template(
        "computers/index.html",
        section="computers",
        asked=asked,
        found=found,
        page=found.page,
        common=COMMON,
        saved=searching.list_searches(db.session(), reader()),
        columns=chosen_columns(),
        all_columns=COLUMNS,
        builder=builder(asked.query, found.error),
        unfiltered=not asked.query,
        csv_of={key: request.args[key] for key in ("q", "sort", "desc") if key in request.args},
    )
    return page, 200 if found.page else 422


@blueprint.post("/columns")
@needs(Right.READ)
def columns() -> ResponseReturnValue:
    """Keep which columns the person wants to see."""
    choose_columns(request.form.getlist("column"))
    back = safe_next(request.form.get("back", ""))
    return redirect(back if back.startswith(url_for(".index")) else url_for(".index"))


@blueprint.get("/export")
@needs(Right.READ)
def export() -> ResponseReturnValue:
    """Send the computers that match as CSV, with the chosen columns, in the order of the list."""
    keys = ["name", "device_id", *(each.key for each in chosen_columns())]
    keys = list(dict.fromkeys(keys))
    now, perimeter = services().now(), person().perimeter
    asked = listing("name")
    search_clause(db.session(), asked.query, now)  # what is wrong is said before the first byte
    session = list_session()
    rows = computers.iter_computers(
        session,
        asked.query,
        now=now,
        perimeter=perimeter,
        sort=asked.sort,
        descending=asked.descending,
    )
    headers = {"Content-Disposition": f"attachment; filename=computers-{now:%Y-%m-%d}.csv"}
    return Response(_lines(session, keys, rows), headers=headers, mimetype="text/csv")


def _lines(session: Session, keys: list[str], rows: Iterator[ComputerRow]) -> Iterator[str]:
    with session:
        yield csv_line(keys)
        for row in rows:
            yield csv_line([defused(cell_text(row, key)) for key in keys])


@blueprint.get("/<int:computer_id>")
@needs(Right.READ)
def show(computer_id: int) -> ResponseReturnValue:
    """Show one computer."""
    computer = _computer(computer_id)
    tab = request.args.get("tab", "deployments")
    if tab not in TABS:
        raise NotFound(f"a computer has no page {tab[:40]!r}")
    return render_template(
        "computers/show.html",
        section="computers",
        computer=computer,
        tab=tab,
        tabs=TABS,
        refused=refusals.refusal_of(db.session(), computer.device_id),
        rhythm=status.contact_rhythm(db.session(), computer.id, now=services().now()),
        **_PARTS[tab](computer),
    )


@blueprint.get("/refused")
@needs(Right.READ)
def refused() -> ResponseReturnValue:
    """List the agents that were refused for what they call themselves."""
    rows = refusals.list_refusals(db.session(), perimeter=person().perimeter)
    return render_template("computers/refused.html", section="computers", rows=rows)


@blueprint.get("/<int:computer_id>/deployments")
@needs(Right.READ)
def deployments(computer_id: int) -> ResponseReturnValue:
    """Show the deployments of a computer; a part of its page that is fetched again and again."""
    computer = _computer(computer_id)
    return render_template(
        "computers/deployments.html", computer=computer, **_deployments(computer)
    )


@blueprint.get("/<int:computer_id>/output/<int:package_id>")
@needs(Right.READ)
def output(computer_id: int, package_id: int) -> ResponseReturnValue:
    """Show all that is kept of what a package's action wrote on a computer."""
    computer = _computer(computer_id)
    rows = status.computer_deployments(db.session(), computer.id, now=services().now())
    row = next((each for each in rows if each.package == package_id), None)
    if row is None or row.told is None or not row.told.output:
        raise NotFound("nothing is kept of what that package wrote on this computer")
    return render_template("computers/output.html", section="computers", computer=computer, row=row)


@blueprint.post("/<int:computer_id>/again")
@needs(Right.RUN_AGAIN)
def again(computer_id: int) -> ResponseReturnValue:
    """Run a package that failed on this computer again."""
    _computer(computer_id)
    rows = assigning.assign_again(
        db.session(),
        request.form.get("package", 0, type=row_id),
        [computer_id],
        actor=person().name,
        now=services().now(),
        perimeter=person().perimeter,
    )
    if not rows:
        flash("Only what ended in an error can be run again.", "warning")
    else:
        flash("It will be offered again at the next contact.", "success")
    return redirect(url_for(".show", computer_id=computer_id))


def search(query: str, sort: str = "name", descending: bool = False, page: int = 1) -> Found:
    """The computers of a search box, or what is wrong with it."""
    try:
        return Found(
            computers.search_computers(
                db.session(),
                query,
                now=services().now(),
                perimeter=person().perimeter,
                sort=sort,
                descending=descending,
                page=page,
                page_size=PAGE_SIZE,
            )
        )
    except SpecError as error:
        return Found(None, error)


def _computer(computer_id: int) -> ComputerRow:
    return computers.get_computer_by_id(db.session(), computer_id, perimeter=person().perimeter)


def _deployments(computer: ComputerRow) -> dict[str, Any]:
    rows = status.computer_deployments(db.session(), computer.id, now=services().now())
    return {
        "deployments": rows,
        "skipped": status.skipped_packages(db.session(), computer.id, now=services().now()),
        "withdrawn": withdrawing.withdrawn_from(db.session(), computer.id),
    }


def _inventory(computer: ComputerRow) -> dict[str, Any]:
    found = computers.inventory_sections(db.session(), computer.id)
    order = {name: place for place, name in enumerate(_FIRST_SECTIONS)}
    names = sorted(found, key=lambda name: (order.get(name, len(order)), name))
    told = {
        name: [each for each in found[name] if any(value for _, value in each)] for name in names
    }
    return {"sections": {name: elements for name, elements in told.items() if elements}}


def _software(computer: ComputerRow) -> dict[str, Any]:
    return {"software": computers.software_of(db.session(), computer.id)}


def _history(computer: ComputerRow) -> dict[str, Any]:
    return {"history": status.computer_history(db.session(), computer.device_id)}


def _groups(computer: ComputerRow) -> dict[str, Any]:
    memberships = memberships_of(db.session(), computer.id, now=services().now())
    visible_only = not person().may(Right.EDIT_GROUPS)
    rows = groups.group_names(db.session(), visible_only=visible_only)
    # Who does not own groups cannot put a computer where it is kept out.
    taken = {each.group_id for each in memberships if each.member or visible_only}
    return {
        "memberships": memberships,
        "others": [each for each in rows if each.id not in taken],
        "seen": {each.id for each in rows},  # whose pages the person may open
    }


def _settings(computer: ComputerRow) -> dict[str, Any]:
    rows = settings.effective_settings(db.session(), computer.id, now=services().now())
    return {"effective": rows}


_PARTS = {
    "deployments": _deployments,
    "inventory": _inventory,
    "software": _software,
    "history": _history,
    "groups": _groups,
    "settings": _settings,
}

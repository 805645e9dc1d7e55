"""The audit log: who changed what, searched, and as a file."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import datetime

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import read_since
from deploy_server.services.audit import (
    COLUMNS,
    Filter,
    actions,
    each_entry,
    find_break,
    list_entries,
)
from deploy_server.storage.types import utc_text
from deploy_server.web.database import db, reading_session
from deploy_server.web.formats import defused
from deploy_server.web.pages import PAGE_SIZE, listing
from deploy_server.web.rights import Right, needs
from deploy_server.web.services import services

blueprint = Blueprint("audit", __name__, url_prefix="/audit")


@blueprint.get("")
@needs(Right.READ_AUDIT)
def index() -> ResponseReturnValue:
    """List the entries, newest first."""
    asked, problem = _asked()
    return render_template(
        "audit/index.html",
        section="audit",
        page=list_entries(db.session(), asked, page=listing("").page, page_size=PAGE_SIZE),
        actions=actions(db.session()),
        problem=problem,
    )


@blueprint.get("/check")
@needs(Right.READ_AUDIT)
def check() -> ResponseReturnValue:
    """Say whether an entry was changed or is missing."""
    broken = find_break(db.session())
    return render_template("audit/check.html", section="audit", broken=broken)


@blueprint.get("/export")
@needs(Right.READ_AUDIT)
def export() -> ResponseReturnValue:
    """Send the entries that fit as CSV, oldest first."""
    asked, _ = _asked()
    name = f"audit-{services().now():%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return Response(_lines(reading_session(), asked), headers=headers, mimetype="text/csv")


def _asked() -> tuple[Filter, str]:
    """Return what the address asks for, and what is wrong with it."""
    text, problem, since = request.args.get("since", "").strip(), "", None
    try:
        since = read_since(text, services().now()) if text else None
    except SpecError as error:
        problem = str(error)
    words = {name: request.args.get(name, "").strip()[:200] for name in ("actor", "action")}
    return Filter(since=since, text=request.args.get("q", "").strip()[:200], **words), problem


def _lines(session: Session, asked: Filter) -> Iterator[str]:
    with session:
        yield _line(COLUMNS)
        for entry in each_entry(session, asked):
            values = [getattr(entry, name) for name in COLUMNS]
            texts = [utc_text(each) if isinstance(each, datetime) else each for each in values]
            yield _line([defused(str(each)) for each in texts])


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()

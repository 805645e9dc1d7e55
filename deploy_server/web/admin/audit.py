"""The audit log: who changed what, searched, and as a file."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from flask import Blueprint, Response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from deploy_server.domain.errors import SpecError
from deploy_server.domain.search import read_since, read_until
from deploy_server.services.audit import (
    COLUMNS,
    Filter,
    actions,
    each_entry,
    find_break,
    list_entries,
)
from deploy_server.storage.types import utc_text
from deploy_server.web.changes import changes_of
from deploy_server.web.database import db, list_session
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
        changes_of=changes_of,
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
    return Response(_lines(list_session(), asked), headers=headers, mimetype="text/csv")


def _asked() -> tuple[Filter, str]:
    """Return what the address asks for, and what is wrong with it."""
    problems: list[str] = []
    since, until = _time("since", read_since, problems), _time("until", read_until, problems)
    words = {name: request.args.get(name, "").strip()[:200] for name in ("actor", "action")}
    text = request.args.get("q", "").strip()[:200]
    return Filter(since=since, until=until, text=text, **words), " ".join(problems)


def _time(
    name: str, read: Callable[[str, datetime], datetime], problems: list[str]
) -> datetime | None:
    text = request.args.get(name, "").strip()
    try:
        return read(text, services().now()) if text else None
    except SpecError as error:
        problems.append(str(error))
        return None


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

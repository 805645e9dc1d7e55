"""The first page: contact, progress, failures, and what an administrator should look at."""

import shutil
from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import exists, select

from deploy_server.domain.errors import NotFound
from deploy_server.services import certificates, overview, refusals, status, stuck
from deploy_server.services.backup import BACKUPS
from deploy_server.services.certificates.store import CertificateStore
from deploy_server.storage.disk import reserve_of
from deploy_server.storage.models import Activation, Assignment, Computer, Package
from deploy_server.web.database import db
from deploy_server.web.formats import class_slices, plural
from deploy_server.web.pages import PAGE_SIZE, listing
from deploy_server.web.rights import Right, needs
from deploy_server.web.security import person
from deploy_server.web.services import services

blueprint = Blueprint("overview", __name__)

#: What the overview calls the last days.
RECENT = timedelta(days=7)

#: Counted by web/comm.py.
REFUSED_OVER_HTTP = "agents_over_http_refused"

#: Whoever makes backups makes them more often than this.
BACKUP_OLD = timedelta(days=8)

#: Below this share of the disk, or these bytes, people are warned.
_SPACE_SHARE = 0.1
_SPACE_BYTES = 2 * 1024**3


@blueprint.get("/")
@needs(Right.READ)
def index() -> ResponseReturnValue:
    """Show how things stand."""
    session, now, perimeter = db.session(), services().now(), person().perimeter
    return render_template(
        "overview/index.html",
        section="overview",
        contacts=overview.contacts(session, now=now, perimeter=perimeter),
        failed=overview.failures_by_code(session, since=now - RECENT, perimeter=perimeter),
        days=RECENT.days,
        stuck=stuck.stuck_counts(session, now=now, perimeter=perimeter),
        stuck_sentences=stuck.SENTENCES,
        disk=_disk(),
        notes=_notes(),
        steps=_first_steps(),
        **_progress(),
    )


@blueprint.get("/progress")
@needs(Right.READ)
def progress() -> ResponseReturnValue:
    """Show what is under way; a part of the overview that is fetched again and again."""
    return render_template("overview/progress.html", **_progress())


@blueprint.get("/failures")
@needs(Right.READ)
def failures() -> ResponseReturnValue:
    """List what failed lately."""
    session, now, perimeter = db.session(), services().now(), person().perimeter
    code, since = request.args.get("code", ""), now - RECENT
    return render_template(
        "overview/failures.html",
        section="overview",
        code=code,
        days=RECENT.days,
        codes=overview.failures_by_code(session, since=since, perimeter=perimeter),
        page=overview.failures(
            session,
            since=since,
            code=code,
            perimeter=perimeter,
            page=listing("since").page,
            page_size=PAGE_SIZE,
        ),
    )


@blueprint.get("/stuck")
@needs(Right.READ)
def stuck_list() -> ResponseReturnValue:
    """List what is stuck, each with its reason."""
    session, now, perimeter = db.session(), services().now(), person().perimeter
    chosen = request.args.get("kind", stuck.Kind.SILENT.value)
    if chosen not in list(stuck.Kind):
        raise NotFound(f"nothing is stuck like {chosen[:40]!r}", "Follow a link of the overview")
    kind = stuck.Kind(chosen)
    counts = stuck.stuck_counts(session, now=now, perimeter=perimeter)
    return render_template(
        "overview/stuck.html",
        section="overview",
        kind=kind,
        sentences=stuck.SENTENCES,
        counts=counts,
        page=stuck.stuck_page(
            session,
            kind,
            now=now,
            perimeter=perimeter,
            page=listing("since").page,
            total=counts.get(kind, 0),
        ),
    )


def _progress() -> dict[str, Any]:
    session, now, perimeter = db.session(), services().now(), person().perimeter
    ids = overview.packages_in_progress(session, perimeter=perimeter)
    counts = status.package_statuses(session, ids, now=now, perimeter=perimeter)
    packages = {package_id: session.get_one(Package, package_id) for package_id in ids}
    rows = [
        {
            "package": packages[package_id],
            "status": counts[package_id],
            "slices": class_slices(counts[package_id].by_class, counts[package_id].already),
        }
        for package_id in ids
    ]
    return {"in_progress": rows}


def _disk() -> dict[str, Any]:
    usage = shutil.disk_usage(services().config.data)
    low = usage.free < max(_SPACE_BYTES, usage.total * _SPACE_SHARE)
    reserve = reserve_of(services().config.data, services().config.min_free_bytes)
    full = usage.free <= reserve
    return {"free": usage.free, "total": usage.total, "low": low, "full": full, "reserve": reserve}


def _notes() -> list[dict[str, Any]]:
    """What an administrator should look at, as sentences."""
    config, now = services().config, services().now()
    store = CertificateStore(config.certs)
    notes: list[dict[str, Any]] = [
        {"title": "Certificate", "text": text, "when": None}
        for text in certificates.warnings(store, now)
    ]
    counters = overview.counters(db.session(), [REFUSED_OVER_HTTP, BACKUPS])
    saved = counters.get(BACKUPS)
    if saved and saved.last_at and now - saved.last_at > BACKUP_OLD:
        notes.append(
            {
                "title": "No backup for a long time",
                "text": "Whatever makes them (deploy-server backup) has stopped. The last one was"
                " made",
                "when": saved.last_at,
            }
        )
    if turned_away := refusals.list_refusals(db.session(), perimeter=person().perimeter):
        notes.append(
            {
                "title": f"{plural(len(turned_away), 'agent')} refused for what"
                f" {'it calls itself' if len(turned_away) == 1 else 'they call themselves'}",
                "text": "The settings AGENTS_ALLOWED, AGENTS_ONLY_LISTED and AGENTS_VERSIONS say"
                " who is served. The last one came",
                "when": turned_away[0].last_at,
                "link": url_for("console.computers.refused"),
            }
        )
    # These came from whatever computers, so whoever sees some of them only is not told.
    refused = None if person().perimeter else counters.get(REFUSED_OVER_HTTP)
    if refused:
        notes.append(
            {
                "title": f"{refused.value:,} contacts over plain HTTP were refused",
                "text": "Point those agents to HTTPS, or allow plain HTTP with the setting"
                " AGENTS_OVER_HTTP. The last one came",
                "when": refused.last_at,
            }
        )
    return notes


def _first_steps() -> list[tuple[str, bool]]:
    """The way to the first success, and how far it was gone; empty when it was gone to the end."""
    session = db.session()
    tables = {
        "computer": Computer,
        "package": Package,
        "activation": Activation,
        "assignment": Assignment,
    }
    done = {name: session.scalar(select(exists(select(each)))) for name, each in tables.items()}
    return [] if all(done.values()) else [(name, bool(there)) for name, there in done.items()]

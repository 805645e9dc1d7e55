"""`deploy-server audit`: who changed what, and whether the log of it is whole."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from deploy_server.cli.common import (
    Refusal,
    data_option,
    json_option,
    now,
    open_session,
    plain,
    print_json,
)
from deploy_server.domain.search import read_since
from deploy_server.services.audit import COLUMNS, Filter, each_entry, find_break
from deploy_server.storage.models import AuditEntry


@click.command()
@click.option("--since", metavar="T", help="2026-11-21, 2026-11-21T10:00, or 7d for a week.")
@json_option
@data_option
def audit(data: Path, since: str | None, as_json: bool) -> None:
    """Show who changed what, oldest first; exits 1 where an entry was changed or is missing."""
    moment = None if since is None else read_since(since, now())
    with open_session(data) as session:
        found = each_entry(session, Filter(since=moment))
        if as_json:
            print_json([_record(each) for each in found])
        else:
            for each in found:
                click.echo(_line(each))
        broken = find_break(session)
    if broken:
        raise Refusal(
            f"{broken}. Somebody changed the database past this program: compare it with a backup"
        )


def _record(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in COLUMNS}


def _line(entry: AuditEntry) -> str:
    who = f"{entry.actor} ({entry.origin})"
    parts = [_text(entry.at), who, entry.action, entry.target]
    if entry.before:
        parts.append(f"before {entry.before}")
    if entry.after:
        parts.append(f"after {entry.after}")
    return "  ".join(map(plain, parts))


def _text(moment: datetime) -> str:
    return plain(moment)

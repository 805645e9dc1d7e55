"""Adds entries, in the transactions of the changes themselves."""

import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from deploy_server.services.audit.chain import digest_of
from deploy_server.storage.models import AuditChain, AuditEntry
from deploy_server.storage.types import utc_text

VALUE_MAX = 4000  # characters of one value in before and after
NAMED = 200  # computers that one entry names


@dataclass(frozen=True, slots=True)
class Acting:
    """On whose behalf this thread or request works.

    Attributes:
        who: a login name.
        where: an address, or how else the order came in.
    """

    who: str
    where: str


_SERVER = Acting("deploy-server", "by itself")
_acting: ContextVar[Acting] = ContextVar("acting", default=_SERVER)


def act_for(who: str, where: str) -> None:
    """Say on whose behalf the rest of this request or command works."""
    _acting.set(Acting(who, where))


def record(
    session: Session,
    action: str,
    target: str,
    *,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: str | None = None,
) -> None:
    """Enter a change; as `record_each`, for one target."""
    record_each(session, action, [target], now=now, before=before, after=after, actor=actor)


def record_each(
    session: Session,
    action: str,
    targets: Sequence[str],
    *,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    actor: str | None = None,
) -> None:
    """Enter a change of several things, an entry for each, in the transaction that makes it.

    Whoever enters something at the same time waits until this transaction ends, so it belongs at
    the end of what a change does.

    Args:
        session: not committed here.
        action: what was done, such as `package.build`.
        targets: to what: ids or names.
        now: UTC.
        before: what it was; of two mappings, only what differs is kept.
        after: what it is.
        actor: who did it, where that is not whom `act_for` named.
    """
    acting = _acting.get()
    was, is_now = _difference(before, after)
    chain = session.scalars(
        select(AuditChain).with_for_update().execution_options(populate_existing=True)
    ).one()
    same = {
        "at": now.replace(microsecond=0),
        "actor": actor or acting.who,
        "origin": acting.where,
        "action": action,
        "before": was,
        "after": is_now,
    }
    rows = []
    number, digest = chain.last_number, chain.last_digest
    for number, target in enumerate(targets, chain.last_number + 1):
        row = same | {"number": number, "target": target}
        digest = digest_of(digest, row)
        rows.append(row | {"digest": digest})
    if rows:
        session.execute(insert(AuditEntry), rows)
    chain.last_number, chain.last_digest = number, digest
    session.flush()


def named(device_ids: Sequence[str]) -> dict[str, Any]:
    """Return what an entry says of computers: how many, and the ids of the first ones."""
    ids = list(dict.fromkeys(device_ids))
    return {"computers": len(ids), "device_ids": ids[:NAMED]}


def _difference(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[str, str]:
    if before is None or after is None:
        return _json(before), _json(after)
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    was = {name: before[name] for name in changed if name in before}
    is_now = {name: after[name] for name in changed if name in after}
    return _json(was), _json(is_now)


def _json(values: Mapping[str, Any] | None) -> str:
    if not values:
        return ""
    short = {name: _short(value) for name, value in values.items()}
    return json.dumps(short, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > VALUE_MAX:
        return value[:VALUE_MAX] + "…"
    return value


def _plain(value: Any) -> str:
    return utc_text(value) if isinstance(value, datetime) else str(value)

"""Which activation, and which computers."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, Forbidden, NotFound, SpecError
from deploy_server.services import audit
from deploy_server.services.assigning.views import Perimeter, Selection
from deploy_server.services.computers import computer_ids
from deploy_server.storage.models import Activation, Computer, Group, Package
from deploy_server.storage.search import Searcher, search_clause, within
from deploy_server.storage.types import fold

Clause = ColumnElement[bool]

# Ids in one statement: every database takes that many parameters.
_BATCH = 10_000
_ACTIVATION = re.compile(r"[Aa]([0-9]{1,9})\Z", re.ASCII)
_PACKAGE = re.compile(r"[0-9]{1,10}\Z", re.ASCII)
_LIST = "List them: deploy-server package activations"


def find_activation(session: Session, target: str) -> Activation:
    """Return the activation that `target` names: `A7`, or a package with exactly one.

    Raises:
        NotFound: no such activation or package.
        Conflict: the package has none, or several (the message lists them).
    """
    number = _ACTIVATION.match(target.strip())
    if number:
        activation = session.get(Activation, int(number.group(1)))
        if activation is None or activation.ended_at is not None:
            raise NotFound(f"there is no activation {target.strip()}", _LIST)
        return activation
    return _only_activation(session, find_package(session, target))


def find_package(session: Session, target: str) -> Package:
    """Return the package of this id that is not deleted.

    Raises:
        NotFound: there is none.
    """
    text = target.strip()
    package = session.get(Package, int(text)) if _PACKAGE.match(text) else None
    if package is None or package.deleted_at is not None:
        raise NotFound(
            f"there is no package {text[:40]!r}", "Give the id from: deploy-server package list"
        )
    return package


def _only_activation(session: Session, package: Package) -> Activation:
    found = session.scalars(
        select(Activation)
        .where(Activation.package_id == package.id, Activation.ended_at.is_(None))
        .order_by(Activation.id)
    ).all()
    if not found:
        raise Conflict(
            f"the package {package.id} is not activated",
            f"Activate it first: deploy-server package activate {package.id}",
        )
    if len(found) > 1:
        names = ", ".join(f"A{each.id} ({each.info_url})" for each in found)
        raise Conflict(
            f"the package {package.id} has {len(found)} activations: {names}", "Name one of them"
        )
    return found[0]


def check_selection(selection: Selection) -> None:
    """Return when exactly one field of a selection says which computers.

    Raises:
        SpecError: field `selection`.
    """
    said = (selection.device_ids, selection.computer_ids, selection.expression, selection.group)
    if sum(each is not None for each in said) != 1:
        raise SpecError(
            "selection", "say which computers, in one way", "Give ids, an expression or a group"
        )


def described(session: Session, selection: Selection) -> dict[str, Any]:
    """Return what was selected, for the audit log; of many computers, the first ones."""
    if selection.group is not None:
        return {"group": selection.group}
    if selection.expression is not None:
        return {"expression": selection.expression}
    if selection.computer_ids is None:
        return audit.named(selection.device_ids or ())
    first = list(selection.computer_ids)[: audit.NAMED]
    ids = select(Computer.device_id).where(Computer.id.in_(first)).order_by(Computer.id)
    return {**audit.named(session.scalars(ids).all()), "computers": len(selection.computer_ids)}


def chosen(
    session: Session, selection: Selection, now: datetime, perimeter: Perimeter
) -> Iterator[Clause]:
    """Yield conditions that together select the computers of a selection without a group.

    Raises:
        SpecError: field `selection` or `expression`.
        NotFound: one of the named computers is not there, or not inside the perimeter.
    """
    if selection.expression is not None:
        # Never without a condition: SQLite cannot read ON CONFLICT after a bare SELECT.
        found = search_clause(session, selection.expression, now)
        yield and_(Computer.id > 0, found, *within(perimeter))
        return
    if selection.device_ids is not None:
        ids = computer_ids(session, selection.device_ids, perimeter)
    else:
        ids = _check_ids(session, selection.computer_ids or (), perimeter)
    for start in range(0, len(ids), _BATCH):
        yield Computer.id.in_(ids[start : start + _BATCH])


def _check_ids(session: Session, ids: Sequence[int], perimeter: Perimeter) -> list[int]:
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        found = session.scalar(
            select(func.count()).where(Computer.id.in_(batch), *within(perimeter))
        )
        if found != len(batch):
            raise NotFound(
                f"{len(batch) - (found or 0)} of the chosen computers are not there any more",
                "Reload the list and choose again",
            )
    return wanted


def find_group(session: Session, name: str, perimeter: Perimeter) -> Group:
    """Return the group that a package is given to or taken from.

    Raises:
        Forbidden: with a perimeter: a group reaches computers outside it.
        NotFound: no such group.
    """
    if perimeter is not None:
        raise Forbidden(
            "a group reaches computers outside your tags",
            "Choose computers, or ask an administrator",
        )
    group = session.scalar(select(Group).where(Group.name_key == fold(name)))
    if group is None:
        raise NotFound(f"there is no group {name[:80]!r}", "Find it: deploy-server group list")
    return group


def members(session: Session, group: Group, now: datetime) -> Clause:
    """Return the condition that a computer is in the group."""
    return and_(Computer.id > 0, Searcher(session, now).groups.by_id([group.id]))

"""Activations: where agents find a package."""

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from deploy_agent.wire.result import ResultClass
from deploy_server.config import ServerConfig
from deploy_server.domain.errors import Conflict, NotFound
from deploy_server.domain.location import Location
from deploy_server.services import audit
from deploy_server.services.checking import Check, check_locations, read_locations
from deploy_server.services.packages import Impact
from deploy_server.services.settings import get_setting
from deploy_server.storage.models import Activation, Assignment, GroupAssignment, Package

__all__ = [
    "Check",
    "activate",
    "check_locations",
    "deactivate",
    "default_locations",
    "impact",
    "is_automatic",
    "list_activations",
]

log = logging.getLogger(__name__)

_STANDARD_PORTS = {"http": 80, "https": 443}


def default_locations(session: Session, config: ServerConfig, package: Package) -> tuple[str, str]:
    """Return info and fragment URL for forms: the settings', else this server's own.

    Args:
        session: for the settings.
        config: with the ports in use (`ServerConfig.in_use`).
        package: its protocol decides on the port of the fragments.
    """
    info = get_setting(session, "DOWNLOAD_URI_INFO").value
    fragments = get_setting(session, "DOWNLOAD_URI_FRAG").value
    scheme = package.protocol.lower()
    return info or _own(config, "https"), fragments or _own(config, scheme)


def is_automatic(session: Session) -> bool:
    """Whether a package that was built is to be activated at once (DOWNLOAD_AUTO_ACTIVATE)."""
    return get_setting(session, "DOWNLOAD_AUTO_ACTIVATE").value == "1"


def activate(
    session: Session,
    package: Package,
    info_url: str,
    fragment_url: str,
    *,
    now: datetime,
    actor: str,
) -> Activation:
    """Say that agents find `package` there; a package may have several activations.

    Raises:
        SpecErrors: field `info_url` or `fragment_url`.
        Conflict: it is activated there already, or deleted.
    """
    info, fragments = read_locations(package, info_url, fragment_url)
    if package.deleted_at is not None:
        raise Conflict(f"package {package.id} was deleted", "Activate another one")
    same = session.scalar(
        select(Activation.id).where(
            Activation.package_id == package.id,
            Activation.info_url == str(info),
            Activation.fragment_url == str(fragments),
            Activation.ended_at.is_(None),
        )
    )
    if same is not None:
        raise _same(package, same)
    made = Activation(
        package_id=package.id,
        info_url=str(info),
        fragment_url=str(fragments),
        created_at=now,
        created_by=actor,
    )
    session.add(made)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise _same(package, None) from error
    where = {"info_url": made.info_url, "fragment_url": made.fragment_url, "name": package.name}
    audit.record(
        session, "package.activate", f"{package.id} A{made.id}", now=now, actor=actor, after=where
    )
    log.info("%s activated package %s as A%s", actor, package.id, made.id)
    return made


def list_activations(session: Session, package_id: int | None = None) -> list[Activation]:
    """Return the open activations, of one package or of all, newest first."""
    found = select(Activation).where(Activation.ended_at.is_(None)).order_by(Activation.id.desc())
    if package_id is not None:
        found = found.where(Activation.package_id == package_id)
    return list(session.scalars(found))


def deactivate(
    session: Session, activation_ids: Sequence[int], *, now: datetime, actor: str
) -> Impact:
    """End activations: those who wait are withdrawn, no computer and no file is touched.

    Computers that were told keep their row and are not told again; groups lose the assignment.

    Raises:
        NotFound: one of them does not exist or has ended; nothing has changed then.
    """
    ids = list(dict.fromkeys(activation_ids))
    found = [session.get(Activation, each) for each in ids]
    activations = [each for each in found if each is not None and each.ended_at is None]
    if len(activations) != len(ids):
        known = {each.id for each in activations}
        missing = next(each for each in ids if each not in known)
        raise NotFound(
            f"there is no activation A{missing}, or it has ended",
            "Look at: deploy-server package activations",
        )
    ended = impact(session, ids)
    for each in activations:
        each.ended_at = now
    session.execute(delete(Assignment).where(*_open(ids, ResultClass.WAITING)))
    session.execute(delete(GroupAssignment).where(GroupAssignment.activation_id.in_(ids)))
    for each in activations:
        where = {"info_url": each.info_url, "fragment_url": each.fragment_url}
        target = f"{each.package_id} A{each.id}"
        audit.record(session, "package.deactivate", target, now=now, actor=actor, before=where)
    log.info("%s ended the activations %s", actor, ids)
    return ended


def impact(session: Session, activation_ids: Sequence[int]) -> Impact:
    """Return what ending these activations would touch."""
    ids = list(dict.fromkeys(activation_ids))
    shared = select(func.count()).where(GroupAssignment.activation_id.in_(ids))
    waiting, notified = (
        session.scalar(select(func.count()).where(*_open(ids, each))) or 0
        for each in (ResultClass.WAITING, ResultClass.NOTIFIED)
    )
    return Impact(
        activations=len(ids),
        waiting=waiting,
        notified=notified,
        groups=session.scalar(shared) or 0,
    )


def _open(ids: Sequence[int], which: ResultClass) -> tuple[ColumnElement[bool], ...]:
    return (
        Assignment.activation_id.in_(ids),
        Assignment.cleared_at.is_(None),
        Assignment.status_class == which,
    )


def _own(config: ServerConfig, scheme: str) -> str:
    port = config.https_port if scheme == "https" else config.http_port
    shown = None if port == _STANDARD_PORTS[scheme] else port
    return str(Location(config.hosts[0], shown, "/download"))


def _same(package: Package, activation_id: int | None) -> Conflict:
    which = "" if activation_id is None else f" as A{activation_id}"
    return Conflict(
        f"package {package.id} is activated there already{which}",
        "Use that activation, or give another place",
    )

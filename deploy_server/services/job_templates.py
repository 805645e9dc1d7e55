"""Templates of jobs that people made of build forms they had filled in."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, Forbidden, NotFound, SpecError
from deploy_server.services import audit
from deploy_server.storage.models import JobTemplate
from deploy_server.storage.types import fold

NAME_MAX = 80  # characters
TEMPLATES_MAX = 200
VALUES_MAX = 200_000  # characters of all values


def list_templates(session: Session) -> list[JobTemplate]:
    """Return the templates, by name."""
    return list(session.scalars(select(JobTemplate).order_by(JobTemplate.name_key)))


def get_template(session: Session, template_id: int) -> JobTemplate:
    """Return one template.

    Raises:
        NotFound: there is none.
    """
    row = session.get(JobTemplate, template_id)
    if row is None:
        raise NotFound("there is no such template", "It may have been deleted; look at the list")
    return row


def keep_template(
    session: Session,
    name: str,
    values: Mapping[str, str],
    *,
    actor: str,
    now: datetime,
    anybodys: bool,
) -> JobTemplate:
    """Keep values of the build form under a name, in the place of what had it.

    Args:
        session: not committed here.
        name: for people.
        values: by field of the form.
        actor: who keeps it.
        now: UTC.
        anybodys: the actor may change what others kept.

    Raises:
        SpecError: field `template`; no name, a long one, somebody else's, or values too long.
        Conflict: there are too many.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise SpecError(
            "template", "the template has no name that can be shown", "Give it one, not too long"
        )
    kept = {key: text for key, text in values.items() if text}
    if sum(map(len, kept.values())) > VALUES_MAX:
        raise SpecError("template", "the form is too long for a template", "Shorten the script")
    row = session.scalar(select(JobTemplate).where(JobTemplate.name_key == fold(name)))
    if row is not None and not (anybodys or row.created_by == actor):
        raise SpecError(
            "template", f"{row.created_by} has kept a template {row.name}", "Give it another name"
        )
    before = dict(row.values) if row is not None else None
    if row is None:
        count = session.scalar(select(func.count()).select_from(JobTemplate)) or 0
        if count >= TEMPLATES_MAX:
            raise Conflict(f"there are {count} templates", "Delete one that nobody needs")
        row = JobTemplate(name_key=fold(name))
        session.add(row)
    row.name, row.values, row.created_at, row.created_by = name, kept, now, actor
    session.flush()
    audit.record(session, "template.keep", name, now=now, actor=actor, before=before, after=kept)
    return row


def delete_template(
    session: Session, template_id: int, *, actor: str, now: datetime, anybodys: bool
) -> str:
    """Delete a template; returns its name.

    Args:
        session: not committed here.
        template_id: of the row.
        actor: who deletes it.
        now: UTC.
        anybodys: the actor may delete what others kept.

    Raises:
        NotFound: there is none.
        Forbidden: it is somebody else's.
    """
    row = get_template(session, template_id)
    if not (anybodys or row.created_by == actor):
        who = f"{row.created_by} has kept this template"
        raise Forbidden(who, "Ask them, or somebody whom no tags limit")
    session.delete(row)
    session.flush()
    audit.record(
        session, "template.delete", row.name, now=now, actor=actor, before=dict(row.values)
    )
    return row.name

"""Searches with names: one's own, those of one's role or tags, and everybody's."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from deploy_server.domain.errors import Conflict, NotFound
from deploy_server.domain.search.saving import check_audience, check_search
from deploy_server.services import audit
from deploy_server.storage.hidden import names_unseen
from deploy_server.storage.models import SavedSearch, User
from deploy_server.storage.types import fold

OWN_MAX = 100  # searches of one person


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever looks.

    Attributes:
        id: of the user's row.
        role: of the user.
        tags: that limit the user; empty means every computer.
    """

    id: int
    role: str
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class SavedView:
    """A saved search as a list shows it.

    Attributes:
        id: of its row.
        name: as it was written.
        expression: what it searches.
        audience: who sees it: `mine`, `role`, `tag` or `all`.
        audience_key: the role or the folded tag.
        owner: who saved it.
        own: the reader did.
    """

    id: int
    name: str
    expression: str
    audience: str
    audience_key: str
    owner: str
    own: bool


def list_searches(session: Session, reader: Reader) -> list[SavedView]:
    """Return what the reader may see: their own first, each by name.

    Of others' searches, those that name only packages hidden from the reader are left out.
    """
    rows = session.execute(
        select(SavedSearch, User.name)
        .join(User, User.id == SavedSearch.owner_id)
        .where(_visible(reader))
        .order_by(SavedSearch.owner_id != reader.id, SavedSearch.name_key, SavedSearch.id)
    )
    return [
        SavedView(
            id=row.id,
            name=row.name,
            expression=row.expression,
            audience=row.audience,
            audience_key=row.audience_key,
            owner=owner,
            own=row.owner_id == reader.id,
        )
        for row, owner in rows
        if row.owner_id == reader.id or not names_unseen(session, row.expression)
    ]


def save_search(
    session: Session, reader: Reader, name: str, expression: str, audience: str, *, now: datetime
) -> str:
    """Save a search, in the place of the reader's own of the same name; returns its name.

    Args:
        session: not committed here.
        reader: becomes its owner.
        name: for people.
        expression: not empty.
        audience: `mine`, `role` for people of the same role, `tag:LYON` for people with that tag of
            the reader's, or `all`.
        now: UTC.

    Raises:
        SpecError: field `name`, `expression` or `audience`.
        Conflict: the reader has too many.
    """
    name, expression = check_search(name, expression)
    kind, tag = check_audience(audience, reader.tags)
    mine = SavedSearch.owner_id == reader.id
    row = session.scalar(select(SavedSearch).where(mine, SavedSearch.name_key == fold(name)))
    if row is None:
        count = session.scalar(select(func.count()).select_from(SavedSearch).where(mine)) or 0
        if count >= OWN_MAX:
            raise Conflict(f"you have {count} saved searches", "Delete one that you do not need")
        row = SavedSearch(owner_id=reader.id, created_at=now)
        session.add(row)
    row.name, row.name_key, row.expression = name, fold(name), expression
    row.audience, row.audience_key = kind, reader.role if kind == "role" else fold(tag)
    session.flush()
    after = {"expression": expression, "audience": audience}
    audit.record(session, "search.save", name, now=now, after=after)
    return name


def delete_search(
    session: Session, reader: Reader, search_id: int, *, anybodys: bool, now: datetime
) -> str:
    """Delete a search; returns its name.

    Args:
        session: not committed here.
        reader: who deletes.
        search_id: of the row.
        anybodys: the reader may delete what others share.
        now: UTC.

    Raises:
        NotFound: there is none that the reader sees and may delete.
    """
    found = select(SavedSearch).where(SavedSearch.id == search_id, _visible(reader))
    row = session.scalar(found)
    if row is None or not (anybodys or row.owner_id == reader.id):
        raise NotFound("there is no such search of yours", "Reload the list")
    session.delete(row)
    session.flush()
    before = {"expression": row.expression, "audience": row.audience}
    audit.record(session, "search.delete", row.name, now=now, before=before)
    return row.name


def _visible(reader: Reader) -> ColumnElement[bool]:
    tags = sorted(fold(tag) for tag in reader.tags)
    return or_(
        SavedSearch.owner_id == reader.id,
        SavedSearch.audience == "all",
        and_(SavedSearch.audience == "role", SavedSearch.audience_key == reader.role),
        and_(SavedSearch.audience == "tag", SavedSearch.audience_key.in_(tags)),
    )

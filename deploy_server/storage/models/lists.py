"""What people keep in the console: searches, how their lists look, templates of jobs."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deploy_server.storage.models.base import Base
from deploy_server.storage.types import Key


class SavedSearch(Base):
    """An expression with a name.

    `audience` says who sees it besides its owner: `mine` nobody, `role` and `tag` people with the
    role or tag in `audience_key` (folded), `all` everybody.
    """

    __tablename__ = "saved_search"
    __table_args__ = (
        CheckConstraint("audience IN ('mine', 'role', 'tag', 'all')", "audience"),
        UniqueConstraint("owner_id", "name_key"),
        Index("ix_saved_search_audience", "audience", "audience_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("console_user.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Key)
    expression: Mapped[str] = mapped_column(Text)
    audience: Mapped[str] = mapped_column(Key)
    audience_key: Mapped[str] = mapped_column(Key, default="")
    created_at: Mapped[datetime]


class Preference(Base):
    """How somebody likes to see something, such as the columns of a list."""

    __tablename__ = "preference"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("console_user.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Key, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class JobTemplate(Base):
    """A build form that somebody filled in for others to begin with.

    Shape of `values`: {"os": "linux", "action": "EXECUTE", "target": "apt-get ...", ...}; the
    names are the form's, an empty one is left out.
    """

    __tablename__ = "job_template"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Key, unique=True)
    values: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Text, default="")

"""Agents that were not answered."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deploy_server.storage.models.base import Base, big_integer
from deploy_server.storage.types import Key


class RefusedAgent(Base):
    """An agent that was refused for what it calls itself, and why; not more rows than a page."""

    __tablename__ = "refused_agent"
    __table_args__ = (
        UniqueConstraint("device_id", "agent"),
        Index("ix_refused_agent_last_at", "last_at"),
    )

    id: Mapped[int] = mapped_column(big_integer(), primary_key=True)
    device_id: Mapped[str] = mapped_column(Key)  # '' where its message could not be read
    agent: Mapped[str] = mapped_column(Key)  # its beginning
    remote: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    count: Mapped[int] = mapped_column(BigInteger)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]

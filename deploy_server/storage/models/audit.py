"""Who changed what, in a chain that shows what is missing."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from deploy_server.storage.models.base import Base, big_integer
from deploy_server.storage.types import Key


class AuditEntry(Base):
    """One change; rows are only ever added, and removed by retention from the oldest on.

    `digest` is over the row and the digest of the row before it.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_at", "at"),)

    number: Mapped[int] = mapped_column(big_integer(), primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(Text)  # an address, or the command line
    action: Mapped[str] = mapped_column(Key)  # such as package.build
    target: Mapped[str] = mapped_column(Text)
    before: Mapped[str] = mapped_column(Text)  # JSON, '' for nothing
    after: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Key)  # SHA-256, hex


class AuditChain(Base):
    """Both ends of the chain: one row, locked by whoever adds to it."""

    __tablename__ = "audit_chain"
    __table_args__ = (CheckConstraint("id = 1", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    removed_number: Mapped[int] = mapped_column(BigInteger)  # the last that retention removed
    removed_digest: Mapped[str] = mapped_column(Key)
    last_number: Mapped[int] = mapped_column(BigInteger)
    last_digest: Mapped[str] = mapped_column(Key)

"""Groups of computers: who is in them, and the packages they have."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deploy_server.storage.models.base import Base
from deploy_server.storage.types import Key


class Group(Base):
    """A named set of computers: static by hand, dynamic by an expression."""

    __tablename__ = "computer_group"
    __table_args__ = (CheckConstraint("kind IN ('static', 'dynamic')", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Key, unique=True)
    description: Mapped[str] = mapped_column(Text, default="")
    kind: Mapped[str]
    expression: Mapped[str] = mapped_column(Text, default="")
    visible: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Text, default="")


class GroupMember(Base):
    """A computer put into a group or kept out of it by hand."""

    __tablename__ = "group_member"
    __table_args__ = (
        CheckConstraint("kind IN ('include', 'exclude')", "kind"),
        Index("ix_group_member_computer_id", "computer_id", "kind", "group_id"),
        # Whoever asks for the members reads nothing else.
        Index("ix_group_member_group_id", "group_id", "kind", "computer_id"),
    )

    group_id: Mapped[int] = mapped_column(
        ForeignKey("computer_group.id", ondelete="CASCADE"), primary_key=True
    )
    computer_id: Mapped[int] = mapped_column(
        ForeignKey("computer.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str]
    added_at: Mapped[datetime]
    added_by: Mapped[str] = mapped_column(Text, default="")


class GroupAssignment(Base):
    """A package for whoever is in a group; members get rows of their own at contact."""

    __tablename__ = "group_assignment"
    __table_args__ = (
        UniqueConstraint("group_id", "package_id"),
        Index("ix_group_assignment_package_id", "package_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    group_id: Mapped[int] = mapped_column(ForeignKey("computer_group.id", ondelete="CASCADE"))
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id"))
    activation_id: Mapped[int] = mapped_column(ForeignKey("activation.id"))
    attempt: Mapped[int] = mapped_column(BigInteger)
    force: Mapped[bool] = mapped_column(default=False)
    schedule: Mapped[str] = mapped_column(default="")
    postcmd: Mapped[str] = mapped_column(Text, default="")
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[str] = mapped_column(Text, default="")

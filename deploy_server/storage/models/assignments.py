"""Packages on computers: how far each is, and every result that ever arrived."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from deploy_server.storage.models.base import Base, big_integer
from deploy_server.storage.models.computers import Computer
from deploy_server.storage.models.packages import Activation, Package
from deploy_server.storage.types import Key

#: Of a row that waits or was told; spelled out for partial indexes.
OPEN = text("cleared_at IS NULL AND status_class < 2")


class Assignment(Base):
    """A package for a computer, and how far it is. One row per pair.

    `status` is WAITING, NOTIFIED or the result verbatim; `status_class` is its ResultClass.
    A row with `cleared_at` was validated away: it counts nowhere and is not offered, but keeps
    a group from offering the same attempt again.
    """

    __tablename__ = "assignment"
    __table_args__ = (
        # Both at once: the activation is one of this package, and there is one row to look up
        # where two would be, which for everybody is a second on PostgreSQL.
        ForeignKeyConstraint(
            ["activation_id", "package_id"], ["activation.id", "activation.package_id"]
        ),
        # In this order, so that a package's computers lie together: for everybody at once it is
        # looked up and written a hundred thousand times in a row.
        UniqueConstraint("package_id", "computer_id"),
        Index("ix_assignment_counts", "package_id", "cleared_at", "status_class", "status"),
        Index("ix_assignment_open", "computer_id", "cleared_at", "status_class", "package_id"),
        Index("ix_assignment_group_id", "group_id", "package_id"),
        Index("ix_assignment_since", "status_class", "since"),
        Index("ix_assignment_activation_id", "activation_id"),
        Index(
            "ix_assignment_open_since",
            "status_class",
            "since",
            "computer_id",
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        ),
    )

    id: Mapped[int] = mapped_column(big_integer(), primary_key=True)
    computer_id: Mapped[int] = mapped_column(ForeignKey("computer.id", ondelete="CASCADE"))
    package_id: Mapped[int] = mapped_column(BigInteger)
    activation_id: Mapped[int]
    group_id: Mapped[int | None] = mapped_column(
        ForeignKey("computer_group.id", ondelete="SET NULL")
    )
    attempt: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(Key)
    status_class: Mapped[int] = mapped_column(SmallInteger)
    since: Mapped[datetime]  # of this status
    force: Mapped[bool] = mapped_column(default=False)
    schedule: Mapped[str] = mapped_column(default="")
    postcmd: Mapped[str] = mapped_column(Text, default="")
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[str] = mapped_column(Text, default="")
    notified_at: Mapped[datetime | None]
    offered_revision: Mapped[int | None]  # X_REVISION of the package when it was last offered
    cleared_at: Mapped[datetime | None]

    package: Mapped[Package] = relationship(
        primaryjoin="Package.id == foreign(Assignment.package_id)", viewonly=True
    )
    activation: Mapped[Activation] = relationship()
    computer: Mapped[Computer] = relationship()


class Report(Base):
    """One result that arrived; history, which nothing but retention removes.

    It names computer and package in its own words, so that it outlives both.
    """

    __tablename__ = "report"
    __table_args__ = (
        Index("ix_report_device_id", "device_id", "id"),
        Index("ix_report_package_id", "package_id", "id"),
        Index("ix_report_at", "at"),
    )

    id: Mapped[int] = mapped_column(big_integer(), primary_key=True)
    at: Mapped[datetime]
    device_id: Mapped[str] = mapped_column(Key)
    computer_name: Mapped[str] = mapped_column(Text, default="")
    package_id: Mapped[int] = mapped_column(BigInteger)
    package_name: Mapped[str] = mapped_column(Text, default="")  # '' is a package not known here
    revision: Mapped[int | None]
    attempt: Mapped[int | None] = mapped_column(BigInteger)
    code: Mapped[str] = mapped_column(Key)
    result_class: Mapped[int] = mapped_column(SmallInteger)
    assigned_by: Mapped[str] = mapped_column(Text, default="")
    assigned_at: Mapped[datetime | None]
    counted: Mapped[bool] = mapped_column(default=True)  # it became the assignment's status
    note: Mapped[str] = mapped_column(Text, default="")  # why it did not, or who wrote it

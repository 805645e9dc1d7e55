"""What is deployed and where it is: packages, their activations, the numbers given out."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from deploy_server.storage.models.base import Base
from deploy_server.storage.types import Key


class Allocation(Base):
    """The last number given out of a series, so that none is ever given twice.

    Series: `package` (ids), `attempt` (X_ATTEMPT).
    """

    __tablename__ = "allocation"

    series: Mapped[str] = mapped_column(Key, primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


class Package(Base):
    """A built package. Its files are on disk before its row is here."""

    __tablename__ = "package"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 0 AND 10", "priority"),
        CheckConstraint("action IN ('LAUNCH', 'EXECUTE', 'STORE')", "action"),
        CheckConstraint("os IN ('linux', 'windows', 'macos', 'any')", "os"),
        CheckConstraint("fragments >= 0", "fragments"),
        Index(
            "uq_package_name_key_alive",
            "name_key",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Key)
    description: Mapped[str] = mapped_column(Text, default="")
    os: Mapped[str]
    action: Mapped[str]
    target: Mapped[str] = mapped_column(Text)  # NAME, COMMAND or PATH
    priority: Mapped[int] = mapped_column(SmallInteger)
    protocol: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)  # bytes; 0 without a file
    file_name: Mapped[str] = mapped_column(Text, default="")  # as it was uploaded, for people
    fragments: Mapped[int]
    fragment_size: Mapped[int | None] = mapped_column(BigInteger)  # bytes
    digest: Mapped[str] = mapped_column(default="")  # as in the info file
    digest_algorithm: Mapped[str] = mapped_column(default="")
    digest_encoding: Mapped[str] = mapped_column(default="")
    sha256: Mapped[str | None]  # hex, of the whole file
    revision: Mapped[int] = mapped_column(default=1)
    # What only the info file needs besides: dialogs, exit codes, execution timeout.
    # Shape: {"notify_text": "..", "notify_countdown": 60, "can_abort": true, "can_delay": false,
    #  "done_text": "..", "success_codes": [], "reboot_codes": [], "retry_codes": [],
    #  "execution_timeout": 30}; a key without a value is left out.
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Text, default="")
    deleted_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]  # off the list of deleted ones; its results stay
    hidden_at: Mapped[datetime | None]  # only administrators see it (storage/hidden.py)

    activations: Mapped[list["Activation"]] = relationship(
        back_populates="package", order_by="Activation.id"
    )


class Activation(Base):
    """Where agents find a package: one row per site. People write it A<id>."""

    __tablename__ = "activation"
    __table_args__ = (
        Index(
            "uq_activation_locations_alive",
            "package_id",
            "info_url",
            "fragment_url",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        # What assignments refer to.
        Index("uq_activation_id_package_id", "id", "package_id", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id"))
    info_url: Mapped[str] = mapped_column(Text)  # host[:port]/path, no scheme
    fragment_url: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Text, default="")
    ended_at: Mapped[datetime | None]  # deactivated; the row stays for history

    package: Mapped[Package] = relationship(back_populates="activations")

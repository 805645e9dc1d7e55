"""Every table: what the database holds, with its facts as constraints.

Text that people search stands twice: verbatim, and folded (`fold`) in a column `*_key`.
Names: house.md 8. Ids of packages are never used again, so deleted packages keep their row.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import JSON

from deploy_server.storage.types import Key, UtcDateTime

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The base of every model."""

    metadata = MetaData(naming_convention=_NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own way to map types
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        bytes: LargeBinary,
    }


def _bigint() -> Any:
    """64 bits; on SQLite an INTEGER, because only that can be a row id."""
    return BigInteger().with_variant(Integer(), "sqlite")


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


class SoftwareItem(Base):
    """One name, version and publisher of software, stored once for all computers."""

    __tablename__ = "software_item"
    __table_args__ = (Index("ix_software_item_name_key_version_sort", "name_key", "version_sort"),)

    id: Mapped[int] = mapped_column(_bigint(), primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)  # of name, version, publisher
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Key)
    version: Mapped[str] = mapped_column(Text)
    version_key: Mapped[str] = mapped_column(Key)
    version_sort: Mapped[str] = mapped_column(Key)
    publisher: Mapped[str] = mapped_column(Text)


class SoftwareSet(Base):
    """A whole list of software; computers with the same list share it."""

    __tablename__ = "software_set"

    id: Mapped[int] = mapped_column(_bigint(), primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    size: Mapped[int]


class SoftwareSetItem(Base):
    """Which items a set has."""

    __tablename__ = "software_set_item"
    __table_args__ = (Index("ix_software_set_item_item_id", "item_id", "set_id"),)

    set_id: Mapped[int] = mapped_column(
        ForeignKey("software_set.id", ondelete="CASCADE"), primary_key=True
    )
    item_id: Mapped[int] = mapped_column(ForeignKey("software_item.id"), primary_key=True)


class SectionContent(Base):
    """The content of a section of inventories, stored once for equal ones."""

    __tablename__ = "section_content"

    id: Mapped[int] = mapped_column(_bigint(), primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    content: Mapped[bytes]  # zlib of JSON: [[["NAME", "value"], ...], ...], one list per element


class Computer(Base):
    """A computer, as its agent describes it."""

    __tablename__ = "computer"
    __table_args__ = (
        Index("ix_computer_name_key", "name_key", "id"),
        Index("ix_computer_os_family", "os_family"),
        Index("ix_computer_tag_key", "tag_key"),
        Index("ix_computer_last_contact", "last_contact"),
        Index("ix_computer_last_inventory", "last_inventory"),
        Index("ix_computer_serial_key", "serial_key"),
        Index("ix_computer_software_set_id", "software_set_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(Text, unique=True)
    device_id_key: Mapped[str] = mapped_column(Key)
    name: Mapped[str] = mapped_column(Text, default="")
    name_key: Mapped[str] = mapped_column(Key, default="")
    tag: Mapped[str] = mapped_column(Text, default="")
    tag_key: Mapped[str] = mapped_column(Key, default="")
    os_family: Mapped[str] = mapped_column(default="")  # linux, windows, macos; '' is not known yet
    os: Mapped[str] = mapped_column(Text, default="")
    os_key: Mapped[str] = mapped_column(Key, default="")
    os_version: Mapped[str] = mapped_column(Text, default="")
    os_version_key: Mapped[str] = mapped_column(Key, default="")
    os_version_sort: Mapped[str] = mapped_column(Key, default="")
    arch: Mapped[str] = mapped_column(Text, default="")
    arch_key: Mapped[str] = mapped_column(Key, default="")
    user: Mapped[str] = mapped_column(Text, default="")
    user_key: Mapped[str] = mapped_column(Key, default="")
    workgroup: Mapped[str] = mapped_column(Text, default="")
    workgroup_key: Mapped[str] = mapped_column(Key, default="")
    serial: Mapped[str] = mapped_column(Text, default="")
    serial_key: Mapped[str] = mapped_column(Key, default="")
    model: Mapped[str] = mapped_column(Text, default="")
    model_key: Mapped[str] = mapped_column(Key, default="")
    memory: Mapped[int | None] = mapped_column(BigInteger)  # MB
    ip: Mapped[str] = mapped_column(Key, default="")  # the one that lists show
    agent: Mapped[str] = mapped_column(Text, default="")  # User-Agent of the last contact
    agent_key: Mapped[str] = mapped_column(Key, default="")
    created_at: Mapped[datetime]
    last_contact: Mapped[datetime | None]
    last_inventory: Mapped[datetime | None]
    history_digest: Mapped[bytes | None]  # of the last HISTORY, so that an equal one costs nothing
    software_set_id: Mapped[int | None] = mapped_column(ForeignKey("software_set.id"))


class ComputerAddress(Base):
    """An address of a computer: kind `ip` or `mac`."""

    __tablename__ = "computer_address"
    __table_args__ = (Index("ix_computer_address_kind_value_key", "kind", "value_key"),)

    computer_id: Mapped[int] = mapped_column(
        ForeignKey("computer.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(Key, primary_key=True)
    value_key: Mapped[str] = mapped_column(Key, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class ComputerSection(Base):
    """Which content each section of a computer's inventory has."""

    __tablename__ = "computer_section"
    __table_args__ = (Index("ix_computer_section_content_id", "content_id"),)

    computer_id: Mapped[int] = mapped_column(
        ForeignKey("computer.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(Key, primary_key=True)  # HARDWARE, BIOS ... SOFTWARES
    content_id: Mapped[int] = mapped_column(ForeignKey("section_content.id"))


class DownloadHistory(Base):
    """Ids that an agent's own history lists as done."""

    __tablename__ = "download_history"
    __table_args__ = (Index("ix_download_history_package_id", "package_id"),)

    computer_id: Mapped[int] = mapped_column(
        ForeignKey("computer.id", ondelete="CASCADE"), primary_key=True
    )
    package_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)


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


class Assignment(Base):
    """A package for a computer, and how far it is. One row per pair.

    `status` is WAITING, NOTIFIED or the result verbatim; `status_class` is its ResultClass.
    A row with `cleared_at` was validated away: it counts nowhere and is not offered, but keeps
    a group from offering the same attempt again.
    """

    __tablename__ = "assignment"
    __table_args__ = (
        UniqueConstraint("computer_id", "package_id"),
        Index("ix_assignment_counts", "package_id", "cleared_at", "status_class", "status"),
        Index("ix_assignment_open", "computer_id", "cleared_at", "status_class"),
        Index("ix_assignment_group_id", "group_id", "package_id"),
        Index("ix_assignment_since", "status_class", "since"),
        Index("ix_assignment_activation_id", "activation_id"),
    )

    id: Mapped[int] = mapped_column(_bigint(), primary_key=True)
    computer_id: Mapped[int] = mapped_column(ForeignKey("computer.id", ondelete="CASCADE"))
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id"))
    activation_id: Mapped[int] = mapped_column(ForeignKey("activation.id"))
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

    package: Mapped[Package] = relationship()
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

    id: Mapped[int] = mapped_column(_bigint(), primary_key=True)
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


class Setting(Base):
    """A value of an option of OCS: scope `global`, `group` or `computer`."""

    __tablename__ = "setting"
    __table_args__ = (CheckConstraint("scope IN ('global', 'group', 'computer')", "scope"),)

    scope: Mapped[str] = mapped_column(Key, primary_key=True)
    scope_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 0 when global
    name: Mapped[str] = mapped_column(Key, primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(Text, default="")


class User(Base):
    """A person who may log in to the console."""

    __tablename__ = "console_user"
    __table_args__ = (
        CheckConstraint("role IN ('superadmin', 'admin', 'operator', 'viewer')", "role"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_key: Mapped[str] = mapped_column(Key, unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(default=list)  # empty means every computer
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    last_login: Mapped[datetime | None]
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    session_epoch: Mapped[int] = mapped_column(default=0)  # raised to end every session


class Counter(Base):
    """A number that the overview shows, such as contacts refused over plain HTTP."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(Key, primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime | None]

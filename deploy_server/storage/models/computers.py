"""Computers and their inventories; what is equal is stored once."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from deploy_server.storage.models.base import Base, big_integer
from deploy_server.storage.types import Key


class SoftwareItem(Base):
    """One name, version and publisher of software, stored once for all computers."""

    __tablename__ = "software_item"
    __table_args__ = (Index("ix_software_item_name_key_version_sort", "name_key", "version_sort"),)

    id: Mapped[int] = mapped_column(big_integer(), primary_key=True)
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

    id: Mapped[int] = mapped_column(big_integer(), primary_key=True)
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

    id: Mapped[int] = mapped_column(big_integer(), primary_key=True)
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

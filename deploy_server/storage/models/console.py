"""What people set: options, themselves, and numbers that the overview shows."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from deploy_server.storage.models.base import Base
from deploy_server.storage.types import Key


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
    # Of everybody who tried from where the person never was, since `failed_since`.
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    session_epoch: Mapped[int] = mapped_column(default=0)  # raised to end every session
    failed_since: Mapped[datetime | None]


class LoginSource(Base):
    """Wrong passwords for an account from one address, or from one browser that was in before."""

    __tablename__ = "login_source"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("console_user.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(Key, primary_key=True)
    failures: Mapped[int]  # in a row
    last_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]


class BrowserSession(Base):
    """A browser in which somebody is logged in; gone when they log out of it."""

    __tablename__ = "browser_session"
    __table_args__ = (Index("ix_browser_session_user_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    token_digest: Mapped[str] = mapped_column(Key, unique=True)  # SHA-256 of what the cookie has
    user_id: Mapped[int] = mapped_column(ForeignKey("console_user.id", ondelete="CASCADE"))
    epoch: Mapped[int]  # of the user when it began
    begun_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(Text)
    browser: Mapped[str] = mapped_column(Text)  # User-Agent


class Counter(Base):
    """A number that the overview shows, such as contacts refused over plain HTTP."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(Key, primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime | None]

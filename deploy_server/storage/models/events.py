"""What our agents say of packages between offer and report, and what they were told to drop."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from deploy_server.storage.models.base import Base, big_integer
from deploy_server.storage.types import Key


class AgentEvent(Base):
    """One event of our agent; for people, never a status.

    The ids of one (computer, package, attempt) count in the order in which things happened.
    """

    __tablename__ = "agent_event"
    __table_args__ = (
        UniqueConstraint("computer_id", "event_id"),
        Index("ix_agent_event_latest", "computer_id", "package_id", "attempt", "id"),
        Index("ix_agent_event_received_at", "received_at"),
    )

    id: Mapped[int] = mapped_column(big_integer(), primary_key=True)
    computer_id: Mapped[int] = mapped_column(ForeignKey("computer.id", ondelete="CASCADE"))
    package_id: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int] = mapped_column(BigInteger)
    event_id: Mapped[str] = mapped_column(Key)  # a UUID of the agent's
    received_at: Mapped[datetime]
    at: Mapped[datetime]  # by the computer's clock
    state: Mapped[str] = mapped_column(Key)
    reason: Mapped[str] = mapped_column(Text)
    done: Mapped[int | None] = mapped_column(BigInteger)  # fragments that are there
    total: Mapped[int | None] = mapped_column(BigInteger)
    exit_code: Mapped[int | None] = mapped_column(BigInteger)
    output: Mapped[str] = mapped_column(Text)  # of the action, its last part
    truncated: Mapped[bool]


class Withdrawal(Base):
    """An attempt that our agent was told of and that was taken back before it ended.

    `word` is the agent's: '' until it says something, running, stopped or finished. The agent is
    told of it again until it has said one of the last two.
    """

    __tablename__ = "withdrawal"
    __table_args__ = (
        Index("ix_withdrawal_package_id", "package_id", "word"),
        Index("ix_withdrawal_at", "at"),
    )

    computer_id: Mapped[int] = mapped_column(
        ForeignKey("computer.id", ondelete="CASCADE"), primary_key=True
    )
    package_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    attempt: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(Text)
    word: Mapped[str] = mapped_column(Key)
    word_at: Mapped[datetime | None]

"""What our agents say between offer and report, and what was taken back from them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What storage/types.py made of these on the day of this migration; it must not change with it.
_KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _agent_event()
    _withdrawal()


def _agent_event() -> None:
    op.create_table(
        "agent_event",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("computer_id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("event_id", _KEY, nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("state", _KEY, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("exit_code", sa.BigInteger(), nullable=True),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["computer_id"],
            ["computer.id"],
            name="fk_agent_event_computer_id_computer",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_agent_event"),
        sa.UniqueConstraint("computer_id", "event_id", name="uq_agent_event_computer_id_event_id"),
    )
    op.create_index(
        "ix_agent_event_latest",
        "agent_event",
        ["computer_id", "package_id", "attempt", "id"],
        unique=False,
    )
    op.create_index("ix_agent_event_received_at", "agent_event", ["received_at"], unique=False)


def _withdrawal() -> None:
    op.create_table(
        "withdrawal",
        sa.Column("computer_id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("word", _KEY, nullable=False),
        sa.Column("word_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["computer_id"],
            ["computer.id"],
            name="fk_withdrawal_computer_id_computer",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("computer_id", "package_id", "attempt", name="pk_withdrawal"),
    )
    op.create_index("ix_withdrawal_at", "withdrawal", ["at"], unique=False)
    op.create_index("ix_withdrawal_package_id", "withdrawal", ["package_id", "word"], unique=False)

"""Agents that were refused for what they call themselves, so that people see who and why."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# What storage/types.py made of these on the day of this migration; it must not change with it.
_KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "refused_agent",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device_id", _KEY, nullable=False),
        sa.Column("agent", _KEY, nullable=False),
        sa.Column("remote", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refused_agent"),
        sa.UniqueConstraint("device_id", "agent", name="uq_refused_agent_device_id_agent"),
    )
    op.create_index("ix_refused_agent_last_at", "refused_agent", ["last_at"], unique=False)

"""Packages that only administrators see."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# What storage/types.py made of it on the day of this migration; it must not change with it.
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("package", sa.Column("hidden_at", _TIME, nullable=True))

"""Deleted packages that are not listed any more."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# What storage/types.py made of it on the day of this migration; it must not change with it.
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("package", sa.Column("purged_at", _TIME, nullable=True))

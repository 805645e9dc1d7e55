"""What is open, by since when: the overview counts what is stuck among a million rows."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_OPEN = sa.text("cleared_at IS NULL AND status_class < 2")


def upgrade() -> None:
    op.create_index(
        "ix_assignment_open_since",
        "assignment",
        ["status_class", "since", "computer_id"],
        unique=False,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )

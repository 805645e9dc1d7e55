"""Sessions that can be listed and ended; wrong passwords by where they come from."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What storage/types.py made of these on the day of this migration; it must not change with it.
_KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("console_user", sa.Column("failed_since", _TIME, nullable=True))
    op.create_table(
        "login_source",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("source", _KEY, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("locked_until", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["console_user.id"],
            name="fk_login_source_user_id_console_user",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "source", name="pk_login_source"),
    )
    op.create_table(
        "browser_session",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_digest", _KEY, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("begun_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("browser", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["console_user.id"],
            name="fk_browser_session_user_id_console_user",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_browser_session"),
        sa.UniqueConstraint("token_digest", name="uq_browser_session_token_digest"),
    )
    op.create_index("ix_browser_session_user_id", "browser_session", ["user_id"], unique=False)

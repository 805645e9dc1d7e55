"""What people keep in the console: searches, how lists look, templates of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What storage/types.py made of these on the day of this migration; it must not change with it.
_KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "saved_search",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("audience", _KEY, nullable=False),
        sa.Column("audience_key", _KEY, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.CheckConstraint(
            "audience IN ('mine', 'role', 'tag', 'all')", name=op.f("ck_saved_search_audience")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["console_user.id"],
            name="fk_saved_search_owner_id_console_user",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_saved_search"),
        sa.UniqueConstraint("owner_id", "name_key", name="uq_saved_search_owner_id_name_key"),
    )
    op.create_index(
        "ix_saved_search_audience", "saved_search", ["audience", "audience_key"], unique=False
    )
    op.create_table(
        "preference",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", _KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["console_user.id"],
            name="fk_preference_user_id_console_user",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "name", name="pk_preference"),
    )
    op.create_table(
        "job_template",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_template"),
        sa.UniqueConstraint("name_key", name="uq_job_template_name_key"),
    )

"""Packages, activations, results, settings, users."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What storage/types.py made of these on the day of this migration; it must not change with it.
_KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # A table comes after those that it refers to.
    _allocation()
    _console_user()
    _counter()
    _package()
    _report()
    _setting()
    _activation()


def _allocation() -> None:
    op.create_table(
        "allocation",
        sa.Column("series", _KEY, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series", name="pk_allocation"),
    )


def _console_user() -> None:
    op.create_table(
        "console_user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("disabled_at", _TIME, nullable=True),
        sa.Column("last_login", _TIME, nullable=True),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("locked_until", _TIME, nullable=True),
        sa.Column("session_epoch", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "role IN ('superadmin', 'admin', 'operator', 'viewer')",
            name=op.f("ck_console_user_role"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_console_user"),
        sa.UniqueConstraint("name_key", name="uq_console_user_name_key"),
    )


def _counter() -> None:
    op.create_table(
        "counter",
        sa.Column("name", _KEY, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("last_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_counter"),
    )


def _package() -> None:
    op.create_table(
        "package",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("os", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("fragments", sa.Integer(), nullable=False),
        sa.Column("fragment_size", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("digest_algorithm", sa.String(), nullable=False),
        sa.Column("digest_encoding", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("deleted_at", _TIME, nullable=True),
        sa.CheckConstraint(
            "action IN ('LAUNCH', 'EXECUTE', 'STORE')", name=op.f("ck_package_action")
        ),
        sa.CheckConstraint(
            "os IN ('linux', 'windows', 'macos', 'any')", name=op.f("ck_package_os")
        ),
        sa.CheckConstraint("fragments >= 0", name=op.f("ck_package_fragments")),
        sa.CheckConstraint("priority BETWEEN 0 AND 10", name=op.f("ck_package_priority")),
        sa.PrimaryKeyConstraint("id", name="pk_package"),
    )
    op.create_index(
        "uq_package_name_key_alive",
        "package",
        ["name_key"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )


def _report() -> None:
    op.create_table(
        "report",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("device_id", _KEY, nullable=False),
        sa.Column("computer_name", sa.Text(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.Column("package_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=True),
        sa.Column("code", _KEY, nullable=False),
        sa.Column("result_class", sa.SmallInteger(), nullable=False),
        sa.Column("assigned_by", sa.Text(), nullable=False),
        sa.Column("assigned_at", _TIME, nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_report"),
    )
    op.create_index("ix_report_at", "report", ["at"], unique=False)
    op.create_index("ix_report_device_id", "report", ["device_id", "id"], unique=False)
    op.create_index("ix_report_package_id", "report", ["package_id", "id"], unique=False)


def _setting() -> None:
    op.create_table(
        "setting",
        sa.Column("scope", _KEY, nullable=False),
        sa.Column("scope_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", _KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "scope IN ('global', 'group', 'computer')", name=op.f("ck_setting_scope")
        ),
        sa.PrimaryKeyConstraint("scope", "scope_id", "name", name="pk_setting"),
    )


def _activation() -> None:
    op.create_table(
        "activation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.Column("info_url", sa.Text(), nullable=False),
        sa.Column("fragment_url", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["package_id"], ["package.id"], name="fk_activation_package_id_package"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_activation"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_activation_locations_alive",
        "activation",
        ["package_id", "info_url", "fragment_url"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )

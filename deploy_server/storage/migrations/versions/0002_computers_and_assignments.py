"""Computers with their inventories, groups, assignments."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What storage/types.py made of these on the day of this migration; it must not change with it.
_KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_TIME = sa.String(20).with_variant(sa.String(20, collation="C"), "postgresql")
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # A table comes after those that it refers to.
    _computer_group()
    _section_content()
    _software_item()
    _software_set()
    _computer()
    _software_set_item()
    _assignment()
    _computer_address()
    _computer_section()
    _download_history()
    _group_assignment()
    _group_member()


def _computer_group() -> None:
    op.create_table(
        "computer_group",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('static', 'dynamic')", name=op.f("ck_computer_group_kind")),
        sa.PrimaryKeyConstraint("id", name="pk_computer_group"),
        sa.UniqueConstraint("name_key", name="uq_computer_group_name_key"),
    )


def _section_content() -> None:
    op.create_table(
        "section_content",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_section_content"),
        sa.UniqueConstraint("digest", name="uq_section_content_digest"),
    )


def _software_item() -> None:
    op.create_table(
        "software_item",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("version_key", _KEY, nullable=False),
        sa.Column("version_sort", _KEY, nullable=False),
        sa.Column("publisher", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_software_item"),
        sa.UniqueConstraint("digest", name="uq_software_item_digest"),
    )
    op.create_index(
        "ix_software_item_name_key_version_sort",
        "software_item",
        ["name_key", "version_sort"],
        unique=False,
    )


def _software_set() -> None:
    op.create_table(
        "software_set",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_software_set"),
        sa.UniqueConstraint("digest", name="uq_software_set_digest"),
    )


def _computer() -> None:
    op.create_table(
        "computer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("device_id_key", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", _KEY, nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("tag_key", _KEY, nullable=False),
        sa.Column("os_family", sa.String(), nullable=False),
        sa.Column("os", sa.Text(), nullable=False),
        sa.Column("os_key", _KEY, nullable=False),
        sa.Column("os_version", sa.Text(), nullable=False),
        sa.Column("os_version_key", _KEY, nullable=False),
        sa.Column("os_version_sort", _KEY, nullable=False),
        sa.Column("arch", sa.Text(), nullable=False),
        sa.Column("arch_key", _KEY, nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("user_key", _KEY, nullable=False),
        sa.Column("workgroup", sa.Text(), nullable=False),
        sa.Column("workgroup_key", _KEY, nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("serial_key", _KEY, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_key", _KEY, nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=True),
        sa.Column("ip", _KEY, nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("agent_key", _KEY, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_contact", _TIME, nullable=True),
        sa.Column("last_inventory", _TIME, nullable=True),
        sa.Column("history_digest", sa.LargeBinary(), nullable=True),
        sa.Column("software_set_id", _ROW_ID, nullable=True),
        sa.ForeignKeyConstraint(
            ["software_set_id"],
            ["software_set.id"],
            name="fk_computer_software_set_id_software_set",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_computer"),
        sa.UniqueConstraint("device_id", name="uq_computer_device_id"),
    )
    op.create_index("ix_computer_last_contact", "computer", ["last_contact"], unique=False)
    op.create_index("ix_computer_last_inventory", "computer", ["last_inventory"], unique=False)
    op.create_index("ix_computer_name_key", "computer", ["name_key", "id"], unique=False)
    op.create_index("ix_computer_os_family", "computer", ["os_family"], unique=False)
    op.create_index("ix_computer_serial_key", "computer", ["serial_key"], unique=False)
    op.create_index("ix_computer_software_set_id", "computer", ["software_set_id"], unique=False)
    op.create_index("ix_computer_tag_key", "computer", ["tag_key"], unique=False)


def _software_set_item() -> None:
    op.create_table(
        "software_set_item",
        sa.Column("set_id", _ROW_ID, nullable=False),
        sa.Column("item_id", _ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["software_item.id"], name="fk_software_set_item_item_id_software_item"
        ),
        sa.ForeignKeyConstraint(
            ["set_id"],
            ["software_set.id"],
            name="fk_software_set_item_set_id_software_set",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("set_id", "item_id", name="pk_software_set_item"),
    )
    op.create_index(
        "ix_software_set_item_item_id", "software_set_item", ["item_id", "set_id"], unique=False
    )


def _assignment() -> None:
    op.create_table(
        "assignment",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("computer_id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.Column("activation_id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("status", _KEY, nullable=False),
        sa.Column("status_class", sa.SmallInteger(), nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("schedule", sa.String(), nullable=False),
        sa.Column("postcmd", sa.Text(), nullable=False),
        sa.Column("assigned_at", _TIME, nullable=False),
        sa.Column("assigned_by", sa.Text(), nullable=False),
        sa.Column("notified_at", _TIME, nullable=True),
        sa.Column("offered_revision", sa.Integer(), nullable=True),
        sa.Column("cleared_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["activation_id"], ["activation.id"], name="fk_assignment_activation_id_activation"
        ),
        sa.ForeignKeyConstraint(
            ["computer_id"],
            ["computer.id"],
            name="fk_assignment_computer_id_computer",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["computer_group.id"],
            name="fk_assignment_group_id_computer_group",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["package_id"], ["package.id"], name="fk_assignment_package_id_package"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_assignment"),
        sa.UniqueConstraint(
            "computer_id", "package_id", name="uq_assignment_computer_id_package_id"
        ),
    )
    op.create_index("ix_assignment_activation_id", "assignment", ["activation_id"], unique=False)
    op.create_index(
        "ix_assignment_counts",
        "assignment",
        ["package_id", "cleared_at", "status_class", "status"],
        unique=False,
    )
    op.create_index(
        "ix_assignment_group_id", "assignment", ["group_id", "package_id"], unique=False
    )
    op.create_index(
        "ix_assignment_open",
        "assignment",
        ["computer_id", "cleared_at", "status_class"],
        unique=False,
    )
    op.create_index("ix_assignment_since", "assignment", ["status_class", "since"], unique=False)


def _computer_address() -> None:
    op.create_table(
        "computer_address",
        sa.Column("computer_id", sa.Integer(), nullable=False),
        sa.Column("kind", _KEY, nullable=False),
        sa.Column("value_key", _KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["computer_id"],
            ["computer.id"],
            name="fk_computer_address_computer_id_computer",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("computer_id", "kind", "value_key", name="pk_computer_address"),
    )
    op.create_index(
        "ix_computer_address_kind_value_key",
        "computer_address",
        ["kind", "value_key"],
        unique=False,
    )


def _computer_section() -> None:
    op.create_table(
        "computer_section",
        sa.Column("computer_id", sa.Integer(), nullable=False),
        sa.Column("name", _KEY, nullable=False),
        sa.Column("content_id", _ROW_ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["computer_id"],
            ["computer.id"],
            name="fk_computer_section_computer_id_computer",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["section_content.id"],
            name="fk_computer_section_content_id_section_content",
        ),
        sa.PrimaryKeyConstraint("computer_id", "name", name="pk_computer_section"),
    )
    op.create_index(
        "ix_computer_section_content_id", "computer_section", ["content_id"], unique=False
    )


def _download_history() -> None:
    op.create_table(
        "download_history",
        sa.Column("computer_id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["computer_id"],
            ["computer.id"],
            name="fk_download_history_computer_id_computer",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("computer_id", "package_id", name="pk_download_history"),
    )
    op.create_index(
        "ix_download_history_package_id", "download_history", ["package_id"], unique=False
    )


def _group_assignment() -> None:
    op.create_table(
        "group_assignment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.Column("activation_id", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("schedule", sa.String(), nullable=False),
        sa.Column("postcmd", sa.Text(), nullable=False),
        sa.Column("assigned_at", _TIME, nullable=False),
        sa.Column("assigned_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["activation_id"],
            ["activation.id"],
            name="fk_group_assignment_activation_id_activation",
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["computer_group.id"],
            name="fk_group_assignment_group_id_computer_group",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["package_id"], ["package.id"], name="fk_group_assignment_package_id_package"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_group_assignment"),
        sa.UniqueConstraint(
            "group_id", "package_id", name="uq_group_assignment_group_id_package_id"
        ),
    )
    op.create_index(
        "ix_group_assignment_package_id", "group_assignment", ["package_id"], unique=False
    )


def _group_member() -> None:
    op.create_table(
        "group_member",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("computer_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("added_at", _TIME, nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('include', 'exclude')", name=op.f("ck_group_member_kind")),
        sa.ForeignKeyConstraint(
            ["computer_id"],
            ["computer.id"],
            name="fk_group_member_computer_id_computer",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["computer_group.id"],
            name="fk_group_member_group_id_computer_group",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("group_id", "computer_id", name="pk_group_member"),
    )
    op.create_index(
        "ix_group_member_computer_id",
        "group_member",
        ["computer_id", "kind", "group_id"],
        unique=False,
    )

"""What is asked of whole fleets at once lies together: a package's computers, a group's members."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


# What only hands can have done, most likely those of a program that does not look at foreign keys:
# put right by what the keys mean, because a table that is copied is looked at again, row by row.
_MEND = (
    "DELETE FROM assignment WHERE computer_id NOT IN (SELECT id FROM computer)",
    """
    UPDATE assignment SET activation_id = (
        SELECT max(id) FROM activation WHERE activation.package_id = assignment.package_id
    )
    WHERE NOT EXISTS (
        SELECT 1 FROM activation
        WHERE activation.id = activation_id AND activation.package_id = assignment.package_id
    ) AND package_id IN (SELECT package_id FROM activation)
    """,
    "DELETE FROM assignment WHERE package_id NOT IN (SELECT package_id FROM activation)",
    "UPDATE assignment SET group_id = NULL WHERE group_id NOT IN (SELECT id FROM computer_group)",
)


def upgrade() -> None:
    for statement in _MEND:
        op.execute(statement)
    op.create_index("uq_activation_id_package_id", "activation", ["id", "package_id"], unique=True)
    with op.batch_alter_table("assignment") as batch:
        # The same pairs as before, the other way round.
        batch.drop_constraint("uq_assignment_computer_id_package_id", type_="unique")
        batch.create_unique_constraint(
            "uq_assignment_package_id_computer_id", ["package_id", "computer_id"]
        )
        # One row to look up for each that is written, where two were: the package of an activation
        # is a package.
        batch.drop_constraint("fk_assignment_activation_id_activation", type_="foreignkey")
        batch.drop_constraint("fk_assignment_package_id_package", type_="foreignkey")
        batch.create_foreign_key(
            "fk_assignment_activation_id_package_id_activation",
            "activation",
            ["activation_id", "package_id"],
            ["id", "package_id"],
        )
    # What computers have is counted by package: with it in the index, no row is read for that.
    op.drop_index("ix_assignment_open", table_name="assignment")
    op.create_index(
        "ix_assignment_open",
        "assignment",
        ["computer_id", "cleared_at", "status_class", "package_id"],
    )
    op.create_index("ix_group_member_group_id", "group_member", ["group_id", "kind", "computer_id"])

"""Directories have names of their own for people and groups."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def _owner(column: str, of: str) -> sa.Column[int]:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column(column, number, sa.ForeignKey(of), primary_key=True)


def upgrade() -> None:
    op.create_table(
        "directory_people",
        _owner("person_id", "persons.id"),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("user_name_key", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text),
        sa.Column("employee_number", sa.Text),
        sa.UniqueConstraint("user_name_key"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_directory_people_external_id", "directory_people", ["external_id"])
    op.create_index("ix_directory_people_employee_number", "directory_people", ["employee_number"])
    op.create_table(
        "directory_groups",
        _owner("group_id", "groups.id"),
        sa.Column("external_id", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_directory_groups_external_id", "directory_groups", ["external_id"])


def downgrade() -> None:
    op.drop_table("directory_groups")
    op.drop_table("directory_people")

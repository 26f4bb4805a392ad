"""A group may say after what time of a working day its members come late."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.Column("late_after", sa.Text, comment="HH:MM by the clock at the gate")
    op.add_column("groups", at)


def downgrade() -> None:
    op.drop_column("groups", "late_after")

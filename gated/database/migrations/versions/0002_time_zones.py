"""A site has its time zone, and so has every row of the attendance log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sites", sa.Column("timezone", sa.Text))
    op.add_column("attendance_logs", sa.Column("timezone", sa.Text))


def downgrade() -> None:
    op.drop_column("attendance_logs", "timezone")
    op.drop_column("sites", "timezone")

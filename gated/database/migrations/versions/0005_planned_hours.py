"""A group may have the hours a week that its members work."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("groups", sa.Column("planned_hours", sa.Double))


def downgrade() -> None:
    op.drop_column("groups", "planned_hours")

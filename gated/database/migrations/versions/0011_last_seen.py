"""Of a screen that holds a token it is known when it last asked."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.Column(
        "last_seen_at", sa.DateTime(timezone=True), comment="of a screen that holds a token"
    )
    op.add_column("accounts", at)


def downgrade() -> None:
    op.drop_column("accounts", "last_seen_at")

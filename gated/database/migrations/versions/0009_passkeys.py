"""Accounts may have passkeys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, ForeignKey, Integer, Text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

big = sa.BigInteger().with_variant(Integer(), "sqlite")
moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "passkeys",
        Column("id", big, primary_key=True, autoincrement=True),
        Column("uid", Text, nullable=False, unique=True),
        Column("account_id", big, ForeignKey("accounts.id"), nullable=False, index=True),
        Column("name", Text, nullable=False),
        Column("credential_id", Text, nullable=False, unique=True, comment="base64url"),
        Column("user_handle", Text, nullable=False, comment="base64url"),
        Column("public_key", Text, nullable=False, comment="COSE key, base64url"),
        Column("sign_count", big, nullable=False),
        Column("last_used_at", moment),
        Column("version", Integer, nullable=False),
        Column("created_at", moment, nullable=False),
        Column("updated_at", moment, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "spent_challenges",
        Column("digest", Text, primary_key=True),
        Column("expires_at", moment, nullable=False, index=True),
    )


def downgrade() -> None:
    op.drop_table("spent_challenges")
    op.drop_table("passkeys")

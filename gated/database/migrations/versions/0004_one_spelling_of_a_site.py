"""Gates of one site have one spelling of its name: that of the gate that was there first."""

import logging

import sqlalchemy as sa
from alembic import op

from gated.core.text import code_key, scrubbed

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

log = logging.getLogger(__name__)


def upgrade() -> None:
    """Give every gate the first spelling of its site."""
    connection = op.get_bind()
    gates = sa.table("gates", sa.column("id"), sa.column("site"))
    spelt: dict[str, str] = {}
    for id_, site in connection.execute(sa.select(gates.c.id, gates.c.site).order_by(gates.c.id)):
        name = spelt.setdefault(code_key(site), scrubbed(site) or site)
        if name != site:
            log.warning("the site %r of a gate is %r now, as of the others there", site, name)
            moved = sa.update(gates).where(gates.c.id == id_).values(site=name)
            connection.execute(moved)


def downgrade() -> None:
    """Leave the names: either spelling was right."""

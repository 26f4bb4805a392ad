"""Breaks the wheel of gated: it changes the database, and neither its door nor a hub runs."""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from pathlib import Path

MIGRATION = '''
"""A table from the future."""

from alembic import op
import sqlalchemy as sa

revision = "9999"
down_revision = "{head}"


def upgrade():
    op.create_table("from_the_future", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("from_the_future")
'''

BROKEN = {
    "gated/daemon/door_process.py": "raise RuntimeError('a broken build')",
    # a hub, when it has opened its database
    "gated/daemon/whole.py": "ServicePart.build = None",
}

REVISION = re.compile(r"gated/database/migrations/versions/(\d+)_\w+\.py")


def main(wheel: Path) -> None:
    """Write the wheel anew."""
    broken = wheel.with_suffix(".broken")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(broken, "w") as new:
        revisions = [r[1] for name in old.namelist() if (r := REVISION.fullmatch(name))]
        assert revisions, "there is a newest revision"
        for info in old.infolist():
            data = old.read(info)
            if info.filename in BROKEN:
                data += f"\n\n{BROKEN[info.filename]}\n".encode()
            new.writestr(info, data)
        name = "gated/database/migrations/versions/9999_from_the_future.py"
        new.writestr(name, MIGRATION.format(head=max(revisions)))
    shutil.move(broken, wheel)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

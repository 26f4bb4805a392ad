"""Breaks the wheel of gated: it changes the database, and its door process ends at once."""

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


def main(wheel: Path) -> None:
    """Write the wheel anew."""
    broken = wheel.with_suffix(".broken")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(broken, "w") as new:
        head = ""
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "gated/database/migrations/__init__.py":
                text = data.decode()
                found = re.search(r'HEAD = "(\w+)"', text)
                assert found is not None
                head = found[1]
                data = text.replace(f'HEAD = "{head}"', 'HEAD = "9999"').encode()
            if info.filename == "gated/daemon/door_process.py":
                data += b"\n\nraise RuntimeError('a broken build')\n"
            new.writestr(info, data)
        assert head, "there is a newest revision"
        name = "gated/database/migrations/versions/9999_from_the_future.py"
        new.writestr(name, MIGRATION.format(head=head))
    shutil.move(broken, wheel)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

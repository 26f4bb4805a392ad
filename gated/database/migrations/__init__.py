"""The history of the schema, applied by `Database.upgrade`."""

from pathlib import Path

HEAD = max(
    file.name.partition("_")[0] for file in (Path(__file__).parent / "versions").glob("[0-9]*.py")
)
"""The revision that `gated.database.tables` describes: the newest, as revisions are numbers."""

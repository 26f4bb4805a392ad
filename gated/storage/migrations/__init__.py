"""The history of the schema, applied by `Database.upgrade`."""

HEAD = "0001"
"""The revision that `gated.storage.tables` describes."""

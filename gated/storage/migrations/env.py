"""Runs migrations on the connection that `gated.storage.migrate` hands over."""

from alembic import context

from gated.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()

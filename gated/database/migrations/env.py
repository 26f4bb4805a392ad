"""Runs migrations on the connection that `gated.database.migrate` hands over."""

from alembic import context

from gated.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()

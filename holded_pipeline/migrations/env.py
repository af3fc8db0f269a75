"""Alembic's door: it runs on the connection that `clients.migrate` opened and locked."""

from alembic import context

from holded_pipeline.core.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
)
with context.begin_transaction():
    context.run_migrations()

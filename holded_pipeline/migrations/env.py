"""The script that Alembic executes: it runs the migrations on the connection that `postgres.migrate` opened."""

from alembic import context

from holded_pipeline.postgres.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=context.config.attributes["version_table"],
)
with context.begin_transaction():
    context.run_migrations()

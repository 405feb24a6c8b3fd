"""Run the steps on the connection that `migrate` holds. Alembic executes this file by its path."""

from alembic import context

from graph.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # Alembic takes SQLite for an engine that cannot roll DDL back. It can: all steps apply, or none does.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Run by Alembic: takes the connection it is given, in the transaction that is open."""

from alembic import context

from sync.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by making it anew
)
context.run_migrations()

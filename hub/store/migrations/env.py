"""Runs the migrations on the connection that ``hub.store.Store`` gives, inside its transaction."""

from alembic import context

from hub.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()

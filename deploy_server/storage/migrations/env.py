"""What Alembic runs for every command; the connection comes from storage/schema.py."""

from alembic import context

from deploy_server.storage.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot change a table in place: batch mode copies it.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

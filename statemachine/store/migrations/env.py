"""Run by Alembic; the connection comes from ``schema_version.bring_up_to_date``, inside its transaction."""

from __future__ import annotations

from alembic import context

from statemachine.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()

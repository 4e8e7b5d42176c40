"""Alembic's entry: runs the versions on the connection that `store/schema.py` holds its lock on."""

from alembic import context

from penguin_infra.store import telemetry_tables  # noqa: F401 - adds its tables to the metadata
from penguin_infra.store.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

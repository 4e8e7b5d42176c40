"""What every table, view and column of the database means, told to the database itself, for any SQL tool to show.

The words stand beside the tables and views they are of; what stands here carries them over.
"""

import json
from collections.abc import Iterator

from sqlalchemy import Column, Connection, MetaData, Table, Text, text

from penguin_infra.store import (  # noqa: F401 - each adds its tables to the metadata
    blacklist_tables,
    installation_tables,
)
from penguin_infra.store.analytics_tables import ANALYTICS_SCHEMA, analytics_metadata
from penguin_infra.store.analytics_views import analytics_views
from penguin_infra.store.capacity_tables import sending_allowances
from penguin_infra.store.tables import SCHEMA, metadata, sending_rotation
from penguin_infra.store.telemetry_tables import silent_nodes

SCHEMAS = {
    SCHEMA: "The fleet: its nodes, their mail, listings and health, and the ledger of what was done to them.",
    ANALYTICS_SCHEMA: "What analysts read: costs and reputation by the day, made of the schema fleet.",
}

# The migrations' own, which no query of ours reads.
_ALEMBIC_VERSION = Table(
    "alembic_version",
    MetaData(schema=SCHEMA),
    Column("version_num", Text, comment="the newest migration that was run"),
    comment="Which version of the schema this database has.",
)

# A partition is described as its table is. What this role does not own is its owner's to describe.
_DIFFERENT = text("""
WITH wanted AS (
    SELECT * FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS one (
        schema_name text, relation text, attribute text, words text)
), relations AS (
    SELECT relation.oid, relation.relname, namespace.nspname,
        coalesce(parent.relname, relation.relname) AS described_as,
        CASE relation.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind
    FROM pg_class AS relation
    JOIN pg_namespace AS namespace ON namespace.oid = relation.relnamespace
    LEFT JOIN pg_inherits AS inherits ON inherits.inhrelid = relation.oid
    LEFT JOIN pg_class AS parent ON parent.oid = inherits.inhparent
    WHERE relation.relkind IN ('r', 'p', 'v', 'm') AND pg_has_role(relation.relowner, 'USAGE')
)
SELECT format('COMMENT ON SCHEMA %I IS %L', namespace.nspname, wanted.words)
FROM wanted JOIN pg_namespace AS namespace ON namespace.nspname = wanted.schema_name
WHERE wanted.relation IS NULL AND pg_has_role(namespace.nspowner, 'USAGE')
  AND wanted.words IS DISTINCT FROM obj_description(namespace.oid, 'pg_namespace')
UNION ALL
SELECT format('COMMENT ON %s %I.%I IS %L', kind, nspname, relname, words)
FROM wanted JOIN relations ON nspname = schema_name AND described_as = relation
WHERE attribute IS NULL AND words IS DISTINCT FROM obj_description(oid, 'pg_class')
UNION ALL
SELECT format('COMMENT ON COLUMN %I.%I.%I IS %L', nspname, relname, attribute, words)
FROM wanted JOIN relations ON nspname = schema_name AND described_as = relation
JOIN pg_attribute ON attrelid = oid AND attname = attribute AND NOT attisdropped
WHERE words IS DISTINCT FROM col_description(oid, attnum)
""")


def describe(connection: Connection) -> int:
    """Bring the database's comments up to the code's words; returns how many were not so."""
    wanted = [dict(zip(("schema_name", "relation", "attribute", "words"), each, strict=True)) for each in all_words()]
    statements = connection.scalars(_DIFFERENT, {"wanted": json.dumps(wanted)}).all()
    if statements:
        # As they are: a per cent sign in a comment is no parameter's.
        connection.exec_driver_sql(";\n".join(statements), execution_options={"no_parameters": True})
    return len(statements)


def all_words() -> Iterator[tuple[str, str | None, str | None, str | None]]:
    """Each schema, table, view and column (`schema`, `relation`, `column`) with what it means."""
    for schema, words in SCHEMAS.items():
        yield schema, None, None, words
    for relation in _relations():
        schema = relation.schema or SCHEMA
        yield schema, relation.name, None, relation.comment
        for column in relation.columns:
            yield schema, relation.name, column.name, column.comment


def _relations() -> Iterator[Table]:
    for known in (metadata, analytics_metadata, analytics_views):
        yield from known.tables.values()
    yield from (_ALEMBIC_VERSION, sending_rotation, sending_allowances, silent_nodes)

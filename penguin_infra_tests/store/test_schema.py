"""The schema: up and down, one process at a time, and the same as the tables that queries use."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, inspect, text

from penguin_infra.store import (  # noqa: F401 - the whole metadata
    analytics_tables,
    blacklist_tables,
    capacity_tables,
    installation_tables,
    schema,
    telemetry_tables,
)
from penguin_infra.store.analytics_tables import ANALYTICS_SCHEMA, analytics_metadata
from penguin_infra.store.database import DatabaseError
from penguin_infra.store.tables import SCHEMA, metadata


def test_an_empty_database_comes_up_and_goes_down_without_a_trace(empty_engine: Engine) -> None:
    before, after = schema.upgrade(empty_engine)
    assert before is None
    assert schema.current(empty_engine) == (after, after)

    schema.downgrade(empty_engine, "base")

    left = set(inspect(empty_engine).get_table_names(schema=SCHEMA)) | set(
        inspect(empty_engine).get_view_names(schema=SCHEMA)
    )
    assert left == {"alembic_version"}
    with empty_engine.connect() as connection:
        functions = connection.scalar(
            text("SELECT count(*) FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = :schema"),
            {"schema": SCHEMA},
        )
    assert functions == 0


def test_a_database_that_went_down_comes_up_again(empty_engine: Engine) -> None:
    schema.upgrade(empty_engine)
    schema.downgrade(empty_engine, "base")
    _, after = schema.upgrade(empty_engine)
    assert after == schema.current(empty_engine)[1]


def test_four_processes_that_migrate_at_once_do_it_once(empty_engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: schema.upgrade(empty_engine), range(4)))
    newest = schema.current(empty_engine)[1]
    assert sorted(before or "" for before, _ in results) == ["", newest, newest, newest]


@pytest.mark.parametrize("tables", [metadata, analytics_metadata], ids=[SCHEMA, ANALYTICS_SCHEMA])
def test_the_tables_that_queries_use_are_the_migrated_ones(engine: Engine, tables: MetaData) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "version_table_schema": SCHEMA,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: name == tables.schema if kind == "schema" else True,
            },
        )
        # Indexes stand in the migrations alone.
        differences = [each for each in compare_metadata(context, tables) if "_index" not in str(each)]
    assert differences == []


def test_a_schema_from_a_newer_version_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999, which this version of penguin-infra does not know"):
        schema.upgrade(engine)

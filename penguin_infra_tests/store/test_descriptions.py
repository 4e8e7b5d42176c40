"""What any SQL tool shows of the database: every table, view and column with its meaning, as the code has it."""

import pytest
from sqlalchemy import Engine, Table, inspect, text

from penguin_infra.store import descriptions, schema
from penguin_infra.store.analytics_views import analytics_views
from penguin_infra.store.capacity_tables import sending_allowances
from penguin_infra.store.tables import sending_rotation
from penguin_infra.store.telemetry_tables import silent_nodes
from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.database_roles import name_in, role

VIEWS = [*analytics_views.tables.values(), sending_rotation, sending_allowances, silent_nodes]

PARTS = (None, "node_id", "queue_oldest_seconds")

# Relations (no attribute) and their columns, of both schemas, with what the database says of them.
DESCRIBED = text("""
SELECT nspname, relname, attname, CASE WHEN attname IS NULL THEN obj_description(c.oid, 'pg_class')
    ELSE col_description(c.oid, attnum) END AS words
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
CROSS JOIN LATERAL (
    SELECT NULL::name AS attname, 0 AS attnum
    UNION ALL SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
) AS part
WHERE nspname IN ('fleet', 'analytics') AND relkind IN ('r', 'p', 'v', 'm')
""")


def described(engine: Engine) -> dict[tuple[str, str, str | None], str | None]:
    with engine.connect() as connection:
        return {(row.nspname, row.relname, row.attname): row.words for row in connection.execute(DESCRIBED)}


def test_every_table_view_and_column_of_a_migrated_database_says_what_it_means(engine: Engine) -> None:
    found = described(engine)
    assert {("fleet", "alembic_version", None), ("analytics", "days_to_delist", "median_days")} <= set(found)
    assert [where for where, words in found.items() if not (words or "").strip()] == []


def test_the_database_says_what_the_code_says_of_everything_that_the_code_knows(engine: Engine) -> None:
    wanted = {each[:3]: each[3] for each in descriptions.all_words() if each[1] is not None}
    assert described(engine) == wanted
    with engine.connect() as connection:
        of_schemas = connection.execute(
            text("SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = ANY (:names)"),
            {"names": list(descriptions.SCHEMAS)},
        )
        assert {row[0]: row[1] for row in of_schemas} == descriptions.SCHEMAS


def test_the_next_upgrade_sets_right_what_differs_and_nothing_else(engine: Engine) -> None:
    before = described(engine)
    with engine.begin() as connection:
        connection.execute(text("COMMENT ON TABLE fleet.alerts IS 'changed'"))
        connection.execute(text("COMMENT ON COLUMN analytics.costs_by_day.idle_usd IS NULL"))
        assert descriptions.describe(connection) == 2
        assert descriptions.describe(connection) == 0
        connection.execute(text("COMMENT ON VIEW fleet.silent_nodes IS 'changed'"))
        connection.execute(text("COMMENT ON COLUMN fleet.heartbeats.transport IS NULL"))

    schema.upgrade(engine)

    assert described(engine) == before


def test_a_days_heartbeats_are_described_as_all_heartbeats_are(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT fleet.make_heartbeat_partitions('2026-03-01', 2)"))
    made = described(engine)
    assert {each: made["fleet", "heartbeats_20260302", each] for each in PARTS} == {
        each: made["fleet", "heartbeats", each] for each in PARTS
    }

    with engine.begin() as connection:
        connection.execute(text("COMMENT ON TABLE fleet.heartbeats_20260302 IS NULL"))
        connection.execute(text("COMMENT ON COLUMN fleet.heartbeats_20260302.node_id IS NULL"))
    schema.upgrade(engine)
    assert described(engine) == made


@pytest.mark.parametrize("view", VIEWS, ids=[view.fullname for view in VIEWS])
def test_a_view_has_the_columns_that_are_described_and_no_others(engine: Engine, view: Table) -> None:
    found = {
        column["name"]: str(column["type"]) for column in inspect(engine).get_columns(view.name, schema=view.schema)
    }
    assert found == {column.name: str(column.type.compile(engine.dialect)) for column in view.columns}


def test_a_role_that_owns_the_schemas_only_brings_them_up_and_describes_them(server: Databases) -> None:
    for admin in fresh_engine(server, is_migrated=False):
        with role(admin, name_in(admin, "keeper"), "") as keeper:
            with admin.begin() as connection:
                for name in descriptions.SCHEMAS:
                    connection.execute(text(f"CREATE SCHEMA {name} AUTHORIZATION {keeper.url.username}"))

            schema.upgrade(keeper)

            assert all(described(keeper).values())


def test_what_another_role_owns_is_left_as_it_is(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("COMMENT ON TABLE fleet.alerts IS 'changed'"))
    with role(engine, name_in(engine, "guest"), "") as guest, guest.begin() as connection:
        assert descriptions.describe(connection) == 0

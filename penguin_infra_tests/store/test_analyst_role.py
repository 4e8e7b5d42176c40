"""The analysts' role: what a real login of it reads, that it reads nothing else, and that it stays so."""

import pytest
from sqlalchemy import Engine, inspect, text

from penguin_infra.store import schema
from penguin_infra.store.analyst_role import ANALYST_ROLE
from penguin_infra_tests.database_roles import refusal

READABLE_VIEWS = {"sending_rotation", "sending_allowances", "silent_nodes"}


def tables_of(engine: Engine, schema_name: str) -> set[str]:
    return set(inspect(engine).get_table_names(schema=schema_name))


def views_of(engine: Engine, schema_name: str) -> set[str]:
    return set(inspect(engine).get_view_names(schema=schema_name))


def test_an_analyst_reads_every_table_and_view_that_was_made_for_people(engine: Engine, analyst: Engine) -> None:
    for_people = {f"analytics.{name}" for name in tables_of(engine, "analytics") | views_of(engine, "analytics")}
    assert {"analytics.node_costs", "analytics.costs_by_day"} <= for_people
    with analyst.connect() as connection:
        for relation in sorted(for_people | {f"fleet.{name}" for name in READABLE_VIEWS}):
            connection.execute(text(f"SELECT * FROM {relation}")).all()


def test_an_analyst_reads_nothing_else_of_the_fleet(engine: Engine, analyst: Engine) -> None:
    others = tables_of(engine, "fleet") | views_of(engine, "fleet") - READABLE_VIEWS
    assert {"sending_nodes", "agent_tokens", "api_keys", "heartbeats", "alembic_version"} <= others
    for relation in sorted(others):
        assert "permission denied" in refusal(analyst, f"SELECT FROM fleet.{relation}"), relation


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO analytics.cost_forecasts (day) VALUES ('2026-03-01')",
        "UPDATE analytics.node_costs SET amount_usd = 0",
        "DELETE FROM analytics.node_costs",
        "TRUNCATE analytics.node_costs",
        "CREATE TABLE analytics.mine (id integer)",
        "CREATE TABLE fleet.mine (id integer)",
        "CREATE TABLE public.mine (id integer)",
        "CREATE SCHEMA mine",
        "SELECT fleet.make_heartbeat_partitions('2026-03-01', 1)",
        "COMMENT ON TABLE analytics.node_costs IS 'mine'",
    ],
)
def test_an_analyst_changes_nothing_even_when_no_longer_held_to_reading(analyst: Engine, statement: str) -> None:
    assert "read-only transaction" in refusal(analyst, statement) or statement.startswith("COMMENT")
    told = refusal(analyst, "SET default_transaction_read_only = off", statement)
    assert "permission denied" in told or "must be owner" in told


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT rolpassword FROM pg_authid",
        "SELECT passwd FROM pg_shadow",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SET ROLE penguin",
    ],
)
def test_an_analyst_sees_nobodys_password_and_no_file(analyst: Engine, statement: str) -> None:
    told = refusal(analyst, statement)
    assert "permission denied" in told or "must be superuser" in told


def test_an_analysts_queries_end_and_their_connections_are_few(engine: Engine, analyst: Engine) -> None:
    with analyst.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "1min"
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == "1min"
        assert connection.scalar(text("SHOW default_transaction_read_only")) == "on"
        limit = text("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user")
        assert 0 < (connection.scalar(limit) or 0) <= 10


def test_tables_to_come_are_read_too(engine: Engine, analyst: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE analytics.to_come AS SELECT 7 AS seven"))
    with analyst.connect() as connection:
        assert connection.scalar(text("SELECT seven FROM analytics.to_come")) == 7


def test_a_view_that_was_made_anew_is_read_again_after_the_next_upgrade(engine: Engine, analyst: Engine) -> None:
    with engine.begin() as connection:
        definition = connection.scalar(text("SELECT pg_get_viewdef('fleet.sending_rotation'::regclass)"))
        connection.execute(text("DROP VIEW fleet.sending_rotation"))
        connection.exec_driver_sql(f"CREATE VIEW fleet.sending_rotation AS {definition}")
    assert "permission denied" in refusal(analyst, "SELECT FROM fleet.sending_rotation")

    schema.upgrade(engine)

    with analyst.connect() as connection:
        connection.execute(text("SELECT FROM fleet.sending_rotation"))


def test_a_schema_that_goes_down_takes_the_privileges_along_and_leaves_the_role(engine: Engine) -> None:
    schema.downgrade(engine, "0007")
    may = text("SELECT has_schema_privilege(:role, 'fleet', 'USAGE'), to_regrole(:role) IS NOT NULL")
    held = text("SELECT count(*) FROM pg_class, aclexplode(relacl) WHERE grantee = CAST(:role AS regrole)")
    with engine.connect() as connection:
        assert tuple(connection.execute(may, {"role": ANALYST_ROLE}).one()) == (False, True)
        assert connection.scalar(held, {"role": ANALYST_ROLE}) == 0
        connection.commit()
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert tuple(connection.execute(may, {"role": ANALYST_ROLE}).one()) == (True, True)


def test_the_next_upgrade_grants_nothing_anew(engine: Engine) -> None:
    versions = text(
        "SELECT relname, xmin::text FROM pg_class WHERE relnamespace = 'analytics'::regnamespace ORDER BY 1"
    )
    with engine.connect() as connection:
        before = connection.execute(versions).all()
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(versions).all() == before

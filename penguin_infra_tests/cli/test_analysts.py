"""`penguin-infra db analyst`: a login that reads, printed once, and what is printed for somebody else to run."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from penguin_infra.cli.analysts import login_url
from penguin_infra.store.database import make_engine, parse_url
from penguin_infra_tests.cli.conftest import Run, failure
from penguin_infra_tests.database_roles import name_in


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A name for an analyst, whom nobody meets after the test."""
    found = name_in(engine)
    yield found
    with engine.begin() as connection:
        connection.execute(text(f"DROP ROLE IF EXISTS {found}"))


def read_costs(url: str) -> None:
    engine = make_engine(parse_url(url.strip()))
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT FROM analytics.node_costs"))
    finally:
        engine.dispose()


def is_known(engine: Engine, name: str) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT to_regrole(:name) IS NOT NULL"), {"name": name}))


def test_an_analyst_reads_by_the_url_that_is_printed_alone_until_they_are_revoked(run: Run, name: str) -> None:
    made = run("db", "analyst", name)
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith(f"postgresql://{name}:")
    assert len(made.stdout.splitlines()) == 1
    assert made.stderr == "This is the only time that it is shown.\n"
    read_costs(made.stdout)

    anew = run("db", "analyst", name)
    read_costs(anew.stdout)
    with pytest.raises(DBAPIError, match="authentication failed"):
        read_costs(made.stdout)

    assert run("db", "analyst", name, "--revoke").stdout == f"{name} is let in no more.\n"
    with pytest.raises(DBAPIError, match="authentication failed"):
        read_costs(anew.stdout)
    assert f"no analyst is named {name}" in failure(run("db", "analyst", name, "--revoke"))


def test_a_script_for_somebody_else_holds_no_password_and_changes_nothing(engine: Engine, run: Run, name: str) -> None:
    script = run("db", "analyst", name, "--sql").stdout
    assert f"CREATE ROLE \"{name}\" LOGIN PASSWORD 'CHOOSE-A-PASSWORD'" in script
    assert f'FOR ROLE "{engine.url.username}" IN SCHEMA analytics' in script
    assert str(engine.url.password) not in script
    assert not is_known(engine, name)


def test_the_script_of_the_role_alone_runs_as_it_is_and_runs_again(engine: Engine, run: Run) -> None:
    script = run("db", "analyst", "--sql").stdout
    assert "LOGIN PASSWORD" not in script
    with engine.begin() as connection:
        connection.exec_driver_sql(script)
        connection.exec_driver_sql(script)


@pytest.mark.parametrize("name", ["Ada", "ada-l", "pg_ada", "1ada", 'a"; DROP ROLE x', "a" * 64, ""])
def test_a_name_that_would_need_quoting_is_refused(run: Run, name: str) -> None:
    for options in ([], ["--revoke"], ["--sql"]):
        assert "use 1 to 63 lower-case letters" in failure(run("db", "analyst", name, *options))


def test_the_fleets_own_login_keeps_its_password(engine: Engine, run: Run) -> None:
    assert "is no analyst's: choose another name" in failure(run("db", "analyst", str(engine.url.username)))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def test_a_command_that_says_two_things_or_names_nobody_is_told_so(run: Run) -> None:
    assert "one at a time" in failure(run("db", "analyst", "ada", "--revoke", "--sql"))
    for options in ([], ["--revoke"]):
        assert "whose login?" in failure(run("db", "analyst", *options))


def test_an_analysts_url_reaches_the_server_as_the_fleet_does_and_holds_none_of_its_secrets() -> None:
    fleet = parse_url("postgresql://own:hush@db.example:5433/fleet?sslmode=verify-full&password=hush&sslkey=/hush")
    assert login_url(fleet, "ada", "p-w") == "postgresql://ada:p-w@db.example:5433/fleet?sslmode=verify-full"

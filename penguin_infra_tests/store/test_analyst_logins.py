"""Who may let analysts in and out, and what a server keeps of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from penguin_infra.operations.admit_analysts import PASSWORD_PLACEHOLDER, admit_analyst, dismiss_analyst, login_script
from penguin_infra.store import schema
from penguin_infra.store.analyst_logins import AnalystNameTaken, AnalystNotFound, AnalystsNotAllowed
from penguin_infra.store.analyst_role import ANALYST_ROLE, let_analysts_read, role_statements
from penguin_infra.store.database import make_engine
from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.database_roles import login, name_in, role


@pytest.fixture
def no_role(server: Databases) -> Iterator[None]:
    """A server on which nobody has made the role yet: the one that is there stands aside meanwhile."""
    admin = make_engine(server.url("postgres"))
    with admin.begin() as connection:
        connection.execute(text(f"ALTER ROLE {ANALYST_ROLE} RENAME TO standing_aside"))
    yield
    with admin.begin() as connection:
        connection.execute(text(f"DROP ROLE IF EXISTS {ANALYST_ROLE}"))
        connection.execute(text(f"ALTER ROLE standing_aside RENAME TO {ANALYST_ROLE}"))
    admin.dispose()


@contextmanager
def fleet_of(server: Databases, options: str) -> Iterator[Engine]:
    """An empty database whose fleet runs as a role with those options, and may make schemas there."""
    for admin in fresh_engine(server, is_migrated=False):
        name = name_in(admin, "keeper")
        with role(admin, name, options) as keeper:
            with admin.begin() as connection:
                connection.execute(text(f"GRANT CREATE ON DATABASE {admin.url.database} TO {name}"))
            yield keeper


def test_a_second_login_of_a_name_ends_the_first_ones_password(engine: Engine, analyst: Engine) -> None:
    name, former = str(analyst.url.username), str(analyst.url.password)
    with engine.begin() as connection:
        password = admit_analyst(connection, name)
    assert password != former
    with login(engine, name, former) as old, pytest.raises(DBAPIError, match="authentication failed"):
        old.connect()
    with login(engine, name, password) as new, new.connect() as connection:
        connection.execute(text("SELECT FROM analytics.node_costs"))


def test_a_dismissed_analyst_is_out_at_once_and_gone(engine: Engine, analyst: Engine) -> None:
    name = str(analyst.url.username)
    with analyst.connect() as open_one:
        open_one.execute(text("SELECT FROM analytics.node_costs"))
        with engine.begin() as connection:
            assert dismiss_analyst(connection, name)
        with pytest.raises(DBAPIError, match="terminating connection"):
            open_one.execute(text("SELECT 1"))
        open_one.invalidate()
    with pytest.raises(DBAPIError, match="authentication failed"):
        analyst.connect()
    with engine.begin() as connection, pytest.raises(AnalystNotFound, match=f"no analyst is named {name}"):
        dismiss_analyst(connection, name)


def test_a_dismissed_analyst_who_holds_something_stays_without_a_login(engine: Engine, analyst: Engine) -> None:
    name = str(analyst.url.username)
    with engine.begin() as connection:
        connection.execute(text(f"GRANT SELECT ON fleet.alerts TO {name}"))
        assert not dismiss_analyst(connection, name)
    with engine.begin() as connection:
        may = text("SELECT rolcanlogin OR pg_has_role(:name, :role, 'MEMBER') FROM pg_roles WHERE rolname = :name")
        assert connection.scalar(may, {"name": name, "role": ANALYST_ROLE}) is False
        connection.execute(text(f"DROP OWNED BY {name}"))


@pytest.mark.parametrize("options", ["", f"CREATEDB IN ROLE {ANALYST_ROLE}", f"IN ROLE {ANALYST_ROLE}, pg_monitor"])
def test_a_role_that_is_more_than_an_analyst_is_left_alone(engine: Engine, options: str) -> None:
    name = name_in(engine, "clerk")
    with role(engine, name, options) as clerk, engine.begin() as connection:
        with pytest.raises(AnalystNameTaken, match=f"a role named {name} exists"):
            admit_analyst(connection, name)
        with pytest.raises(AnalystNotFound):
            dismiss_analyst(connection, name)
        with clerk.connect():
            pass  # by its former password


def test_the_fleets_own_login_is_never_made_an_analysts(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(AnalystNameTaken):
        admit_analyst(connection, str(engine.url.username))


def test_an_analyst_of_one_database_is_one_of_the_other_where_both_are_fleets(
    server: Databases, engine: Engine, analyst: Engine
) -> None:
    for other in fresh_engine(server, is_migrated=False):
        schema.upgrade(other)
        with login(other, str(analyst.url.username), str(analyst.url.password)) as there, there.connect() as connection:
            connection.execute(text("SELECT FROM analytics.node_costs"))


def grant_in(engine: Engine) -> bool:
    with engine.begin() as connection:
        return let_analysts_read(connection)


def test_four_databases_that_make_the_role_at_once_make_it_once(no_role: None, server: Databases) -> None:
    with ExitStack() as stack:
        engines = [stack.enter_context(contextmanager(fresh_engine)(server)) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(grant_in, engines)) == [True] * 4
        with engines[0].connect() as connection:
            found = connection.execute(
                text("SELECT rolcanlogin FROM pg_roles WHERE rolname = :name"), {"name": ANALYST_ROLE}
            )
            assert found.scalars().all() == [False]


def test_a_fleet_that_may_make_roles_lets_its_analysts_in_by_itself(no_role: None, server: Databases) -> None:
    with fleet_of(server, "CREATEROLE") as keeper:
        schema.upgrade(keeper)
        name = name_in(keeper)
        with keeper.begin() as connection:
            password = admit_analyst(connection, name)
        with login(keeper, name, password) as analyst, analyst.connect() as connection:
            connection.execute(text("SELECT FROM analytics.node_costs"))
        with keeper.begin() as connection:
            assert dismiss_analyst(connection, name)


def test_a_fleet_that_may_not_comes_up_without_analysts_and_says_what_lets_them_in(
    no_role: None, server: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    with fleet_of(server, "") as keeper:
        schema.upgrade(keeper)
        assert "`penguin-infra db analyst --sql`" in caplog.text
        name = name_in(keeper)
        with keeper.begin() as connection, pytest.raises(AnalystsNotAllowed, match=f"db analyst {name} --sql"):
            admit_analyst(connection, name)

        admin = make_engine(server.url(str(keeper.url.database)))
        with admin.begin() as connection:
            for statement in (*role_statements(owner=keeper.url.username), *login_script(name)):
                connection.exec_driver_sql(statement)
        caplog.clear()
        schema.upgrade(keeper)
        assert caplog.text == ""
        with keeper.begin() as connection:
            connection.execute(text("CREATE TABLE analytics.to_come (seven integer)"))
        with login(keeper, name, PASSWORD_PLACEHOLDER) as analyst, analyst.connect() as connection:
            connection.execute(text("SELECT FROM analytics.node_costs, analytics.to_come, fleet.silent_nodes"))
        with admin.begin() as connection:
            connection.execute(text(f"DROP ROLE {name}"))
        admin.dispose()


def test_no_password_stands_in_a_statement(engine: Engine) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *told: statements.append(f"{told[2]} {told[3]}"))
    name = name_in(engine)
    with engine.begin() as connection:
        password = admit_analyst(connection, name)
        dismiss_analyst(connection, name)
    assert any("SCRAM-SHA-256" in statement for statement in statements)
    assert not any(password in statement for statement in statements)

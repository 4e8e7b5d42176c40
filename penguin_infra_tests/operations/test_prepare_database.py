"""Making a server's databases ready, and what an operator is told where that fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError

from penguin_infra.operations.prepare_database import prepare_database
from penguin_infra.store import schema
from penguin_infra.store.database import DatabaseError, make_engine
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.dns_process import free_port

HUSH = "hush-hush"


@pytest.fixture
def urls(databases: Databases) -> Iterator[tuple[URL, URL]]:
    """Two databases that do not exist yet: the fleet's, and Dagster's as it is wired."""
    name = f"new_{uuid4().hex[:12]}"
    fleet = databases.url(name)
    dagster = databases.url(f"{name}-runs").set(drivername="postgresql+psycopg2")
    yield fleet, dagster
    admin = make_engine(databases.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for url in (fleet, dagster):
            connection.execute(text(f'DROP DATABASE IF EXISTS "{url.database}" WITH (FORCE)'))
    admin.dispose()


def revision(url: URL) -> tuple[str | None, str]:
    engine = make_engine(url)
    try:
        return schema.current(engine)
    finally:
        engine.dispose()


def exists(url: URL) -> bool:
    engine = make_engine(url.set(drivername="postgresql+psycopg"))
    try:
        with engine.connect():
            return True
    except DBAPIError:
        return False
    finally:
        engine.dispose()


def refusal(fleet: URL, dagster: URL) -> str:
    with pytest.raises(DatabaseError) as refused:
        prepare_database(fleet, dagster)
    assert refused.value.__suppress_context__
    return str(refused.value)


def test_databases_that_are_missing_are_created_and_brought_up(urls: tuple[URL, URL]) -> None:
    fleet, dagster = urls
    before, after = prepare_database(fleet, dagster)
    assert before is None
    assert revision(fleet) == (after, after)
    assert exists(dagster)


def test_databases_that_are_there_are_left_as_they_are(urls: tuple[URL, URL]) -> None:
    _, after = prepare_database(*urls)
    assert prepare_database(*urls) == (after, after)


def test_processes_that_prepare_at_once_are_all_served(urls: tuple[URL, URL]) -> None:
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: prepare_database(*urls), range(3)))
    assert [before for before, _ in results].count(None) == 1
    assert len({after for _, after in results}) == 1


def test_a_wrong_password_is_told_by_the_setting_and_never_shown(urls: tuple[URL, URL]) -> None:
    fleet, dagster = urls
    message = refusal(fleet.set(password=HUSH), dagster)
    for words in ("PENGUIN_DATABASE_URL", "password authentication failed", f"{fleet.host}:{fleet.port}"):
        assert words in message
    assert HUSH not in message


def test_a_wrong_password_of_dagsters_database_names_that_setting(urls: tuple[URL, URL]) -> None:
    fleet, dagster = urls
    message = refusal(fleet, dagster.set(password=HUSH))
    assert "check PENGUIN_DAGSTER_DATABASE_URL" in message
    assert HUSH not in message


def test_a_server_that_is_not_there_is_told_with_its_address(urls: tuple[URL, URL]) -> None:
    fleet, dagster = urls
    port = free_port()
    message = refusal(fleet.set(port=port, password=HUSH), dagster)
    assert f"at {fleet.host}:{port} does not serve us" in message
    assert "PENGUIN_DATABASE_URL" in message
    assert HUSH not in message


def test_an_account_that_may_not_create_databases_is_told_what_to_do(urls: tuple[URL, URL]) -> None:
    fleet, dagster = urls
    account = f"poor_{uuid4().hex[:8]}"
    admin = make_engine(fleet.set(database="postgres")).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE ROLE {account} LOGIN PASSWORD '{HUSH}'"))
        message = refusal(fleet.set(username=account, password=HUSH), dagster)
        with admin.connect() as connection:
            connection.execute(text(f"DROP ROLE {account}"))
    finally:
        admin.dispose()
    assert f"the database {fleet.database} does not exist and could not be created" in message
    assert "PENGUIN_DATABASE_URL" in message
    assert HUSH not in message
    assert not exists(fleet)

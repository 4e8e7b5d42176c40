"""The store's tests run on both servers: the newest (the wheel's) and the oldest that is supported (Debian's)."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from penguin_infra.operations.admit_analysts import admit_analyst
from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.database_roles import login, name_in


@pytest.fixture(params=["databases", "debian_databases"], ids=["newest server", "oldest server"])
def server(request: pytest.FixtureRequest) -> Databases:
    """Each of the servers in turn."""
    found: Databases = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def engine(server: Databases) -> Iterator[Engine]:
    """A fresh, migrated database on each server."""
    yield from fresh_engine(server)


@pytest.fixture
def empty_engine(server: Databases) -> Iterator[Engine]:
    """An empty database on each server."""
    yield from fresh_engine(server, is_migrated=False)


@pytest.fixture
def analyst(engine: Engine) -> Iterator[Engine]:
    """An analyst's own connections."""
    name = name_in(engine)
    with engine.begin() as connection:
        password = admit_analyst(connection, name)
    with login(engine, name, password) as found:
        yield found
    with engine.begin() as connection:
        connection.execute(text(f'DROP ROLE IF EXISTS "{name}"'))

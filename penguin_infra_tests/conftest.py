"""What every test may use: one PostgreSQL a session, and a fresh, migrated database a test.

Servers are shared, state is not. Lab processes have helpers of their own beside this file.
"""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, text

from penguin_infra.store import schema
from penguin_infra.store.database import make_engine, parse_url
from penguin_infra.store.embedded import PostgresServer

DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15/bin")

_numbers = count(1)


class Databases:
    """Fresh databases on one server, copied from one that is migrated once."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        server.start()
        self._admin = make_engine(parse_url(server.url("postgres"))).execution_options(isolation_level="AUTOCOMMIT")
        with self._admin.connect() as connection:
            # Nobody needs these databases after a power cut, and making one waits for the disk otherwise.
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        self._create("fleet_template")
        template = make_engine(self.url("fleet_template"))
        schema.upgrade(template)
        template.dispose()

    def url(self, name: str) -> URL:
        return parse_url(self.server.url(name))

    def create(self, *, is_migrated: bool = True) -> URL:
        """A database of the caller's own."""
        name = f"test_{next(_numbers)}"
        self._create(name, template="fleet_template" if is_migrated else "template1")
        return self.url(name)

    def drop(self, url: URL) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {url.database} WITH (FORCE)"))

    def refuse(self, url: URL) -> None:
        """Let nobody into a database and put everybody out, as a server does that went away."""
        with self._admin.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
                {"name": url.database},
            )

    def accept(self, url: URL) -> None:
        """Let them in again."""
        with self._admin.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true"))

    def close(self) -> None:
        self._admin.dispose()
        self.server.stop()

    def _create(self, name: str, *, template: str = "template1") -> None:
        with self._admin.connect() as connection:
            # By files, not by the log: these databases are small and short-lived.
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """The session's server, with the binaries of the wheel."""
    found = Databases(PostgresServer(tmp_path_factory.mktemp("embedded") / "postgres"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def debian_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """A server of the oldest version that is supported, from Debian's package."""
    if not (DEBIAN_POSTGRES / "postgres").exists():
        missing = f"Debian's postgresql-15 is not installed ({DEBIAN_POSTGRES}): apt-get install postgresql-15"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    found = Databases(PostgresServer(tmp_path_factory.mktemp("debian") / "postgres", DEBIAN_POSTGRES))
    yield found
    found.close()


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    """Connections to a fresh, migrated database."""
    yield from fresh_engine(databases)


def fresh_engine(databases: Databases, *, is_migrated: bool = True) -> Iterator[Engine]:
    """An engine for the length of a test; its database goes with it."""
    url = databases.create(is_migrated=is_migrated)
    engine = make_engine(url)
    yield engine
    engine.dispose()
    databases.drop(url)

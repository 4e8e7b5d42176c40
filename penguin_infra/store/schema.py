"""Bringing a database to this code's schema, up and down, one process at a time.

The steps themselves are `migrations/versions/`; what stands here runs them under a lock.
"""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from penguin_infra.store.analyst_role import ANALYST_ROLE, let_analysts_read
from penguin_infra.store.database import DatabaseError, migration_lock
from penguin_infra.store.descriptions import describe
from penguin_infra.store.tables import SCHEMA

MINIMUM_SERVER_VERSION = 15

logger = logging.getLogger(__name__)


def upgrade(engine: Engine, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the schema up to a revision; returns the revisions before and after."""
    with engine.connect() as connection:
        _check_server(connection)
        with migration_lock(connection):
            _create_schema(connection)
            before = _current(connection)
            if before is not None and before not in _known():
                raise DatabaseError(
                    f"the schema is at revision {before}, which this version of penguin-infra does not know: "
                    "it was made by a newer one; install that one again"
                )
            command.upgrade(_config(connection), revision)
            describe(connection)
            connection.commit()
            _admit_analysts(connection)
            return before, _current(connection)


def downgrade(engine: Engine, revision: str) -> tuple[str | None, str | None]:
    """Take the schema down to a revision (`base`: nothing left); returns the revisions before and after."""
    with engine.connect() as connection, migration_lock(connection):
        before = _current(connection)
        command.downgrade(_config(connection), revision)
        connection.commit()
        return before, _current(connection)


def current(engine: Engine) -> tuple[str | None, str]:
    """The database's revision (None: empty) and the newest one that this code knows."""
    with engine.connect() as connection:
        return _current(connection), ScriptDirectory.from_config(_config(connection)).get_current_head() or ""


def _create_schema(connection: Connection) -> None:
    # Not IF NOT EXISTS: it asks for the right to create one, even where there is nothing to create.
    if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}) is None:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    connection.commit()


def _admit_analysts(connection: Connection) -> None:
    if not let_analysts_read(connection):
        logger.warning(
            "The fleet's own role may not make %s, or give it what it reads, so analysts see nothing yet: let the "
            "server's administrator run what `penguin-infra db analyst --sql` prints. All else is well.",
            ANALYST_ROLE,
        )
    connection.commit()


def _current(connection: Connection) -> str | None:
    revision = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA}).get_current_revision()
    connection.commit()
    return revision


def _known() -> set[str]:
    config = Config()
    config.set_main_option("script_location", _location())
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", _location())
    config.attributes["connection"] = connection
    return config


def _location() -> str:
    # Alembic's configuration interpolates percent signs, and a clone's path may hold one.
    return str(Path(__file__).parent / "migrations").replace("%", "%%")


def _check_server(connection: Connection) -> None:
    version = connection.scalar(text("SELECT current_setting('server_version_num')::int / 10000"))
    connection.commit()
    if version < MINIMUM_SERVER_VERSION:
        raise DatabaseError(f"PostgreSQL {version} is too old: {MINIMUM_SERVER_VERSION} or later is needed")

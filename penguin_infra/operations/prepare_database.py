"""Make a server's databases ready: create those that are missing, and bring the fleet's schema up."""

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError

from penguin_infra.store import schema
from penguin_infra.store.database import DatabaseError, explain, make_engine


def prepare_database(fleet_url: URL, dagster_url: URL) -> tuple[str | None, str | None]:
    """Make both databases exist and bring the fleet's schema up; returns its revisions before and after.

    Errors: `DatabaseError`, where the server is not there, too old, or does not let us.
    """
    _create_missing(fleet_url, "PENGUIN_DATABASE_URL")
    _create_missing(dagster_url.set(drivername="postgresql+psycopg"), "PENGUIN_DAGSTER_DATABASE_URL")
    engine = make_engine(fleet_url)
    try:
        return schema.upgrade(engine)
    except DBAPIError as error:
        raise explain(error, fleet_url) from None
    finally:
        engine.dispose()


def _create_missing(url: URL, setting: str) -> None:
    engine = make_engine(url)
    try:
        with engine.connect():
            return
    except DBAPIError as error:
        # 3D000: the server is there, the database is not.
        if getattr(error.orig, "sqlstate", None) != "3D000" and f'"{url.database}" does not exist' not in str(error):
            raise explain(error, url, setting=setting) from None
    finally:
        engine.dispose()
    server = make_engine(url.set(database="postgres"))
    try:
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            name = connection.dialect.identifier_preparer.quote_identifier(url.database or "")
            connection.execute(text(f"CREATE DATABASE {name}"))
    except DBAPIError as error:
        # Another process may have been faster; what counts is that it is there now.
        if "already exists" not in str(error):
            cause = str(error.orig).splitlines()[0]
            raise DatabaseError(
                f"the database {url.database} does not exist and could not be created ({cause}): create it, or name "
                f"another one in {setting}"
            ) from None
    finally:
        server.dispose()

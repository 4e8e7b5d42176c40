"""Roles of a test's own on a shared server: logged in, refused, and gone at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from penguin_infra.store.database import make_engine


def name_in(engine: Engine, prefix: str = "ada") -> str:
    """Roles are the whole server's: a name that no other test uses."""
    return f"{prefix}_{engine.url.database}"


@contextmanager
def login(engine: Engine, name: str, password: str) -> Iterator[Engine]:
    found = make_engine(engine.url.set(username=name, password=password))
    try:
        yield found
    finally:
        found.dispose()


@contextmanager
def role(engine: Engine, name: str, options: str) -> Iterator[Engine]:
    """A role of the test's own with those options, logged in; gone at the end with all that it holds here."""
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'hush' {options}"))
    try:
        with login(engine, name, "hush") as found:
            yield found
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {name} CASCADE"))
            connection.execute(text(f"DROP ROLE {name}"))


def run(analyst: Engine, *statements: str) -> None:
    with analyst.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
            connection.commit()


def refusal(analyst: Engine, *statements: str) -> str:
    with pytest.raises(DBAPIError) as refused:
        run(analyst, *statements)
    return str(refused.value.orig)

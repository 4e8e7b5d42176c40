"""Rows that go into a table by COPY: added to what it holds, or in place of others, whole, in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from psycopg.types.json import Jsonb
from sqlalchemy import ColumnElement, Connection, Table, text, true
from sqlalchemy.dialects.postgresql import JSONB


def table_lock(connection: Connection, table: Table) -> None:
    """Hold the replacing of a table's rows to this transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": table.fullname})


def replace_rows(
    connection: Connection,
    table: Table,
    rows: Iterable[tuple[object, ...]],
    where: ColumnElement[bool] | None = None,
) -> int:
    """Put these rows, in the order of the table's columns, in place of all others (or those of `where`); how many.

    Readers see the one measurement or the other, whole. The caller holds a lock of the table's own: a second
    replacement beside this one would not see its rows to delete, and fail on them.
    """
    # Not TRUNCATE: it would hold up every sensor that reads the old rows.
    connection.execute(table.delete().where(true() if where is None else where))
    return _copy(connection, table, [column.name for column in table.columns], rows)


def append_rows(connection: Connection, table: Table, rows: Iterable[Mapping[str, object]]) -> int:
    """Add rows that all name the same columns; those that they do not name get the table's defaults. How many."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return 0
    documents = {column.name for column in table.columns if isinstance(column.type, JSONB)}
    values = (
        [Jsonb(row[name]) if name in documents else row[name] for name in first] for row in chain([first], remaining)
    )
    return _copy(connection, table, list(first), values)


def _copy(connection: Connection, table: Table, names: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection that is in use has its driver's
    columns = ", ".join(f'"{name}"' for name in names)
    row_count = 0
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.fullname} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
            row_count += 1
    return row_count

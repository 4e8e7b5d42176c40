"""Many rows at once, added to what a table holds, by COPY."""

from collections.abc import Iterable, Mapping
from itertools import chain

from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import JSONB


def append_rows(connection: Connection, table: Table, rows: Iterable[Mapping[str, object]]) -> int:
    """Add rows that all name the same columns; those that they do not name get the table's defaults. How many."""
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return 0
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection that is in use has its driver's
    columns = ", ".join(f'"{name}"' for name in first)
    documents = {column.name for column in table.columns if isinstance(column.type, JSONB)}
    row_count = 0
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.fullname} ({columns}) FROM STDIN") as copy:
        for row in chain([first], remaining):
            copy.write_row([Jsonb(row[name]) if name in documents else row[name] for name in first])
            row_count += 1
    return row_count

"""Rows that take the place of others, whole, in one transaction: a fleet's newest measurement, or some days' sums."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, Table, text, true


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
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection that just deleted rows has its driver's
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    row_count = 0
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.fullname} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
            row_count += 1
    return row_count

"""Tables that hold the newest measurement of a whole fleet: each one takes the last one's place, in one transaction."""

from collections.abc import Iterable

from sqlalchemy import Connection, Table


def replace_rows(connection: Connection, table: Table, rows: Iterable[tuple[object, ...]]) -> int:
    """Put these rows, in the order of the table's columns, in place of all others; returns how many.

    Readers see the one measurement or the other, whole. The caller holds a lock of the table's own: a second
    replacement beside this one would not see its rows to delete, and fail on them.
    """
    # Not TRUNCATE: it would hold up every sensor that reads the old rows.
    connection.execute(table.delete())
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection that just deleted rows has its driver's
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    row_count = 0
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.fullname} ({columns}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
            row_count += 1
    return row_count

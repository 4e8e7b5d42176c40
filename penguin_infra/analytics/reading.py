"""Frames out of the tables and views that analysts read: some days of one, or the whole of it."""

from datetime import date
from uuid import UUID

import pandas as pd
from sqlalchemy import Connection, Table, select

from penguin_infra.analytics.frames import frame_of


def read_frame(
    connection: Connection,
    table: Table,
    *,
    first_day: date | None = None,
    last_day: date | None = None,
    node_id: UUID | None = None,
) -> pd.DataFrame:
    """A table's rows in the order of its key; of a table by days, those from the first to the last day.

    `node_id`: of a table that tells of nodes, that one's rows only.
    """
    query = select(table).order_by(*table.primary_key.columns)
    if first_day is not None:
        query = query.where(table.c.day >= first_day)
    if last_day is not None:
        query = query.where(table.c.day <= last_day)
    if node_id is not None:
        query = query.where(table.c.node_id == node_id)
    return frame_of(table, (tuple(row) for row in connection.execute(query)))

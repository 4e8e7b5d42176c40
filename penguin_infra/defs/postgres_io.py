"""The IO manager between data frames and the tables that analysts read, partition by partition.

What a frame must be, `analytics/schemas.py` says; how an asset makes it, its own file.
"""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg
from sqlalchemy import Table

from penguin_infra.defs.tables import markdown_table
from penguin_infra.store.analytics_tables import ANALYTICS_SCHEMA, analytics_metadata
from penguin_infra.store.copied_rows import replace_rows, table_lock
from penguin_infra.wiring import Wiring

if TYPE_CHECKING:
    from pandas import DataFrame

ANALYTICS_TABLE = "analytics_table"


class AnalyticsTables(dg.IOManager):
    """An asset's frame takes the place of its partition's rows (or of the whole table) in one transaction, by COPY."""

    def __init__(self, fleet: Wiring) -> None:
        self._fleet = fleet

    def handle_output(self, context: dg.OutputContext, obj: "DataFrame") -> None:
        """Check the frame and write it; raises `Failure`, with the rows at fault, and then writes nothing."""
        from penguin_infra.analytics.frames import rows_of  # noqa: PLC0415 - pandas: not for whoever only loads this
        from penguin_infra.analytics.schemas import FrameRejected, check_frame  # noqa: PLC0415 - as above

        table = _table(context.asset_key)
        days = _days(context.asset_partition_keys) if context.has_asset_partitions else None
        try:
            check_frame(table, obj)
        except FrameRejected as rejected:
            raise _failure(str(rejected), rejected.cases) from None
        if days is not None and not (strange := obj[~obj["day"].between(*days)]).empty:
            raise _failure(
                f"{len(strange)} rows are of days outside the partition ({days[0]} to {days[1]}): nothing was written",
                strange,
            )
        where = None if days is None else table.c.day.between(*days)
        with self._fleet.engine.begin() as connection:
            table_lock(connection, table)
            written = replace_rows(connection, table, rows_of(table, obj), where)
        context.add_output_metadata({"dagster/row_count": written})

    def load_input(self, context: dg.InputContext) -> "DataFrame":
        """The table's rows of the partitions asked for, or all."""
        from penguin_infra.analytics.reading import read_frame  # noqa: PLC0415 - as above

        table = _table(context.asset_key)
        days = _days(context.asset_partition_keys) if context.has_asset_partitions else (None, None)
        with self._fleet.engine.connect() as connection:
            return read_frame(connection, table, first_day=days[0], last_day=days[1])


def _table(key: dg.AssetKey) -> Table:
    return analytics_metadata.tables[f"{ANALYTICS_SCHEMA}.{key.path[-1]}"]


def _days(partition_keys: Sequence[str]) -> tuple[date, date]:
    return date.fromisoformat(min(partition_keys)), date.fromisoformat(max(partition_keys))


def _failure(message: str, rows: "DataFrame") -> dg.Failure:
    table = markdown_table([str(name) for name in rows.columns], rows.itertuples(index=False))
    return dg.Failure(message, metadata={"rows": table}, allow_retries=False)

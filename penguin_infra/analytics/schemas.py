"""What a frame must be before it takes the place of a table's rows: columns, dtypes, keys, and sums that make sense.

Columns and their descriptions come from the store's tables; what stands here is what the database cannot say so well.

    FrameRejected   a frame breaks its table's schema; `cases` are the rows at fault
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from ipaddress import IPv4Address
from uuid import UUID

import pandas as pd
import pandera.pandas as pa
from sqlalchemy import Column, Date, Numeric, Table, Uuid
from sqlalchemy.dialects.postgresql import INET

from penguin_infra.analytics.frames import dtype_of
from penguin_infra.store import analytics_tables

# What an object column holds, since its dtype does not tell.
_KINDS: Mapping[type, type] = {Date: date, Numeric: Decimal, Uuid: UUID, INET: IPv4Address}

_SHARE = pa.Check.in_range(0, 1)
_COUNT = pa.Check.ge(0)
_POINTS = pa.Check.in_range(0, 100)

# By column's name: the names mean the same in every table.
_COLUMN_CHECKS: Mapping[str, pa.Check] = {
    **dict.fromkeys(("bounce_rate", "bounce_lower", "bounce_upper", "policy_rejection_rate", "deferral_rate"), _SHARE),
    **dict.fromkeys(
        ("hours", "unhealthy_hours", "idle_hours", "sent", "attempted", "hard_bounces", "complaints", "listed_hours"),
        _COUNT,
    ),
    **dict.fromkeys(("score", "target", "cap", "score_last", "score_lowest"), _POINTS),
    **dict.fromkeys(
        ("amount_usd", "month_to_date_usd", "forecast_usd", "lower_usd", "upper_usd"),
        pa.Check(lambda money: money >= 0, name="not_negative"),
    ),
}


class FrameRejected(Exception):
    """A frame breaks its table's schema; `cases` are the rows at fault (columns: check, column, row, value)."""

    def __init__(self, message: str, cases: pd.DataFrame) -> None:
        super().__init__(message)
        self.cases = cases


def check_frame(table: Table, frame: pd.DataFrame) -> None:
    """Raise `FrameRejected` unless the frame is what the table holds."""
    try:
        schema_of(table).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        found = errors.failure_cases
        cases = pd.DataFrame(
            {
                "check": found["check"].astype("str"),
                "column": found["column"],
                "row": found["index"],
                "value": found["failure_case"].astype("str"),
            }
        )
        broken = ", ".join(sorted({f"{one.column}: {one.check}" for one in cases.itertuples()}))
        raise FrameRejected(
            f"{len(cases)} values break the schema of {table.fullname} ({broken}): nothing was written, the table is "
            "as it was",
            cases,
        ) from None


@cache
def schema_of(table: Table) -> pa.DataFrameSchema:
    """The table's schema, as pandera checks it."""
    return pa.DataFrameSchema(
        {column.name: _column(column) for column in table.columns},
        name=table.fullname,
        description=table.comment,
        strict=True,
        ordered=True,
        unique=[column.name for column in table.primary_key.columns],
        checks=_FRAME_CHECKS.get(table.name, []),
    )


def _column(column: Column[object]) -> pa.Column:
    checks = [_COLUMN_CHECKS[column.name]] if column.name in _COLUMN_CHECKS else []
    if kind := next((kind for type_, kind in _KINDS.items() if type(column.type) is type_), None):
        checks.insert(0, pa.Check(lambda values: values.map(type) == kind, name=f"is_{kind.__name__}"))
    return pa.Column(
        dtype_of(column), checks=checks, nullable=bool(column.nullable), description=column.comment, title=column.name
    )


_FRAME_CHECKS: Mapping[str, list[pa.Check]] = {
    analytics_tables.node_costs.name: [
        pa.Check(
            lambda costs: (costs.unhealthy_hours <= costs.hours) & (costs.idle_hours <= costs.hours),
            name="no_more_hours_than_billed",
        )
    ],
    analytics_tables.cost_forecasts.name: [
        pa.Check(
            lambda sums: (sums.lower_usd <= sums.forecast_usd) & (sums.forecast_usd <= sums.upper_usd),
            name="forecast_within_its_interval",
        )
    ],
}

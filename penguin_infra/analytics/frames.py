"""Between rows and frames: each column of a table has one dtype, so that a frame looks the same whatever is in it.

Whole numbers are `int64` (nullable: `Int64`), shares `float64` (null: NaN), text `str`, moments `datetime64[us, UTC]`;
money (`Decimal`), days (`date`), ids (`UUID`), addresses and JSON stay objects, exact.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from sqlalchemy import Boolean, Column, DateTime, Double, Integer, String, Table
from sqlalchemy.dialects.postgresql import JSONB

MOMENT = "datetime64[us, UTC]"


def dtype_of(column: Column[object]) -> str:
    """The pandas dtype of a table's column."""
    match column.type:
        case Boolean():
            return "bool"
        case Integer():  # small and big ones too
            return "Int64" if column.nullable else "int64"
        case Double():
            return "float64"
        case String():  # text too
            return "str"
        case DateTime():
            return MOMENT
        case _:
            return "object"


def frame_of(table: Table, rows: Iterable[tuple[object, ...]]) -> pd.DataFrame:
    """A frame of rows in the order of the table's columns."""
    names = [column.name for column in table.columns]
    frame = pd.DataFrame.from_records(list(rows), columns=names).astype("object")
    return frame.astype({column.name: dtype_of(column) for column in table.columns})


def rows_of(table: Table, frame: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """The frame's rows in the order of the table's columns, as COPY takes them: nulls are None, JSON is text."""
    return zip(*(_values(column, frame[column.name]) for column in table.columns), strict=True)


def _values(column: Column[object], series: "pd.Series[Any]") -> list[object]:
    values = series.astype("object").where(series.notna(), None).tolist()
    return [json.dumps(value) for value in values] if isinstance(column.type, JSONB) else values

"""Frames as files for other programs: JSON, CSV and Parquet, every column of the table, money exact.

Days, ids and addresses are text in all of them. Which file it is, and how it comes to its place, is the command's.
"""

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

import pandas as pd
from sqlalchemy import Boolean, Column, DateTime, Double, Integer, Numeric, Table
from sqlalchemy.dialects.postgresql import JSONB

from penguin_infra.analytics.frames import rows_of

if TYPE_CHECKING:
    import pyarrow as pa

# A sum of a view has as many digits as its division gave; a cent's millionth is enough of them.
_PLACES = 8
_QUANTUM = Decimal(1).scaleb(-_PLACES)


class Format(StrEnum):
    """What a file of rows may be."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


def content_of(table: Table, frame: pd.DataFrame, form: Format) -> bytes:
    """The table's rows of the frame as a file of that format."""
    return _WRITERS[form](table, frame)


def _json(table: Table, frame: pd.DataFrame) -> bytes:
    names = [column.name for column in table.columns]
    documents = [isinstance(column.type, JSONB) for column in table.columns]
    rows = [
        {
            name: json.loads(str(value)) if is_document and value is not None else _plain(value)
            for name, is_document, value in zip(names, documents, row, strict=True)
        }
        for row in rows_of(table, frame)
    ]
    return (json.dumps(rows, indent=2, allow_nan=False) + "\n").encode()


def _csv(table: Table, frame: pd.DataFrame) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    writer.writerows([_cell(value) for value in row] for row in rows_of(table, frame))
    return text.getvalue().encode()


def _parquet(table: Table, frame: pd.DataFrame) -> bytes:
    # Arrow takes a while to import, and CSV and JSON need it not.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    fields = [_field(column) for column in table.columns]
    values = zip(*rows_of(table, frame), strict=True) if len(frame) else ((),) * len(fields)
    arrays = [
        pa.array([_arrow_value(value, field.type) for value in column], type=field.type)
        for field, column in zip(fields, values, strict=True)
    ]
    file = io.BytesIO()
    pq.write_table(pa.table(arrays, schema=pa.schema(fields, {"table": table.fullname})), file)
    return file.getvalue()


_WRITERS: dict[Format, Callable[[Table, pd.DataFrame], bytes]] = {
    Format.JSON: _json,
    Format.CSV: _csv,
    Format.PARQUET: _parquet,
}


def _plain(value: object) -> object:
    """A value as JSON has it: numbers and truth as they are, all else as text."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else _plain(value)


def _field(column: Column[object]) -> "pa.Field[pa.DataType]":
    import pyarrow as pa  # noqa: PLC0415 - as above

    words = {"description": column.comment or ""}
    return pa.field(column.name, _arrow_type(column), nullable=bool(column.nullable), metadata=words)


def _arrow_type(column: Column[object]) -> "pa.DataType":
    import pyarrow as pa  # noqa: PLC0415 - as above

    match column.type:
        case Boolean():
            return pa.bool_()
        case Integer():
            return pa.int64()
        case Double():
            return pa.float64()
        case DateTime():
            return pa.timestamp("us", tz="UTC")
        case Numeric() as number:
            return pa.decimal128(number.precision or 38, number.scale or _PLACES)
        case _:
            return pa.string()


def _arrow_value(value: object, kind: "pa.DataType") -> object:
    import pyarrow as pa  # noqa: PLC0415 - as above

    if isinstance(value, Decimal):
        return value.quantize(_QUANTUM)
    return str(value) if pa.types.is_string(kind) and value is not None else value

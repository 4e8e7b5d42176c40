"""How tables and figures are shown in the UI: column schemas from the store's tables, markdown tables and bars."""

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

TABLE_ROWS_SHOWN = 25

# From nothing to the most; whatever is more than nothing shows.
_LEVELS = "·▁▂▃▄▅▆▇█"

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


def table_metadata(table: Table) -> dict[str, object]:
    """An asset's definition metadata: the table it writes, and what its columns mean, by their own comments."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=column.type.compile(dialect=_POSTGRESQL).lower(),
            description=column.comment,
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=bool(column.unique)),
        )
        for column in table.columns
    ]
    return {
        "dagster/table_name": f"penguin.{table.fullname}",
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MarkdownMetadataValue:
    """A table for people; says so when it shows the first rows only."""
    all_rows = [[_cell(value) for value in row] for row in rows]
    if not all_rows:
        return dg.MetadataValue.md("none")
    lines = [header, ["---"] * len(header), *all_rows[:TABLE_ROWS_SHOWN]]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    left_out = len(all_rows) - TABLE_ROWS_SHOWN
    return dg.MetadataValue.md(f"{text}\n\n… and {left_out} more" if left_out > 0 else text)


def bars(counts: Mapping[str, int]) -> dg.MarkdownMetadataValue:
    """A bar chart in text, the largest bar 30 characters wide."""
    if not counts:
        return dg.MetadataValue.md("nothing to show")
    widest, most = max(map(len, counts)), max(1, *counts.values())
    lines = [f"{name:<{widest}} {'█' * round(30 * count / most):<30} {count}" for name, count in counts.items()]
    return dg.MetadataValue.md("```\n" + "\n".join(lines) + "\n```")


def lines_over_time(series: Mapping[str, Sequence[int]]) -> dg.MarkdownMetadataValue:
    """A line in text for each name, one sign a step, all to one scale; the last number stands behind it."""
    if not series:
        return dg.MetadataValue.md("nothing to show")
    widest, most = max(map(len, series)), max(1, *(max(counts) for counts in series.values()))
    lines = [
        f"{name:<{widest}} {''.join(_LEVELS[-(-(len(_LEVELS) - 1) * count // most)] for count in counts)} {counts[-1]}"
        for name, counts in series.items()
    ]
    return dg.MetadataValue.md("```\n" + "\n".join(lines) + "\n```")


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")

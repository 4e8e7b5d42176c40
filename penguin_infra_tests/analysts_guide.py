"""The analysts' guide: what of it is made from the code and from a database, and the command that makes it anew.

    python -m penguin_infra_tests.analysts_guide

Between the markers stand the tables' columns, behind each query what it gave on a fleet of the tests'.
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.dialects import postgresql

from penguin_infra.store.analytics_tables import analytics_metadata
from penguin_infra.store.analytics_views import analytics_views
from penguin_infra.store.capacity_tables import sending_allowances
from penguin_infra.store.embedded import PostgresServer
from penguin_infra.store.tables import sending_rotation
from penguin_infra.store.telemetry_tables import silent_nodes
from penguin_infra_tests.analysts_fleet import add_analysts_fleet
from penguin_infra_tests.conftest import Databases, fresh_engine

GUIDE = Path(__file__).parents[1] / "docs" / "analysts.md"

# All that an analyst may read.
READABLE = {
    table.fullname: table
    for table in (
        *analytics_metadata.tables.values(),
        *analytics_views.tables.values(),
        sending_rotation,
        sending_allowances,
        silent_nodes,
    )
}

_COLUMNS = re.compile(r"<!-- columns of (?P<table>[a-z_.]+) -->\n(?P<made>.*?)<!-- end -->", re.DOTALL)
_QUERY = re.compile(
    r"^### (?P<number>\d+)\. (?P<question>.+?)$(?P<words>.*?)```sql\n(?P<sql>.*?)```\n\n```text\n(?P<sample>.*?)```",
    re.DOTALL | re.MULTILINE,
)
_SAMPLE_ROWS = 6
_WIDEST_CELL = 60


@dataclass(frozen=True, slots=True)
class Query:
    """A ready query of the guide."""

    number: int
    question: str
    sql: str
    sample: str


def read_guide() -> str:
    return GUIDE.read_text(encoding="utf-8")


def described_tables(guide: str) -> list[str]:
    """The tables and views whose columns the guide shows."""
    return [found["table"] for found in _COLUMNS.finditer(guide)]


def queries(guide: str) -> list[Query]:
    return [
        Query(int(found["number"]), found["question"], found["sql"].strip(), found["sample"])
        for found in _QUERY.finditer(guide)
    ]


def with_columns(guide: str) -> str:
    """The guide with the columns as the code describes them."""
    return _COLUMNS.sub(
        lambda found: f"<!-- columns of {found['table']} -->\n{_columns(READABLE[found['table']])}<!-- end -->", guide
    )


def with_samples(guide: str, connection: Connection) -> str:
    """The guide with what its queries give there."""

    def made(found: re.Match[str]) -> str:
        before = found[0][: found.start("sample") - found.start()]
        return f"{before}{_sample(connection, found['sql'])}```"

    return _QUERY.sub(made, guide)


def sample_columns(sample: str) -> list[str]:
    """The names in a sample's first line."""
    return [name.strip() for name in sample.splitlines()[0].split("|")]


def _columns(table: Table) -> str:
    lines = ["| column | type | meaning, unit |", "|---|---|---|"]
    for column in table.columns:
        name = f"**`{column.name}`**" if column.primary_key else f"`{column.name}`"
        kind = column.type.compile(postgresql.dialect())  # type: ignore[no-untyped-call]
        lines.append(f"| {name} | {kind.lower()} | {column.comment} |")
    return "\n".join(lines) + "\n"


def _sample(connection: Connection, sql: str) -> str:
    result = connection.execute(text(sql))
    names = list(result.keys())
    rows = [[_cell(value) for value in row] for row in result]
    shown = [names, *rows[:_SAMPLE_ROWS]]
    widths = [max(len(line[place]) for line in shown) for place in range(len(names))]
    lines = [" | ".join(map(str.ljust, line, widths)) for line in shown]
    lines.insert(1, "-+-".join("-" * width for width in widths))
    if len(rows) > _SAMPLE_ROWS:
        lines.append(f"({len(rows)} rows)")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    words = str(value).lower() if isinstance(value, bool) else str(value)
    return words if len(words) <= _WIDEST_CELL else f"{words[: _WIDEST_CELL - 3]}..."


def _reported_database() -> Iterator[Engine]:
    """A database with an analysts' fleet, on a server for a moment."""
    with tempfile.TemporaryDirectory() as folder:
        databases = Databases(PostgresServer(Path(folder) / "postgres"))
        try:
            for engine in fresh_engine(databases):
                add_analysts_fleet(engine, datetime.now(UTC))
                yield engine
        finally:
            databases.close()


def main() -> None:
    for engine in _reported_database():
        with engine.connect() as connection:
            GUIDE.write_text(with_samples(with_columns(read_guide()), connection), encoding="utf-8")
    print(f"{GUIDE} is made anew.")


if __name__ == "__main__":
    main()

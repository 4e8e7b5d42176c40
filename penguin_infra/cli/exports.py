"""How commands hand rows to other programs: `--json`, `--csv` and `--parquet FILE`, to stdout or whole into a file.

What the files hold is `analytics/exporting.py`'s.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.markup import escape
from sqlalchemy import Table

from penguin_infra.cli.day_spans import DaySpan
from penguin_infra.cli.output import notes, stop, transaction
from penguin_infra.wiring import Wiring

if TYPE_CHECKING:
    import pandas as pd

STDOUT = Path("-")

AsJsonRows = Annotated[bool, typer.Option("--json", help="Print JSON: the rows in full, money as exact text.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV: the rows in full, money exact.")]
ParquetFile = Annotated[
    Path | None,
    typer.Option("--parquet", metavar="FILE", help="Write the rows in full to a Parquet file; - is stdout."),
]
OutFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write what --json or --csv would print to a file.")
]


@dataclass(frozen=True, slots=True)
class Export:
    """A format (json, csv, parquet), and where the file is to be; no path is stdout."""

    form: str
    path: Path | None


def export_of(as_json: bool, as_csv: bool, parquet: Path | None, out: Path | None) -> Export | None:
    """What the options ask for; None: a table for people. `typer.BadParameter` where they contradict each other."""
    forms = [name for name, is_asked in (("json", as_json), ("csv", as_csv), ("parquet", parquet)) if is_asked]
    if len(forms) > 1:
        raise typer.BadParameter(f"one format at a time, not --{' and --'.join(forms)}", param_hint=f"--{forms[-1]}")
    if out is not None and forms not in (["json"], ["csv"]):
        words = "--parquet names its file itself" if forms else "say which format: --csv or --json"
        raise typer.BadParameter(words, param_hint="--out")
    if not forms:
        return None
    if parquet == STDOUT and sys.stdout.isatty():
        raise typer.BadParameter("a terminal cannot show Parquet: name a file, or a pipe", param_hint="--parquet")
    path = None if STDOUT in {parquet, out} else parquet or out
    _check_place(path, "--parquet" if parquet else "--out")
    return Export(forms[0], path)


def hand_out(export: Export, table: Table, read: Callable[[], "pd.DataFrame"]) -> None:
    """Write the frame that is read now, and say on stderr where it went."""
    from penguin_infra.analytics.exporting import Format, content_of  # noqa: PLC0415 - pandas: only exports need it

    frame = read()
    content = content_of(table, frame, Format(export.form))
    if export.path is None:
        typer.echo(content, nl=False)
        return
    _write(export.path, content)
    notes.print(f"{len(frame):,} rows are in {escape(str(export.path))}.")


def export_table(
    fleet: Wiring, export: Export, table: Table, span: DaySpan | None = None, *, node_id: UUID | None = None
) -> None:
    """Hand out a table's rows: of some days where it is one of days, of one node where it is asked for."""

    def read() -> "pd.DataFrame":
        from penguin_infra.analytics.reading import read_frame  # noqa: PLC0415 - as above

        first, last = (span.first, span.last) if span else (None, None)
        with transaction(fleet) as connection:
            return read_frame(connection, table, first_day=first, last_day=last, node_id=node_id)

    hand_out(export, table, read)


def _check_place(path: Path | None, option: str) -> None:
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder; name a file in it", param_hint=option)
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint=option)


def _write(path: Path, content: bytes) -> None:
    """In the file's place at once, so that nobody reads half of it; what is no plain file is written through."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        target = path.resolve()
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            unfinished.write_bytes(content)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        stop(f"cannot write {path}: {error.strerror}; what was there before is as it was")

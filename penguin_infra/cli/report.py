"""`penguin-infra report`: a day's report, made now. What stands in it is `analytics/fleet_report.py`'s."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import DBAPIError

from penguin_infra.cli.output import AsJson, console, print_json, told_in_words, wire
from penguin_infra.store.database import explain


@told_in_words
def report(
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day (UTC); by default today, so far.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The file to write; by default the day's, in the report folder.")
    ] = None,
    is_opened: Annotated[bool, typer.Option("--open", help="Show it in this machine's browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a day's report: one HTML file of the fleet, its costs and reputation, what it did, and what waits for you.

    It needs no network, follows your browser's light or dark look, and prints. The pipeline writes today's every hour;
    this makes it anew from the same tables. With `--json`, its figures are printed, too.

    Example: penguin-infra report --day 2026-11-01 --out november.html
    """
    from penguin_infra.analytics.fleet_report import write_report  # noqa: PLC0415 - plotly: not for other commands

    fleet = wire()
    now = fleet.clock.now()
    try:
        written = write_report(
            fleet.engine,
            day.date() if day else now.date(),
            now=now,
            fleet_name=fleet.settings.fleet_name,
            folder=fleet.report_folder,
            path=out.absolute() if out else None,
        )
    except DBAPIError as error:
        raise explain(error, fleet.database_url) from None
    if as_json:
        print_json({"day": written.day, "path": written.path, "bytes": written.size, "figures": written.numbers})
    else:
        console.print(str(written.path), markup=False, highlight=False, soft_wrap=True)
    if is_opened:
        typer.launch(written.path.as_uri())

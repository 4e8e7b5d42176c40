"""The days that costs and reputation are summed up by: partitions of UTC days, today's so far among them."""

import warnings
from collections.abc import Callable
from datetime import date
from typing import Any

import dagster as dg

from penguin_infra.defs.postgres_io import ANALYTICS_TABLE

# Before it no fleet of ours was billed. One day more than are over: today's sums are wanted too.
FIRST_DAY = date(2026, 1, 1)
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)


def days_of(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """The first and the last day that a run is for; raises `Failure` where that is no day, as one to come."""
    asked = context.partition_keys
    # A range may name days that have no partition yet.
    if not asked or max(asked) > (DAYS.get_last_partition_key() or ""):
        days = " to ".join(sorted({*asked[:1], *asked[-1:]}))
        raise dg.Failure(f"{days}: only days from {FIRST_DAY} to today (UTC) can be summed up", allow_retries=False)
    return date.fromisoformat(min(asked)), date.fromisoformat(max(asked))


def daily_asset(
    *, io_manager_key: str | None = ANALYTICS_TABLE, **options: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`dg.asset` by days, any number of them in one run: a year in a process a day would take an hour.

    By default what it returns goes to the analysts' table of its name.
    """
    with warnings.catch_warnings():
        # Dagster calls the back-fill's policy beta; without it a back-fill still works, a run a day.
        warnings.simplefilter("ignore", dg.BetaWarning)
        made: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
            partitions_def=DAYS,
            backfill_policy=dg.BackfillPolicy.single_run(),
            io_manager_key=io_manager_key,
            **options,
        )
        return made

"""`penguin-infra costs`: what the days cost and what they brought, the month's forecast, and what can be saved.

The bill's reconciliation stands in `cost_reconciling.py`.
"""

from collections.abc import Sequence
from dataclasses import astuple
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from penguin_infra.cli.day_spans import DaySpan, Month, Since, Until, day_span
from penguin_infra.cli.exports import AsCsv, AsJsonRows, Export, OutFile, ParquetFile, export_of, export_table, hand_out
from penguin_infra.cli.group_options import refuse_lost_options
from penguin_infra.cli.output import console, show, told_in_words, transaction, wire
from penguin_infra.store.analytics_tables import cost_forecasts, cost_optimisation, node_costs
from penguin_infra.store.cost_summaries import (
    COST_SUMS,
    CostsBy,
    CostSum,
    MonthOutlook,
    add_up,
    list_savings,
    month_outlooks,
    sum_costs,
)
from penguin_infra.wiring import Wiring

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(invoke_without_command=True)

_NO_COSTS = (
    "No costs are summed up for {span}. The schedule report_days does it every hour while the fleet is up "
    "(`penguin-infra up`); days of the past are a back-fill of the asset node_costs in the UI."
)
_NO_FORECAST = "No forecast was made in {span}: the schedule report_days makes one every hour while the fleet is up."
_NO_SAVINGS = (
    "No saving is worth making, or none was looked for yet: the asset cost_optimisation does it every hour while the "
    "fleet is up."
)

By = Annotated[CostsBy | None, typer.Option("--by", help="What the sums are of; by default days.")]
Top = Annotated[int, typer.Option("--top", min=1, help="How many rows people see at most, the most expensive ones.")]


@app.callback()
@told_in_words
def costs(
    context: typer.Context,
    by: By = None,
    since: Since = None,
    until: Until = None,
    month: Month = None,
    top: Top = 62,
    as_json: AsJsonRows = False,
    as_csv: AsCsv = False,
    parquet: ParquetFile = None,
    out: OutFile = None,
) -> None:
    """Show what this month's days cost, and how much of it brought mail; with other days, or by another measure.

    Wasted is what brought no mail: nodes that are held, that are in service and send nothing, instances that no node
    holds, months paid ahead and lost. A warmed slot is a node that is through its warm-up.

    --json, --csv and --parquet give the rows of analytics.node_costs in full; with --by, the sums.

    Example: penguin-infra costs

    Example: penguin-infra costs --by region --month 2026-03

    Example: penguin-infra costs --by node --since 2026-03-01 --top 10

    Example: penguin-infra costs --since 2026-01-01 --parquet costs.parquet
    """
    if context.invoked_subcommand:
        refuse_lost_options(context)
        return
    export = export_of(as_json, as_csv, parquet, out)
    fleet = wire()
    today = fleet.clock.now().date()
    span = day_span(since, until, month, today=today)
    if export is not None:
        _export(fleet, export, by, span)
        return
    measure = by or CostsBy.DAY
    with transaction(fleet) as connection:
        sums = sum_costs(connection, measure, first_day=span.first, last_day=span.last)
        outlooks = month_outlooks(connection, first_day=span.last.replace(day=1), last_day=span.last)
    if not sums:
        console.print(_NO_COSTS.format(span=span), soft_wrap=True)
        return
    _show_sums(sums, measure, span, top=top, is_day_open=span.last == today)
    if outlooks:
        console.print(_outlook_words(outlooks[-1]), soft_wrap=True)


@app.command("savings")
@told_in_words
def savings(
    as_json: AsJsonRows = False, as_csv: AsCsv = False, parquet: ParquetFile = None, out: OutFile = None
) -> None:
    """List the savings that were found last, the greatest first, each with the command that proposes it.

    Nothing is done without a person's approval. `penguin-infra actions savings` looks for them anew.

    Example: penguin-infra costs savings

    Example: penguin-infra costs savings --csv --out savings.csv
    """
    export = export_of(as_json, as_csv, parquet, out)
    fleet = wire()
    if export is not None:
        export_table(fleet, export, cost_optimisation)
        return
    with transaction(fleet) as connection:
        found = list_savings(connection)
    shown = [row | {"saving": _usd(row["saving_monthly_usd"])} for row in found]
    columns = {"saving": "USD a month", "kind": "what", "label": "of", "reason": "why", "risk": "risk"}
    show(shown, columns, as_json=False, empty=_NO_SAVINGS)
    for row in found:
        console.print(f"{row['kind']} {escape(row['label'])}: [bold]{escape(row['command'])}[/]", soft_wrap=True)


@app.command("forecast")
@told_in_words
def forecast(
    since: Since = None,
    until: Until = None,
    month: Month = None,
    as_json: AsJsonRows = False,
    as_csv: AsCsv = False,
    parquet: ParquetFile = None,
    out: OutFile = None,
) -> None:
    """Show what the month will cost, as it looked at the end of each of its days, beside the budget.

    Example: penguin-infra costs forecast

    Example: penguin-infra costs forecast --month 2026-03 --csv
    """
    export = export_of(as_json, as_csv, parquet, out)
    fleet = wire()
    span = day_span(since, until, month, today=fleet.clock.now().date())
    if export is not None:
        export_table(fleet, export, cost_forecasts, span)
        return
    with transaction(fleet) as connection:
        outlooks = month_outlooks(connection, first_day=span.first, last_day=span.last)
    shown = [
        {
            "day": one.day,
            "so_far": _usd(one.month_to_date_usd),
            "forecast": _usd(one.forecast_usd),
            "interval": f"{_usd(one.lower_usd)} to {_usd(one.upper_usd)}",
            "budget": _usd(one.budget_usd) or "none",
            "method": one.method,
        }
        for one in outlooks
    ]
    columns = {
        "day": "end of day", "so_far": "month to date", "forecast": "forecast", "interval": "80 % between",
        "budget": "budget", "method": "by",
    }  # fmt: skip
    show(shown, columns, as_json=False, empty=_NO_FORECAST.format(span=span), title="US dollars")


def _export(fleet: Wiring, export: Export, by: CostsBy | None, span: DaySpan) -> None:
    if by is None:
        export_table(fleet, export, node_costs, span)
        return

    def read() -> "pd.DataFrame":
        from penguin_infra.analytics.frames import frame_of  # noqa: PLC0415 - pandas: only exports need it

        with transaction(fleet) as connection:
            sums = sum_costs(connection, by, first_day=span.first, last_day=span.last)
        return frame_of(COST_SUMS, map(astuple, sums))

    hand_out(export, COST_SUMS, read)


def _show_sums(sums: list[CostSum], by: CostsBy, span: DaySpan, *, top: int, is_day_open: bool) -> None:
    """The rows, and all of them in one below; of days the newest are shown, of all else the most expensive."""
    shown = sums[-top:] if by is CostsBy.DAY else sums[:top]
    headings = (by.value, "cost", "in service", "wasted", "delivered", "per 1,000", "warmed slots", "per slot and day")
    table = Table(title=f"US dollars, {span}", title_justify="left", show_footer=True)
    total = add_up(sums, name="all")
    days = len(sums) if by is CostsBy.DAY else (span.last - span.first).days + 1
    for number, (heading, footer) in enumerate(zip(headings, _cells(total, days), strict=True)):
        table.add_column(heading, footer=footer, justify="right" if number else "left")
    for one in shown:
        table.add_row(*_cells(one, 1 if by is CostsBy.DAY else days))
    console.print(table)
    if len(shown) < len(sums):
        console.print(f"{len(shown)} of {len(sums):,} rows are shown; --top shows more, --csv all.")
    if is_day_open:
        console.print(f"{span.last} is not over: it counts so far.")


def _cells(one: CostSum, days: int) -> Sequence[str]:
    return (
        escape(one.name),
        _usd(one.amount_usd),
        _usd(one.in_service_usd),
        f"{_usd(one.wasted_usd)} ({_share(one.wasted_usd, one.amount_usd)})",
        "" if one.delivered is None else f"{one.delivered:,}",
        _usd(one.usd_per_thousand, places=4),
        f"{one.warmed_slot_days / days:,.1f}",
        _usd(one.usd_per_slot_day, places=4),
    )


def _outlook_words(outlook: MonthOutlook) -> str:
    words = (
        f"{outlook.month:%B %Y}: {_usd(outlook.month_to_date_usd)} USD so far, "
        f"[bold]{_usd(outlook.forecast_usd)} USD[/] forecast "
        f"({_usd(outlook.lower_usd)} to {_usd(outlook.upper_usd)} in 4 of 5 cases)"
    )
    if outlook.budget_usd is None:
        return f"{words}; no budget is set (`cost.monthly_budget_usd` of the policy)."
    over = outlook.forecast_usd - outlook.budget_usd
    verdict = f"[red]{_usd(over)} USD over[/]" if over > 0 else f"[green]{_usd(-over)} USD within[/]"
    return f"{words}; {verdict} the budget of {_usd(outlook.budget_usd)} USD."


def _usd(amount: Decimal | None, *, places: int = 2) -> str:
    return "" if amount is None else f"{amount:,.{places}f}"


def _share(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole:.0%}" if whole else "0%"

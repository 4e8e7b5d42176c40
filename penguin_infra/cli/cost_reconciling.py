"""`penguin-infra costs reconcile`: the provider's bill beside what the fleet reckoned, line by line."""

import csv
import sys
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from penguin_infra.cli.day_spans import Month, Since, Until, day_span
from penguin_infra.cli.output import console, stop, told_in_words, transaction, wire
from penguin_infra.domain.bill import differences
from penguin_infra.store.cost_sums import costs_by_instance

_COLUMNS = ("provider_id", "amount_usd")

Bill = Annotated[str, typer.Argument(metavar="BILL", help="A CSV file with provider_id and amount_usd; - is stdin.")]


@told_in_words
def reconcile(bill: Bill, since: Since = None, until: Until = None, month: Month = None) -> None:
    """Hold the provider's bill of some days, by default of this month so far, against analytics.node_costs.

    Each instance that differs by a cent or more is a line, and then the exit code is 1.

    Example: penguin-infra costs reconcile invoice-2026-03.csv --month 2026-03

    Example: penguin-infra lab bill --csv | penguin-infra costs reconcile - --since 2026-01-01
    """
    billed = _read_bill(bill)
    fleet = wire()
    span = day_span(since, until, month, today=fleet.clock.now().date())
    with transaction(fleet) as connection:
        reckoned = costs_by_instance(connection, span.first, span.last)
    found = differences(billed, reckoned)
    totals = (
        f"{span}: billed {_usd(sum(billed.values()))} USD for {len(billed):,} instances, reckoned "
        f"{_usd(sum(reckoned.values()))} for {len(reckoned):,}"
    )
    if not found:
        console.print(f"{totals}: no instance differs by a cent.", soft_wrap=True)
        return
    table = Table("instance", "billed", "reckoned", "difference", title="US dollars", title_justify="left")
    for one in found:
        table.add_row(
            one.provider_id, _usd(one.billed_usd, "not billed"), _usd(one.reckoned_usd, "not known"),
            f"{one.difference_usd:+,.4f}",
        )  # fmt: skip
    console.print(table)
    stop(f"{totals}: {len(found):,} instances differ by a cent or more (docs/costs.md says what may be the cause)")


def _read_bill(bill: str) -> dict[str, Decimal]:
    """The bill's lines summed up by instance; ends the command where it is none."""
    try:
        if bill == "-":
            return _sum_lines(sys.stdin)
        with Path(bill).open(newline="", encoding="utf-8-sig") as file:
            return _sum_lines(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        stop(f"the bill {bill} cannot be read: {error}")


def _sum_lines(lines: Iterable[str]) -> dict[str, Decimal]:
    reader = csv.DictReader(lines)
    if missing := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        stop(f"the bill lacks the column {' and '.join(missing)}: its first line must name {' and '.join(_COLUMNS)}")
    sums: dict[str, Decimal] = {}
    for row in reader:
        try:
            amount_usd = Decimal(row["amount_usd"] or "")
        except InvalidOperation:
            amount_usd = Decimal("NaN")
        if not row["provider_id"] or not amount_usd.is_finite():
            stop(f"line {reader.line_num} of the bill is no instance with an amount: {dict(row)}")
        sums[row["provider_id"]] = sums.get(row["provider_id"], Decimal(0)) + amount_usd
    return sums


def _usd(amount: Decimal | int | None, none: str = "") -> str:
    return none if amount is None else f"{amount:,.4f}"

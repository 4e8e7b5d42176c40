"""`penguin-infra costs reconcile`: a cent that differs is told, line by line, and ends the command with 1."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import Result

from penguin_infra.domain.pricing import CostLimits
from penguin_infra.operations.measure_costs import measure_costs
from penguin_infra.store.analytics_tables import node_costs
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra_tests.operations.test_measure_costs import spell

Run = Callable[..., Result]
# Ten hours of ssd-1 at 0.006931, and twenty.
AGREED = "provider_id,amount_usd\nhw-1,0.06931\nhw-2,0.13862\n"
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()


@pytest.fixture
def reconcile(run: Run, engine: Engine, tmp_path: Path) -> Callable[[str], Result]:
    """Reconcile yesterday's bill with two instances' costs."""
    midnight = datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, tzinfo=UTC)
    for number, hours in ((1, 10), (2, 20)):
        spell(engine, f"hw-{number}", midnight, midnight + timedelta(hours=hours))
    report = measure_costs(
        engine,
        CostLimits(),
        first_day=YESTERDAY,
        last_day=YESTERDAY,
        fleet_name="fleet",
        now=midnight + timedelta(days=1),
    )
    with engine.begin() as connection:
        replace_rows(connection, node_costs, report.lines)

    def invoke(bill: str) -> Result:
        path = tmp_path / "bill.csv"
        path.write_text(bill)
        return run("costs", "reconcile", str(path), "--since", str(YESTERDAY), "--until", str(YESTERDAY))

    return invoke


def test_a_bill_that_agrees_says_so(reconcile: Callable[[str], Result]) -> None:
    result = reconcile(AGREED)
    assert result.exit_code == 0
    assert "billed 0.2079 USD for 2 instances, reckoned 0.2079 for 2: no instance differs by a cent." in result.output


def test_less_than_a_cent_is_rounding(reconcile: Callable[[str], Result]) -> None:
    assert reconcile(AGREED.replace("0.06931", "0.07")).exit_code == 0


def test_what_differs_is_told_line_by_line_and_ends_with_1(reconcile: Callable[[str], Result]) -> None:
    result = reconcile("provider_id,amount_usd\nhw-1,0.03931\nhw-1,0.04\nhw-7,0.5\n")
    assert result.exit_code == 1
    lines = [line.split() for line in result.output.splitlines() if "hw-" in line]
    told = [[cell for cell in line if cell != "│"] for line in lines]
    assert told == [
        ["hw-7", "0.5000", "not", "known", "+0.5000"],
        ["hw-2", "not", "billed", "0.1386", "-0.1386"],
        ["hw-1", "0.0793", "0.0693", "+0.0100"],
    ]
    assert "3 instances differ by a cent or more" in result.stderr


@pytest.mark.parametrize(
    ("bill", "why"),
    [
        ("id,amount\nhw-1,1\n", "lacks the column provider_id and amount_usd"),
        ("provider_id,amount_usd\nhw-1,much\n", "line 2 of the bill is no instance with an amount"),
        ("provider_id,amount_usd\n,1\n", "line 2 of the bill"),
    ],
)
def test_what_is_no_bill_is_told_by_its_line(reconcile: Callable[[str], Result], bill: str, why: str) -> None:
    result = reconcile(bill)
    assert result.exit_code == 1
    assert why in result.stderr

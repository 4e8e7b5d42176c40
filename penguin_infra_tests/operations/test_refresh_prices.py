"""The price list is kept as it changes, whole or not at all: what cannot be a price changes nothing that is known."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from sqlalchemy import Engine, text

from penguin_infra.hostwind.provider import NodeProvider, Plan
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.operations.refresh_prices import PriceReport, refresh_prices
from penguin_infra_tests.fleets import NOW

SSD_1 = Plan("ssd-1", 1, 1024, 30, 1000, Decimal("4.99"), Decimal("0.006931"))
SSD_2 = Plan("ssd-2", 1, 2048, 50, 2000, Decimal("9.99"), Decimal("0.013875"))
LATER = NOW + timedelta(days=1)


class PriceList:
    """What a provider offers; the simulated one never changes its prices."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.plans = plans

    def list_plans(self) -> list[Plan]:
        return list(self.plans)


def refresh(engine: Engine, *plans: Plan, at: datetime = NOW) -> PriceReport:
    return refresh_prices(engine, cast("NodeProvider", PriceList(plans)), at)


def rows(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        query = text("SELECT plan, monthly_usd, seen_at, last_seen_at FROM fleet.plan_prices ORDER BY plan, seen_at")
        return [tuple(row) for row in connection.execute(query)]


def test_the_simulated_providers_prices_are_kept(engine: Engine, provider: RestProvider) -> None:
    report = refresh_prices(engine, provider, NOW)
    assert (report.faults, report.changed_count) == ((), 3)
    assert [row[:2] for row in rows(engine)] == [
        ("ssd-1", Decimal("4.99")), ("ssd-2", Decimal("9.99")), ("ssd-4", Decimal("18.99")),
    ]  # fmt: skip


def test_a_price_that_stays_is_one_row_seen_until_now(engine: Engine) -> None:
    refresh(engine, SSD_1)
    assert refresh(engine, SSD_1, at=LATER).changed_count == 0
    assert rows(engine) == [("ssd-1", Decimal("4.99"), NOW, LATER)]


def test_a_change_is_a_row_of_its_own_beside_the_old_one(engine: Engine) -> None:
    refresh(engine, SSD_1, SSD_2)
    assert refresh(engine, replace(SSD_1, monthly_usd=Decimal("5.49")), SSD_2, at=LATER).changed_count == 1
    assert rows(engine) == [
        ("ssd-1", Decimal("4.99"), NOW, NOW),
        ("ssd-1", Decimal("5.49"), LATER, LATER),
        ("ssd-2", Decimal("9.99"), NOW, LATER),
    ]


def test_a_plan_that_is_no_longer_offered_keeps_its_row(engine: Engine) -> None:
    refresh(engine, SSD_1, SSD_2)
    refresh(engine, SSD_1, at=LATER)
    assert rows(engine)[1] == ("ssd-2", Decimal("9.99"), NOW, NOW)


@pytest.mark.parametrize("offer", [
    [],
    [SSD_1, replace(SSD_2, monthly_usd=Decimal(0))],
    [replace(SSD_1, hourly_usd=Decimal(0))],
    [SSD_1, replace(SSD_1, monthly_usd=Decimal("5.49"))],
])  # fmt: skip
def test_what_cannot_be_a_price_list_is_refused_whole(engine: Engine, offer: list[Plan]) -> None:
    refresh(engine, SSD_1)
    report = refresh(engine, *offer, at=LATER)
    assert (len(report.faults), report.changed_count) == (1, 0)
    assert [row.plan for row in report.kept] == ["ssd-1"]
    assert rows(engine) == [("ssd-1", Decimal("4.99"), NOW, NOW)]

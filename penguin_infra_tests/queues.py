"""Queues for tests: a node's last windows and a price list, put into a database by plain inserts."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Engine, insert

from penguin_infra.store.capacity_tables import node_windows
from penguin_infra.store.plan_prices import PlanPrice, save_prices
from penguin_infra_tests.fleets import NOW

# As the simulated provider sells them.
PLANS = (("ssd-1", 1, 1024, "4.99"), ("ssd-2", 1, 2048, "9.99"), ("ssd-4", 2, 4096, "18.99"))


def price(engine: Engine, at: datetime = NOW) -> None:
    """The provider's price list."""
    prices = [PlanPrice(name, cpu, mb, 30, 1000, Decimal(usd), Decimal("0.01")) for name, cpu, mb, usd in PLANS]
    with engine.begin() as connection:
        save_prices(connection, prices, at)


def pile_up(
    engine: Engine,
    node_id: UUID,
    *,
    at: datetime = NOW,
    count: int = 6,
    depth: int = 5_000,
    deferred: int = 0,
    age: int | None = 3_600,
    cpu: float = 97,
    is_held: bool = False,
) -> None:
    """The last windows of a node whose queue stayed so, the newest at `at`."""
    rows = [
        {
            "node_id": node_id,
            "window_at": at - timedelta(minutes=5 * number),
            "depth": depth,
            "deferred": deferred,
            "oldest_age_seconds": age,
            "ended": 60,
            "deferrals": 2,
            "cpu_percent": cpu,
            "memory_percent": 40,
            "is_held": is_held,
        }
        for number in range(count)
    ]
    with engine.begin() as connection:
        connection.execute(insert(node_windows), rows)

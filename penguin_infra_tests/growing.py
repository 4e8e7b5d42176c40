"""What the fleet's size is decided on, put into a database: a price list, hours of demand, nodes that carry it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine, insert, update

from penguin_infra.domain.capacity import ThroughputLimits
from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits
from penguin_infra.domain.warmup_curves import WarmupCurve
from penguin_infra.domain.warmup_quality import WarmupLimits
from penguin_infra.operations.read_fleet_size import SizeLimits
from penguin_infra.store.capacity_tables import demand_hours
from penguin_infra.store.plan_prices import PlanPrice, save_prices
from penguin_infra.store.tables import sending_nodes
from penguin_infra_tests.fleets import NOW, add_nodes

# A node carries 24,000 a day, once three days are over.
CURVE = WarmupCurve("quick", (6_000, 12_000, 18_000, 24_000))
THROUGHPUT = ThroughputLimits(messages_per_hour={"ssd-1": 1_000, "ssd-2": 2_000})


def size_limits(growth: GrowthLimits | None = None) -> SizeLimits:
    """Limits under which a small fleet grows in plain numbers."""
    return SizeLimits(
        growth=growth or GrowthLimits(warm_spares=0),
        curve=CURVE,
        warmup=WarmupLimits(),
        throughput=THROUGHPUT,
        resize=ResizeLimits(),
    )


def sell(engine: Engine, at: datetime = NOW) -> None:
    """The provider's price list."""
    offers = [
        PlanPrice(name, cpu, 1_024 * cpu, 30, 1_000, Decimal(usd), Decimal("0.01"))
        for name, cpu, usd in (("ssd-1", 1, "4.99"), ("ssd-2", 2, "8.99"))
    ]
    with engine.begin() as connection:
        save_prices(connection, offers, at)


def ask_for(engine: Engine, a_day: int, *, days: int = 3, now: datetime = NOW, region: str = "dallas") -> None:
    """So many messages a day were asked for, evenly, on each of the days before now."""
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    rows = [
        {"hour_at": this_hour - timedelta(hours=back), "region": region, "ended": a_day // 24, "refused": 0}
        for back in range(1, days * 24 + 1)
    ]
    with engine.begin() as connection:
        connection.execute(insert(demand_hours), rows)


def add_old_nodes(engine: Engine, count: int, *, status: NodeStatus = NodeStatus.ACTIVE, days: int = 100) -> None:
    """Nodes that were asked for long ago, so that no request counts for today."""
    add_nodes(engine, count, status)
    with engine.begin() as connection:
        connection.execute(update(sending_nodes).values(created_at=NOW - timedelta(days=days)))

"""Heartbeats, hours of delivery and prices for tests of capacity, written as gateway and inventory leave them."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Engine, text

from penguin_infra.operations.measure_capacity import CapacityReport, measure_capacity
from penguin_infra.operations.read_fleet_size import SizeLimits
from penguin_infra.policy import Policy
from penguin_infra.store.plan_prices import PlanPrice, save_prices
from penguin_infra_tests.fleets import NOW

POLICY = Policy()
SSD_1_PER_DAY = 60_000


def price(plan: str = "ssd-1", monthly: str = "4.99", *, cpu_count: int = 1) -> PlanPrice:
    return PlanPrice(plan, cpu_count, 1024, 30, 1000, Decimal(monthly), Decimal("0.006931"))


def know_prices(engine: Engine) -> None:
    """The price list of one plan: 2,500 messages an hour."""
    with engine.begin() as connection:
        save_prices(connection, [price()], NOW)


def heartbeat(
    engine: Engine,
    node_id: UUID,
    at: datetime,
    *,
    active: int | None = 10,
    deferred: int | None = 5,
    oldest: int | None = 60,
    cpu: float | None = 40,
    transport: str | None = "released",
) -> None:
    """One heartbeat, in the history and as the node's newest."""
    queue = {"active": active, "deferred": deferred, "oldest": oldest, "cpu": cpu}
    with engine.begin() as connection:
        connection.execute(
            text("SELECT fleet.make_heartbeat_partitions((CAST(:at AS timestamptz) AT TIME ZONE 'UTC')::date, 1)"),
            {"at": at},
        )
        connection.execute(
            text(
                """
                INSERT INTO fleet.heartbeats (node_id, received_at, mta_state, transport, cpu_percent, memory_percent,
                    queue_active, queue_deferred, queue_held, queue_oldest_seconds)
                VALUES (:node_id, :at, 'up', :transport, :cpu, 50, :active, :deferred, NULL, :oldest)
                """
            ),
            {"node_id": node_id, "at": at, "transport": transport} | queue,
        )
        connection.execute(
            text(
                """
                INSERT INTO fleet.node_pulses (node_id, received_at, served_seconds, sent_at, boot_id, agent_version,
                    mta_state, transport, cpu_percent, memory_percent, queue_active, queue_deferred,
                    queue_oldest_seconds)
                SELECT :node_id, :at, served_seconds, :at, 'boot', '1.0', 'up', 'released', :cpu, 50, :active,
                    :deferred, :oldest
                FROM fleet.gateway_clock
                ON CONFLICT (node_id) DO UPDATE SET received_at = excluded.received_at,
                    cpu_percent = excluded.cpu_percent, queue_active = excluded.queue_active,
                    queue_deferred = excluded.queue_deferred, queue_oldest_seconds = excluded.queue_oldest_seconds
                """
            ),
            {"node_id": node_id, "at": at} | queue,
        )


def deliver(engine: Engine, node_id: UUID, hour_at: datetime, sent: int, **others: int) -> None:
    """An hour's deliveries to one provider."""
    names = ["sent", *others]
    with engine.begin() as connection:
        connection.execute(
            text(
                f"INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, {', '.join(names)}) "
                f"VALUES (:node_id, :hour_at, 'gmail', {', '.join(f':{name}' for name in names)})"
            ),
            {"node_id": node_id, "hour_at": hour_at, "sent": sent, **others},
        )


def measure(engine: Engine, now: datetime = NOW, policy: Policy = POLICY) -> CapacityReport:
    """One measurement by a policy's limits."""
    limits = SizeLimits(policy.growth, policy.curve, policy.warmup, policy.throughput, policy.resize)
    return measure_capacity(engine, limits, policy.guardrails, now=now)


def busy(engine: Engine, node_id: UUID, cpu: float | None, *, until: datetime = NOW, windows: int = 3) -> None:
    """A heartbeat in each of the last closed windows before that moment."""
    for back in range(windows, 0, -1):
        heartbeat(engine, node_id, until - back * timedelta(minutes=5) + timedelta(minutes=1), cpu=cpu)

"""Fleets with something to save, for tests: mail, pulses and windows put into a database by plain SQL."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Engine, text

from penguin_infra.domain.fleet_size import GrowthLimits
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.domain.pricing import CostLimits
from penguin_infra.domain.savings import Recommendation, SavingKind, SavingLimits, SavingPlan
from penguin_infra.operations.find_savings import SavingSearch, find_savings
from penguin_infra.store.plan_prices import PlanPrice, save_prices
from penguin_infra_tests.fleets import NOW
from penguin_infra_tests.growing import size_limits

# No spare: a small fleet saves in plain numbers. Both cycles cost the same, so that neither is the better one.
SEARCH = SavingSearch(size_limits(GrowthLimits(warm_spares=0)), ShrinkLimits(), CostLimits(), SavingLimits())
MONTHLY = {"ssd-1": Decimal("7.30"), "ssd-2": Decimal("14.60")}


def sell(engine: Engine, at: datetime = NOW) -> None:
    """A price list: 1,000 messages an hour for 7.30 a month, 2,000 for 14.60."""
    offers = [
        PlanPrice(name, cpu, 1_024 * cpu, 30, 1_000, usd, usd / 730)
        for cpu, (name, usd) in enumerate(MONTHLY.items(), start=1)
    ]
    with engine.begin() as connection:
        save_prices(connection, offers, at)


def age(engine: Engine, *, days: int = 100, now: datetime = NOW) -> None:
    """All nodes are what they are for so long."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET created_at = :at"), {"at": now - timedelta(days=days)})
        # The history is append-only for everybody else.
        connection.execute(text("ALTER TABLE fleet.node_transitions DISABLE TRIGGER USER"))
        connection.execute(
            text("UPDATE fleet.node_transitions SET happened_at = :at + (id || ' ms')::interval"),
            {"at": now - timedelta(days=days)},
        )
        connection.execute(text("ALTER TABLE fleet.node_transitions ENABLE TRIGGER USER"))


def put_on(engine: Engine, node_id: UUID, plan: str) -> None:
    """The node's plan."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE fleet.sending_nodes SET plan = :plan WHERE id = :id"), {"plan": plan, "id": node_id}
        )


def send(engine: Engine, node_ids: Iterable[UUID], an_hour: int, *, days: int = 15, now: datetime = NOW) -> None:
    """So many messages in each of the hours before now, which the fleet's demand counts, too."""
    hour_at = now.replace(minute=0, second=0, microsecond=0)
    with engine.begin() as connection:
        connection.execute(
            text(
                """
                INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent)
                SELECT node_id, :hour_at - hour * interval '1 hour', 'gmail', :sent
                FROM unnest(CAST(:ids AS uuid[])) AS node_id, generate_series(1, :hours) AS hour
                """
            ),
            {"ids": list(node_ids), "hour_at": hour_at, "hours": days * 24, "sent": an_hour},
        )
        connection.execute(
            text(
                """
                INSERT INTO fleet.demand_hours (hour_at, region, ended)
                SELECT hour_at, 'dallas', sum(sent) FROM fleet.delivery_hours GROUP BY hour_at
                ON CONFLICT (hour_at, region) DO UPDATE SET ended = excluded.ended
                """
            )
        )


def speak(
    engine: Engine, node_ids: Iterable[UUID], *, cpu: float = 10, memory: float = 20, now: datetime = NOW
) -> None:
    """A pulse of now, and a window of what the nodes are busy with."""
    with engine.begin() as connection:
        for node_id in node_ids:
            given = {"id": node_id, "at": now, "cpu": cpu, "memory": memory}
            connection.execute(
                text(
                    """
                    INSERT INTO fleet.node_pulses (node_id, received_at, served_seconds, sent_at, boot_id,
                        agent_version, mta_state, transport)
                    VALUES (:id, :at, 0, :at, 'boot', '1.0', 'up', 'released')
                    ON CONFLICT (node_id) DO UPDATE SET received_at = excluded.received_at
                    """
                ),
                given,
            )
            connection.execute(
                text(
                    """
                    INSERT INTO fleet.node_windows (node_id, window_at, depth, deferred, ended, deferrals,
                        cpu_percent, memory_percent, is_held)
                    VALUES (:id, :at - interval '1 hour', 0, 0, 60, 0, :cpu, :memory, false)
                    """
                ),
                given,
            )


def found(engine: Engine, search: SavingSearch = SEARCH, now: datetime = NOW) -> SavingPlan:
    """What is to be saved."""
    with engine.connect() as connection:
        return find_savings(connection, search, now)


def one_of(engine: Engine, kind: SavingKind, search: SavingSearch = SEARCH, now: datetime = NOW) -> Recommendation:
    """The one saving of a kind."""
    (one,) = [each for each in found(engine, search, now).recommendations if each.kind is kind]
    return one


def with_limits(**savings: object) -> SavingSearch:
    """The search by other limits of what is worth saving."""
    return replace(SEARCH, savings=SavingLimits(**savings))  # type: ignore[arg-type]

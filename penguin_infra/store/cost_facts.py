"""What some days' costs are reckoned from: billed spells, prices, and what became of the nodes in these days.

A few statements for the whole fleet, however many days. What an hour costs and goes to is the domain's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Connection, select, text

from penguin_infra.domain.cost_usage import NodeDays
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.price_list import Price, PriceList
from penguin_infra.domain.pricing import BillingCycle, Spell
from penguin_infra.store.capacity_tables import plan_prices
from penguin_infra.store.tables import AnyRow


@dataclass(frozen=True, slots=True)
class BilledInstance:
    """An instance with all its spells, the oldest first; `node_label` where a node asked for it."""

    provider_id: str
    label: str
    region: str
    node_id: UUID | None
    node_label: str | None
    spells: tuple[Spell, ...]

    @property
    def began_at(self) -> datetime:
        """When it was created."""
        return self.spells[0].began_at

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None while it is billed."""
        return self.spells[-1].ended_at


@dataclass(frozen=True, slots=True)
class Ghost:
    """A node whose instance was gone for a while; `until_at` is None while it is."""

    provider_id: str
    node_id: UUID
    label: str
    plan: str
    region: str
    since_at: datetime
    until_at: datetime | None


# Those that ended before the span, or began after it, are left out with all their spells.
_SPELLS = text("""
    WITH billed AS (
        SELECT provider_id FROM fleet.instance_spells GROUP BY provider_id
        HAVING min(began_at) < :until AND max(coalesce(ended_at, 'infinity')) >= :since
    )
    SELECT spell.provider_id, spell.plan, spell.extra_addresses, spell.began_at, spell.ended_at, spell.label,
        spell.region, spell.node_id, node.label AS node_label
    FROM fleet.instance_spells AS spell JOIN billed USING (provider_id)
    LEFT JOIN fleet.sending_nodes AS node ON node.id = spell.node_id
    ORDER BY spell.provider_id, spell.began_at
""")

# The state that was in force as the span began, and every change in it: an index scan a node.
_STATUSES = text("""
    SELECT node.id AS node_id, former.happened_at, former.to_status AS state
    FROM fleet.sending_nodes AS node CROSS JOIN LATERAL (
        SELECT happened_at, to_status FROM fleet.node_transitions
        WHERE node_id = node.id AND happened_at < :since ORDER BY id DESC LIMIT 1
    ) AS former
    UNION ALL
    (SELECT node_id, happened_at, to_status FROM fleet.node_transitions
    WHERE happened_at >= :since AND happened_at < :until ORDER BY id)
""")

_HEALTHS = text("""
    SELECT node.id AS node_id, one.happened_at, one.health AS state
    FROM fleet.sending_nodes AS node CROSS JOIN LATERAL (
        (SELECT happened_at, health FROM fleet.node_health_events
        WHERE node_id = node.id AND happened_at < :since ORDER BY happened_at DESC LIMIT 1)
        UNION ALL
        (SELECT happened_at, health FROM fleet.node_health_events
        WHERE node_id = node.id AND happened_at >= :since AND happened_at < :until ORDER BY happened_at)
    ) AS one
""")

_SENT_HOURS = text("""
    SELECT node_id, (hour_at AT TIME ZONE 'UTC')::date AS day,
        bit_or(1 << extract(hour FROM hour_at AT TIME ZONE 'UTC')::int) AS hours
    FROM fleet.delivery_hours WHERE hour_at >= date_trunc('day', CAST(:since AS timestamptz), 'UTC')
        AND hour_at < :until AND sent > 0
    GROUP BY 1, 2
""")

_GHOSTS = text("""
    SELECT drift.provider_id, node.id AS node_id, node.label, node.plan, node.region, drift.first_seen_at,
        drift.resolved_at
    FROM fleet.instance_drift AS drift JOIN fleet.sending_nodes AS node ON node.id = drift.node_id
    WHERE drift.kind = 'ghost' AND drift.first_seen_at < :until AND coalesce(drift.resolved_at, 'infinity') >= :since
    ORDER BY drift.provider_id, drift.first_seen_at
""")

# Whoever holds an address holds an instance, but for those whose instance is known to be gone; and within an hour each
# instance begins one.
_HOLDERS = text("""
    SELECT count(DISTINCT tenure.node_id) FROM fleet.ip_tenures AS tenure
    WHERE least(coalesce(tenure.ended_at, 'infinity'), :until) - greatest(tenure.began_at, :since) >= interval '1 hour'
      AND NOT EXISTS (
        SELECT FROM fleet.instance_drift AS drift
        WHERE drift.kind = 'ghost' AND drift.node_id = tenure.node_id AND drift.first_seen_at < :until
          AND coalesce(drift.resolved_at, 'infinity') >= :since)
""")

# Counted from the spells alone, by another road than the rows' own hours.
_BILLED_HOURS = text("""
    WITH spell AS (
        SELECT *, began_at = lag(ended_at) OVER one AND (:is_monthly OR plan = lag(plan) OVER one) AS goes_on
        FROM fleet.instance_spells WINDOW one AS (PARTITION BY provider_id ORDER BY began_at)
    ), numbered AS (
        SELECT *, count(*) FILTER (WHERE goes_on IS NOT TRUE) OVER one AS number
        FROM spell WINDOW one AS (PARTITION BY provider_id ORDER BY began_at)
    ), stretch AS (
        SELECT min(began_at) AS began_at, max(coalesce(ended_at, 'infinity')) AS ended_at FROM numbered
        GROUP BY provider_id, number
    ), counted AS (
        SELECT CASE WHEN ended_at = 'infinity' THEN NULL
                ELSE greatest(1, ceil(extract(epoch FROM ended_at - began_at) / 3600)) END AS in_all,
            greatest(0, ceil(extract(epoch FROM CAST(:since AS timestamptz) - began_at) / 3600)) AS before,
            ceil(extract(epoch FROM CAST(:until AS timestamptz) - began_at) / 3600) AS until_end
        FROM stretch WHERE began_at < :until AND (ended_at >= :since)
    )
    SELECT coalesce(sum(greatest(0, least(in_all, until_end) - before)), 0)::bigint FROM counted
""")


def billed_instances(connection: Connection, since: datetime, until: datetime) -> list[BilledInstance]:
    """Every instance that was billed in the span, by its id."""
    rows: dict[str, list[AnyRow]] = {}
    for row in connection.execute(_SPELLS, {"since": since, "until": until}):
        rows.setdefault(row.provider_id, []).append(row)
    return [_instance(of_one) for of_one in rows.values()]


def node_days(connection: Connection, since: datetime, until: datetime) -> dict[UUID, NodeDays]:
    """Every node's status, health and hours with mail in the span."""
    span = {"since": since, "until": until}
    statuses: dict[UUID, list[tuple[datetime, NodeStatus]]] = {}
    for row in connection.execute(_STATUSES, span):
        statuses.setdefault(row.node_id, []).append((row.happened_at, NodeStatus(row.state)))
    healths: dict[UUID, list[tuple[datetime, Health]]] = {}
    for row in connection.execute(_HEALTHS, span):
        healths.setdefault(row.node_id, []).append((row.happened_at, Health(row.state)))
    sent: dict[UUID, dict[date, int]] = {}
    for row in connection.execute(_SENT_HOURS, span):
        sent.setdefault(row.node_id, {})[row.day] = row.hours
    return {
        node_id: NodeDays(statuses.get(node_id, ()), healths.get(node_id, ()), sent.get(node_id, {}))
        for node_id in statuses.keys() | healths.keys() | sent.keys()
    }


def ghosts(connection: Connection, since: datetime, until: datetime) -> list[Ghost]:
    """Nodes without their instance in the span."""
    return [Ghost(*row) for row in connection.execute(_GHOSTS, {"since": since, "until": until})]


def holder_count(connection: Connection, since: datetime, until: datetime) -> int:
    """How many nodes held an instance for an hour of the span, as far as the registry knows."""
    return connection.scalar(_HOLDERS, {"since": since, "until": until}) or 0


def billed_hour_count(connection: Connection, since: datetime, until: datetime, cycle: BillingCycle) -> int:
    """How many hours of plans were billed in the span."""
    span = {"since": since, "until": until, "is_monthly": cycle is BillingCycle.MONTHLY}
    return connection.scalar(_BILLED_HOURS, span) or 0


def price_list(connection: Connection) -> PriceList:
    """Every price that is known."""
    p = plan_prices.c
    prices: dict[str, list[Price]] = {}
    for row in connection.execute(select(p.plan, p.seen_at, p.monthly_usd, p.hourly_usd).order_by(p.plan, p.seen_at)):
        found = Price(row.seen_at, row.monthly_usd, row.hourly_usd)
        prices.setdefault(row.plan, []).append(found)
    return PriceList(prices)


def _instance(rows: Sequence[AnyRow]) -> BilledInstance:
    last = rows[-1]
    return BilledInstance(
        provider_id=last.provider_id,
        label=last.label,
        region=last.region,
        node_id=last.node_id,
        node_label=last.node_label,
        spells=tuple(Spell(row.plan, row.extra_addresses, row.began_at, row.ended_at) for row in rows),
    )

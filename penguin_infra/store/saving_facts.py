"""What savings are found by: each node with its peaks, its listings and its work, and the instances that nobody holds.

Set-based, a statement for the whole fleet. What is saved by it is `domain/policies/save_costs.py`'s; what was made of a
saving, `savings.py`'s.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.savings import OBSERVED, SAVING_ID, FleetNode, Orphan, PlanRates, SavingLimits
from penguin_infra.store.plan_prices import newest_prices

_DAY = timedelta(days=1)

# A saving's own proposal is no hindrance to it; once it is approved, it is work like any other. A score that rose above
# the bound and fell again counts from its last fall.
_NODES = text("""
WITH mail AS (
    SELECT node_id, max(ended) AS peak, max(ended) FILTER (WHERE hour_at >= :day_ago) AS peak_last_day,
        sum(ended) FILTER (WHERE hour_at >= :idle_at) AS idle
    FROM (
        SELECT node_id, hour_at, sum(sent + hard_bounces + soft_bounces + policy_rejections + expired)::bigint AS ended
        FROM fleet.delivery_hours
        WHERE hour_at >= least(CAST(:observed_at AS timestamptz), CAST(:idle_at AS timestamptz)) GROUP BY 1, 2
    ) AS hours
    GROUP BY node_id
), busy AS (
    SELECT node_id, max(cpu_percent) AS cpu_percent, max(memory_percent) AS memory_percent
    FROM fleet.node_windows WHERE window_at >= :day_ago GROUP BY node_id
), life AS (
    SELECT node_id, max(happened_at) AS status_since,
        max(happened_at) FILTER (WHERE to_status IN ('warming', 'active')
            AND coalesce(from_status, '') NOT IN ('warming', 'active')) AS serving_since,
        max(happened_at) FILTER (WHERE to_status IN ('paused', 'maintenance')
            AND coalesce(from_status, '') NOT IN ('paused', 'maintenance')) AS held_since
    FROM fleet.node_transitions WHERE from_status IS DISTINCT FROM to_status GROUP BY node_id
), work AS (
    SELECT node_id, bool_or(NOT is_saving) AS is_engaged, bool_or(is_saving) AS is_proposed,
        bool_or(kind IN ('decommission', 'maintenance') AND NOT is_saving) AS is_leaving
    FROM (
        SELECT node_id, kind, status = 'proposed' AND evidence ? :saving_id AS is_saving FROM fleet.node_actions
        WHERE status IN ('proposed', 'planned', 'running')
          AND kind IN ('decommission', 'maintenance', 'resize', 'reinstall', 'recover', 'release')
    ) AS open
    GROUP BY node_id
), resized AS (
    SELECT node_id, max(finished_at) AS at FROM fleet.node_actions
    WHERE kind = 'resize' AND evidence ? 'is_changing_plan' GROUP BY node_id
), listed AS (
    SELECT ip_address, min(listed_at) AS since FROM fleet.ip_blacklist_events
    WHERE delisted_at IS NULL AND severity = 'critical' GROUP BY ip_address
), good AS (
    SELECT node_id, max(changed_at) AS at FROM fleet.reputation_steps WHERE score >= :burnt_score GROUP BY node_id
), low AS (
    SELECT step.node_id, min(step.changed_at) AS since
    FROM fleet.reputation_steps AS step LEFT JOIN good USING (node_id)
    WHERE step.score < :burnt_score AND step.changed_at > coalesce(good.at, '-infinity') GROUP BY step.node_id
)
SELECT node.id AS node_id, node.label, node.region, node.plan, node.status, node.reputation_score AS reputation,
    node.created_at, coalesce(life.status_since, node.created_at) AS status_since, life.serving_since, life.held_since,
    resized.at AS resized_at, warmup.daily, coalesce(instance.extra_addresses, 0) AS extra_addresses,
    node.provider_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM fleet.instance_drift AS drift
        WHERE drift.node_id = node.id AND drift.kind = 'ghost' AND drift.resolved_at IS NULL) AS is_billed,
    coalesce(work.is_engaged, false) AS is_engaged, coalesce(work.is_leaving, false) AS is_leaving,
    coalesce(work.is_proposed, false) AS is_proposed,
    coalesce(pulse.received_at >= :day_ago, false) AS is_speaking, coalesce(mail.idle, 0)::bigint AS idle_ended,
    coalesce(mail.peak, 0) AS peak_hour, coalesce(mail.peak_last_day, 0) AS peak_hour_last_day,
    busy.cpu_percent, busy.memory_percent, listed.since AS critical_since, low.since AS low_score_since
FROM fleet.sending_nodes AS node
LEFT JOIN life ON life.node_id = node.id
LEFT JOIN mail ON mail.node_id = node.id
LEFT JOIN busy ON busy.node_id = node.id
LEFT JOIN work ON work.node_id = node.id
LEFT JOIN resized ON resized.node_id = node.id
LEFT JOIN listed ON listed.ip_address = node.ip_address
LEFT JOIN low ON low.node_id = node.id
LEFT JOIN fleet.node_pulses AS pulse ON pulse.node_id = node.id
LEFT JOIN fleet.node_warmups AS warmup ON warmup.node_id = node.id AND node.status = 'warming'
LEFT JOIN fleet.provider_instances AS instance ON instance.provider_id = node.provider_id
WHERE node.status <> 'decommissioned'
ORDER BY node.label
""")

_ORPHANS = text("""
SELECT drift.provider_id, listed.label, listed.region, listed.plan, listed.extra_addresses,
    drift.first_seen_at AS since
FROM fleet.instance_drift AS drift JOIN fleet.provider_instances AS listed ON listed.provider_id = drift.provider_id
WHERE drift.kind = 'orphan' AND drift.resolved_at IS NULL
ORDER BY drift.provider_id
""")


def read_nodes(connection: Connection, limits: SavingLimits, now: datetime) -> tuple[FleetNode, ...]:
    """All nodes that are not decommissioned, by label."""
    rows = connection.execute(
        _NODES,
        {
            "observed_at": now - OBSERVED,
            "idle_at": now - timedelta(days=limits.idle_days),
            "day_ago": now - _DAY,
            "burnt_score": limits.burnt_score,
            "saving_id": SAVING_ID,
        },
    )
    return tuple(FleetNode(**dict(row._mapping) | {"status": NodeStatus(row.status)}) for row in rows)


def read_orphans(connection: Connection) -> tuple[Orphan, ...]:
    """Instances of ours that the last inventory saw and no node holds."""
    return tuple(Orphan(**row._mapping) for row in connection.execute(_ORPHANS))


def read_rates(connection: Connection) -> dict[str, PlanRates]:
    """What each plan cost when it was last on offer."""
    return {row.plan: PlanRates(row.monthly_usd, row.hourly_usd) for row in newest_prices(connection)}

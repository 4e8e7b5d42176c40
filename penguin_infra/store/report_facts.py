"""What the daily report tells of the fleet itself: nodes, alerts, warm-ups, demand, and what was done and why.

As it was at a moment of the past as well, where the database still knows it. Costs are `report_costs.py`'s, mail and
addresses `report_mail.py`'s; how it is said, `analytics/`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, func, select, text

from penguin_infra.domain.warmup_alerts import RULE as STUCK_RULE
from penguin_infra.store.tables import sending_rotation

# Of a kind; the sums count all.
ACTIONS_TOLD = 8

_NODES_NOW = text("SELECT status, count(*) AS nodes FROM fleet.sending_nodes GROUP BY status")

_NODES_THEN = text("""
SELECT to_status AS status, count(*) AS nodes
FROM (
    SELECT DISTINCT ON (node_id) node_id, to_status FROM fleet.node_transitions
    WHERE happened_at < :at ORDER BY node_id, happened_at DESC, id DESC
) AS last
GROUP BY to_status
""")

_ALERTS = text("""
SELECT severity, rule, subject, summary, opened_at FROM fleet.alerts
WHERE opened_at < :at AND (resolved_at IS NULL OR resolved_at >= :at)
ORDER BY array_position(ARRAY['high', 'medium', 'low'], severity::text), opened_at DESC, subject
""")

_CAPACITY = text("""
SELECT max(measured_at) AS measured_at, coalesce(sum(capacity_per_day) FILTER (WHERE is_in_rotation), 0)::bigint
    AS capacity_per_day,
    coalesce(sum(queue_depth), 0)::bigint AS queue_depth
FROM fleet.capacity_utilisation
""")

_DEMAND = text("""
SELECT (hour_at AT TIME ZONE 'UTC')::date AS day, sum(ended)::bigint AS ended, sum(refused)::bigint AS refused
FROM fleet.demand_hours WHERE hour_at >= :since AND hour_at < :at GROUP BY 1 ORDER BY 1
""")

_COHORTS = text("""
SELECT (progress.begun_at AT TIME ZONE 'UTC')::date AS begun_on, count(*) AS nodes,
    min(progress.stage) AS lowest_stage, max(progress.stage) AS highest_stage, max(progress.stages) AS stages,
    sum(progress.daily)::bigint AS daily, sum(progress.planned_daily)::bigint AS planned_daily,
    sum(progress.full_daily)::bigint AS full_daily, sum(progress.delivered_last_day)::bigint AS delivered_last_day,
    count(stuck.node_id) AS stuck, max(progress.expected_full_at) AS expected_full_at
FROM fleet.warmup_progress AS progress
LEFT JOIN fleet.alerts AS stuck
    ON stuck.node_id = progress.node_id AND stuck.rule = :stuck_rule AND stuck.resolved_at IS NULL
GROUP BY 1 ORDER BY 1
""")

_STUCK = text("""
SELECT node.label, progress.stage, progress.stages, progress.daily, progress.planned_daily, progress.reasons
FROM fleet.alerts AS stuck
JOIN fleet.warmup_progress AS progress ON progress.node_id = stuck.node_id
JOIN fleet.sending_nodes AS node ON node.id = stuck.node_id
WHERE stuck.rule = :stuck_rule AND stuck.resolved_at IS NULL
ORDER BY progress.daily::float8 / greatest(progress.planned_daily, 1), node.label
""")

_ACTION_SUMS = text("""
SELECT kind, status, count(*) AS actions FROM fleet.node_actions
WHERE status <> 'refused' AND (planned_at >= :begin AND planned_at < :at OR finished_at >= :begin AND finished_at < :at)
GROUP BY kind, status ORDER BY kind, status
""")

# Of each kind what went wrong first, then the newest.
_ACTIONS = text("""
SELECT id AS action_id, kind, label, status, requested_by, reason, outcome, at
FROM (
    SELECT action.id, action.kind, node.label, action.status, action.requested_by, action.reason, action.outcome,
        coalesce(action.finished_at, action.started_at, action.planned_at) AS at,
        row_number() OVER (PARTITION BY action.kind ORDER BY action.status <> 'failed', action.status <> 'rejected',
            coalesce(action.finished_at, action.started_at, action.planned_at) DESC, action.id) AS place
    FROM fleet.node_actions AS action JOIN fleet.sending_nodes AS node ON node.id = action.node_id
    WHERE action.status <> 'refused'
      AND (action.planned_at >= :begin AND action.planned_at < :at
        OR action.finished_at >= :begin AND action.finished_at < :at)
) AS placed
WHERE place <= :told ORDER BY kind, place
""")

_REFUSALS = text("""
SELECT action.kind, action.refusal_rule AS rule, count(*) AS refused, count(DISTINCT action.node_id) AS nodes,
    (array_agg(action.outcome ORDER BY action.finished_at DESC))[1] AS last_explanation,
    max(action.finished_at) AS last_at
FROM fleet.node_actions AS action
WHERE action.status = 'refused' AND action.planned_at < :at AND action.finished_at >= :begin
GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2
""")

_PROPOSALS = text("""
SELECT action.id AS action_id, action.kind, node.label, action.status, action.requested_by, action.reason,
    action.outcome, action.planned_at AS at
FROM fleet.node_actions AS action JOIN fleet.sending_nodes AS node ON node.id = action.node_id
WHERE action.status = 'proposed' ORDER BY action.planned_at, action.id
""")


@dataclass(frozen=True, slots=True)
class AlertFact:
    """An alert that was open."""

    severity: str
    rule: str
    subject: str
    summary: str
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class CapacityFact:
    """What the nodes in the rotation can send a day, and what ended and waited, as last measured."""

    measured_at: datetime | None
    capacity_per_day: int
    queue_depth: int


@dataclass(frozen=True, slots=True)
class DemandDay:
    """A day's deliveries that came to an end, and messages that were turned away for want of allowance."""

    day: date
    ended: int
    refused: int

    @property
    def demand(self) -> int:
        """Messages that the fleet was asked to send."""
        return self.ended + self.refused


@dataclass(frozen=True, slots=True)
class WarmupCohort:
    """The nodes whose warm-up began on one day. Messages a day, summed over them."""

    begun_on: date
    nodes: int
    lowest_stage: int
    highest_stage: int
    stages: int
    daily: int
    planned_daily: int
    full_daily: int
    delivered_last_day: int
    stuck: int
    expected_full_at: datetime


@dataclass(frozen=True, slots=True)
class StuckWarmup:
    """A node that does not come on, and why."""

    label: str
    stage: int
    stages: int
    daily: int
    planned_daily: int
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class ActionSum:
    """How many actions of a kind ended so, or are open so."""

    kind: str
    status: str
    actions: int


@dataclass(frozen=True, slots=True)
class ActionFact:
    """One action. `at`: when it ended, or else began, or else was planned."""

    action_id: UUID
    kind: str
    label: str
    status: str
    requested_by: str
    reason: str
    outcome: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class RefusalSum:
    """What a rule refused."""

    kind: str
    rule: str
    refused: int
    nodes: int
    last_explanation: str | None
    last_at: datetime


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """The fleet on a day. What is None or empty by its nature on a past day (`*_now`) nobody wrote down."""

    nodes_by_status: Mapping[str, int]
    alerts: tuple[AlertFact, ...]
    demand: tuple[DemandDay, ...]
    action_sums: tuple[ActionSum, ...]
    actions: tuple[ActionFact, ...]
    refusals: tuple[RefusalSum, ...]
    in_rotation_now: int | None = None
    capacity_now: CapacityFact | None = None
    cohorts_now: tuple[WarmupCohort, ...] = ()
    stuck_now: tuple[StuckWarmup, ...] = ()
    proposals_now: tuple[ActionFact, ...] = ()


def read_fleet_facts(connection: Connection, *, begin: datetime, at: datetime, days: int, is_now: bool) -> FleetFacts:
    """The fleet at `at`, which is now or the end of the day that began at `begin`; demand of so many days before."""
    span = {"begin": begin, "at": at}
    nodes = connection.execute(_NODES_NOW if is_now else _NODES_THEN, {} if is_now else {"at": at})
    demand = connection.execute(_DEMAND, {"since": begin - timedelta(days=days - 1), "at": at})
    actions = connection.execute(_ACTIONS, span | {"told": ACTIONS_TOLD})
    past = FleetFacts(
        nodes_by_status={row.status: row.nodes for row in nodes},
        alerts=tuple(AlertFact(*row) for row in connection.execute(_ALERTS, {"at": at})),
        demand=tuple(DemandDay(*row) for row in demand),
        action_sums=tuple(ActionSum(*row) for row in connection.execute(_ACTION_SUMS, span)),
        actions=tuple(ActionFact(*row) for row in actions),
        refusals=tuple(RefusalSum(*row) for row in connection.execute(_REFUSALS, span)),
    )
    return _with_present(connection, past) if is_now else past


def _with_present(connection: Connection, facts: FleetFacts) -> FleetFacts:
    stuck = {"stuck_rule": STUCK_RULE}
    return replace(
        facts,
        in_rotation_now=connection.scalar(select(func.count()).select_from(sending_rotation)),
        capacity_now=CapacityFact(*connection.execute(_CAPACITY).one()),
        cohorts_now=tuple(WarmupCohort(*row) for row in connection.execute(_COHORTS, stuck)),
        stuck_now=tuple(StuckWarmup(*row) for row in connection.execute(_STUCK, stuck)),
        proposals_now=tuple(ActionFact(*row) for row in connection.execute(_PROPOSALS)),
    )

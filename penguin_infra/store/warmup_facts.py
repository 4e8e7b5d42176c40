"""What each node's next step of warm-up is decided by, added up from hours of deliveries and from complaints.

What the facts lead to is `domain/warmup.py`'s; where each node stands, `warmups.py`'s.
"""

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, text

from penguin_infra.domain.delivery import DeliveryFacts, total_of
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.domain.warmup_state import Measured, WarmupEvidence, WarmupState
from penguin_infra.store.delivery import NO_COMPLAINTS
from penguin_infra.store.tables import AnyRow
from penguin_infra.store.warmups import state_of

_HOUR = timedelta(hours=1)

# Nodes that were warmed up are asked for their silence and their pauses alone: their rates are not the warm-up's.
_SUBJECTS = text("""
SELECT node.id AS node_id, node.label, node.plan, node.status, warmup.curve, warmup.daily, warmup.since_at,
    warmup.stepped_back_at, warmup.steps_back, warmup.providers, warmup.begun_at,
    last.sent_at AS last_sent_at, back.returned_at
FROM fleet.sending_nodes AS node
JOIN fleet.node_warmups AS warmup ON warmup.node_id = node.id
LEFT JOIN LATERAL (
    SELECT least(hours.hour_at + interval '1 hour', :now) AS sent_at FROM fleet.delivery_hours AS hours
    WHERE hours.node_id = node.id AND hours.sent > 0 AND hours.hour_at <= :now
    ORDER BY hours.hour_at DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT max(happened_at) AS returned_at FROM fleet.node_transitions AS transition
    WHERE transition.node_id = node.id AND from_status IN ('paused', 'maintenance')
      AND to_status IN ('warming', 'active')
) AS back ON true
WHERE (node.status IN ('warming', 'active')
    OR node.status IN ('paused', 'maintenance') AND warmup.finished_at IS NULL)
  AND (CAST(:node_ids AS uuid[]) IS NULL OR node.id = ANY (:node_ids))
ORDER BY node.label
""")

# A lateral each, so that every node's hours are read along the primary key, however many others the table holds. What
# is of the stage and what of a held provider's own step is told apart by groups, and added up once. Sums are of float8,
# exact to 2^53: of bigint they would be numeric, which takes longer. The sums stand in the order of `DeliveryFacts`.
_COUNTS = text("""
SELECT node.id AS node_id, counted.mailbox_provider, counted.provider_at,
    at >= total_at AS is_of_stage, at >= provider_at AS is_of_provider,
    coalesce(sum(sent::float8) FILTER (WHERE at >= :day_ago), 0)::bigint AS last_day,
    sum(sent::float8)::bigint AS sent,
    sum(hard_bounces::float8)::bigint AS hard_bounces,
    sum(soft_bounces::float8)::bigint AS soft_bounces,
    sum(policy_rejections::float8)::bigint AS policy_rejections,
    sum(expired::float8)::bigint AS expired,
    sum(deferrals::float8)::bigint AS deferrals,
    sum(complaints::float8)::bigint AS complaints
FROM fleet.sending_nodes AS node
JOIN fleet.node_warmups AS warmup ON warmup.node_id = node.id
CROSS JOIN LATERAL (
    SELECT date_bin('1 hour', warmup.since_at + interval '1 hour' - interval '1 microsecond', '2000-01-01 00:00+00')
        AS total_at
    OFFSET 0 -- reckoned once a node, and not for each of its hours
) AS stage
CROSS JOIN LATERAL (
    SELECT coalesce(min(least(total_at, (value ->> 'since_at')::timestamptz)), total_at) AS earliest_at
    FROM jsonb_each(warmup.providers)
) AS span
CROSS JOIN LATERAL (
    SELECT each.*, CASE WHEN warmup.providers = '{}' THEN total_at ELSE coalesce(date_bin(
            '1 hour',
            (warmup.providers -> each.mailbox_provider ->> 'since_at')::timestamptz
                + interval '1 hour' - interval '1 microsecond',
            '2000-01-01 00:00+00'), total_at) END AS provider_at
    FROM (
        SELECT hours.hour_at AS at, hours.mailbox_provider, sent, hard_bounces, soft_bounces, policy_rejections,
            expired, deferrals, 0 AS complaints
        FROM fleet.delivery_hours AS hours
        WHERE hours.node_id = node.id AND hours.hour_at >= earliest_at AND hours.hour_at <= :now
        UNION ALL
        SELECT arrived_at, complaint.mailbox_provider, 0, 0, 0, 0, 0, 0, incidents
        FROM fleet.complaints AS complaint
        WHERE complaint.node_id = node.id AND arrived_at >= earliest_at AND arrived_at <= :now
          AND feedback_type <> ALL (:no_complaints)
    ) AS each
) AS counted
WHERE node.status IN ('warming', 'paused', 'maintenance') AND warmup.finished_at IS NULL
  AND (CAST(:node_ids AS uuid[]) IS NULL OR node.id = ANY (:node_ids))
GROUP BY node.id, counted.mailbox_provider, counted.provider_at, is_of_stage, is_of_provider
ORDER BY node.id
""")


@dataclass(frozen=True, slots=True)
class WarmupSubject:
    """A node whose warm-up is judged: its plan's name, where it stands, and the evidence of its stage."""

    node_id: UUID
    label: str
    plan: str
    status: NodeStatus
    state: WarmupState
    begun_at: datetime
    evidence: WarmupEvidence


def read_subjects(
    connection: Connection, now: datetime, node_ids: Collection[UUID] | None = None
) -> list[WarmupSubject]:
    """All nodes that have a warm-up, or those given: warming, held in their warm-up, or warmed up and in service.

    Two statements for the whole fleet. Facts count from the first full hour on; warmed-up nodes have none.
    """
    given = {"now": now, "node_ids": None if node_ids is None else list(node_ids)}
    rows = connection.execute(_SUBJECTS, given).all()
    counts = connection.execute(
        _COUNTS, given | {"day_ago": now - timedelta(days=1), "no_complaints": list(NO_COMPLAINTS)}
    )
    by_node = {node_id: list(found) for node_id, found in groupby(counts, key=lambda row: row.node_id)}
    return [_subject(row, by_node.get(row.node_id, [])) for row in rows]


def full_hour_from(at: datetime) -> datetime:
    """The first full hour (UTC) at or after that moment."""
    hour_at = at.replace(minute=0, second=0, microsecond=0)
    return hour_at if hour_at == at else hour_at + _HOUR


def _subject(row: AnyRow, counts: list[AnyRow]) -> WarmupSubject:
    state = state_of(row)
    of_stage: list[DeliveryFacts] = []
    by_provider: dict[str, list[DeliveryFacts]] = defaultdict(list)
    since: dict[str, datetime] = {}
    last_day: Counter[str] = Counter()
    # By position: there are five of these for every warming node, each minute.
    for _, provider, provider_at, is_of_stage, is_of_provider, day, *sums in counts:
        facts = DeliveryFacts(*sums)
        if is_of_provider:
            by_provider[provider].append(facts)
            since[provider] = provider_at
        if is_of_stage:
            of_stage.append(facts)
            last_day[provider] += day
    return WarmupSubject(
        node_id=row.node_id,
        label=row.label,
        plan=row.plan,
        status=NodeStatus(row.status),
        state=state,
        begun_at=row.begun_at,
        evidence=WarmupEvidence(
            total=Measured(full_hour_from(state.since_at), total_of(of_stage)),
            by_provider={name: Measured(since[name], total_of(facts)) for name, facts in by_provider.items()},
            delivered_last_day={name: day for name, day in last_day.items() if day},
            last_sent_at=row.last_sent_at,
            returned_at=row.returned_at,
            is_held=row.status not in SENDING_STATUSES,
        ),
    )

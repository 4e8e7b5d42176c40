"""Scores' memory: what a node's reputation is judged by now, the scores as they stand, and every change of them.

What the facts are worth is `domain/reputation_evidence.py`'s; what they were by day, `reputation_facts.py`'s.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from sqlalchemy import Connection, func, select, text

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.reputation_evidence import PROVEN_AFTER_DAYS, Component, ListingFact
from penguin_infra.domain.reputation_score import Standing
from penguin_infra.store.analytics_tables import reputation_scores
from penguin_infra.store.copied_rows import replace_rows, table_lock
from penguin_infra.store.tables import AnyRow
from penguin_infra.store.telemetry_tables import delivery_rates

# One statement for the whole fleet. A score belongs to the address: steps of before its tenure count nothing. The last
# columns stand in the order of `DeliveryFacts`.
_SUBJECTS = text("""
SELECT node.id AS node_id, node.label, node.ip_address, node.region, node.status, node.health,
    least(1, CASE WHEN warmup.node_id IS NULL
        THEN extract(epoch FROM CAST(:now AS timestamptz) - coalesce(tenure.began_at, node.created_at))
            / (86400 * :proven_after_days)
        WHEN warmup.finished_at IS NOT NULL THEN 1
        ELSE coalesce((progress.stage - 1)::float8 / nullif(progress.stages, 0), 0) END)::float8 AS proven_share,
    last.score, last.version, last.changed_at, former.components, former.rising_since,
    coalesce(sent, 0), coalesce(hard_bounces, 0), coalesce(soft_bounces, 0), coalesce(policy_rejections, 0),
    coalesce(expired, 0), coalesce(deferrals, 0), coalesce(complaints, 0)
FROM fleet.sending_nodes AS node
LEFT JOIN fleet.ip_tenures AS tenure
    ON tenure.node_id = node.id AND tenure.ended_at IS NULL AND tenure.ip_address = node.ip_address
LEFT JOIN fleet.node_warmups AS warmup ON warmup.node_id = node.id
LEFT JOIN fleet.warmup_progress AS progress ON progress.node_id = node.id
LEFT JOIN fleet.delivery_rates AS rates
    ON rates.node_id = node.id AND rates.span = 'recent' AND rates.mailbox_provider = 'all'
LEFT JOIN analytics.reputation_scores AS former
    ON former.node_id = node.id AND former.ip_address = node.ip_address
LEFT JOIN LATERAL (
    SELECT score, version, changed_at FROM fleet.reputation_steps AS step
    WHERE step.node_id = node.id AND step.changed_at >= coalesce(tenure.began_at, '-infinity')
    ORDER BY changed_at DESC LIMIT 1
) AS last ON true
WHERE node.status IN ('warming', 'active', 'paused', 'maintenance')
ORDER BY node.label
""")

_LISTINGS = text("""
SELECT node.id AS node_id, event.zone, event.severity, event.operator, EXISTS (
    SELECT FROM fleet.blacklist_freezes AS frozen WHERE frozen.zone = event.zone AND frozen.lifted_at IS NULL
) AS is_frozen
FROM fleet.ip_blacklist_events AS event JOIN fleet.sending_nodes AS node ON node.ip_address = event.ip_address
WHERE event.delisted_at IS NULL AND node.status IN ('warming', 'active', 'paused', 'maintenance')
""")

# The same moment again is the same step: its last word counts.
_APPEND_STEPS = text("""
INSERT INTO fleet.reputation_steps (node_id, changed_at, score, version, components)
SELECT * FROM jsonb_to_recordset(CAST(:steps AS jsonb)) AS one (
    node_id uuid, changed_at timestamptz, score smallint, version smallint, components jsonb)
ON CONFLICT (node_id, changed_at) DO UPDATE
SET score = excluded.score, version = excluded.version, components = excluded.components
""")

# Its version and updated_at stay: they are of what the registry decides by. Locked in the order of ids, as health does.
_KEEP = text("""
WITH locked AS (
    SELECT node.id, scored.score FROM fleet.sending_nodes AS node
    JOIN analytics.reputation_scores AS scored ON scored.node_id = node.id
    WHERE node.reputation_score <> scored.score
    ORDER BY node.id FOR NO KEY UPDATE OF node
)
UPDATE fleet.sending_nodes AS node SET reputation_score = locked.score FROM locked WHERE node.id = locked.id
""")

_FACTS_FROM = 12


@dataclass(frozen=True, slots=True)
class ScoreSubject:
    """A node in service or held, and what its reputation is judged by.

    `standing`: its address's former score; None where it had none yet. `version`: the rules' of then. `recent`: its
    mail as last measured.
    """

    node_id: UUID
    label: str
    ip_address: IPv4Address | IPv6Address
    region: str
    status: str
    health: Health
    proven_share: float
    standing: Standing | None
    version: int | None
    changed_at: datetime | None
    former_points: Mapping[str, int]
    listings: tuple[ListingFact, ...]
    recent: DeliveryFacts


@dataclass(frozen=True, slots=True)
class Step:
    """A node's score from `changed_at` on."""

    node_id: UUID
    changed_at: datetime
    score: int
    version: int
    components: Mapping[Component, int]


def scores_lock(connection: Connection) -> None:
    """Hold the scoring to this transaction: two that score at once would each give the same points."""
    table_lock(connection, reputation_scores)


def delivery_measured_at(connection: Connection) -> datetime | None:
    """When the fleet's delivery was last measured; None: there is nothing measured."""
    measured_at: datetime | None = connection.scalar(select(func.max(delivery_rates.c.measured_at)))
    return measured_at


def read_subjects(connection: Connection, now: datetime) -> list[ScoreSubject]:
    """Every node that holds an address, by label."""
    listings: dict[UUID, list[ListingFact]] = defaultdict(list)
    for row in connection.execute(_LISTINGS):
        listings[row.node_id].append(
            ListingFact(row.zone, Severity(row.severity), row.operator, is_believed=not row.is_frozen)
        )
    rows = connection.execute(_SUBJECTS, {"now": now, "proven_after_days": PROVEN_AFTER_DAYS})
    return [_subject(row, tuple(listings.get(row.node_id, ()))) for row in rows]


def save_scores(connection: Connection, rows: Sequence[tuple[object, ...]], steps: Sequence[Step]) -> None:
    """Put these scores, in the order of the table's columns, in place of the last ones, and keep what changed.

    Nodes that are gone keep the score that they had.
    """
    replace_rows(connection, reputation_scores, rows)
    if steps:
        connection.execute(_APPEND_STEPS, {"steps": json.dumps([_step_row(step) for step in steps])})
    connection.execute(_KEEP)


def next_step_at(subject: ScoreSubject, now: datetime) -> datetime:
    """A moment after the last step: a clock that was set back must not put a score before an older one."""
    return now if subject.changed_at is None else max(now, subject.changed_at + timedelta(microseconds=1))


def _subject(row: AnyRow, listings: tuple[ListingFact, ...]) -> ScoreSubject:
    return ScoreSubject(
        node_id=row.node_id,
        label=row.label,
        ip_address=row.ip_address,
        region=row.region,
        status=row.status,
        health=Health(row.health),
        proven_share=row.proven_share,
        standing=None if row.score is None else Standing(row.score, row.rising_since),
        version=row.version,
        changed_at=row.changed_at,
        former_points=row.components or {},
        listings=listings,
        recent=DeliveryFacts(*row[_FACTS_FROM:]),
    )


def _step_row(step: Step) -> dict[str, object]:
    return {
        "node_id": str(step.node_id),
        "changed_at": step.changed_at.isoformat(),
        "score": step.score,
        "version": step.version,
        "components": dict(step.components),
    }

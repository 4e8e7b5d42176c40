"""Delivery's memory: what the counts of a fleet add up to, and the rates that were measured of them last.

What a rate means is `domain/delivery.py`'s; what is done about one, the policies'. Counts are written by the gateway.
"""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection, exists, func, select, text

from penguin_infra.domain.delivery import DeliveryFacts, NodeDelivery, Span, total_of
from penguin_infra.domain.delivery_limits import FRESH_FOR
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.domain.policies import pause_bouncing
from penguin_infra.domain.reputation import Rate
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra.store.tables import AnyRow, node_transitions, sending_nodes
from penguin_infra.store.telemetry_tables import complaints, delivery_counts, delivery_rates

ALL_PROVIDERS = "all"

# How far back the last messages are looked for. A sender that needs more than a week for them has changed meanwhile,
# its list too; and each day more is a day of counts to read for every small sender, every minute.
LOOK_BACK = timedelta(days=7)

# Reports that are no complaints: RFC 5965 has "not-spam" say the contrary, and RFC 6591's "auth-failure" and "dmarc"
# are about DNS records.
NO_COMPLAINTS = ("not-spam", "auth-failure", "dmarc")

r = delivery_rates.c

# One statement for the whole fleet. `judged`: where each node's evidence begins: what a node that sends again after
# this fleet paused it for its rates did before that pause is not held against it a second time, else it would be paused
# again within the minute. `short`: whose 24 hours hold fewer than :window_messages, and how many are missing. `edge`:
# the bucket before the 24 hours at which enough are found, read along the primary key, for those nodes only. Sums are
# of float8, exact to 2^53: of bigint they would be numeric, which takes a quarter longer.
_MEASURE = text("""
WITH judged AS (
    SELECT node.id AS node_id, node.label, greatest(:look_back_at, pause.at) AS not_before
    FROM fleet.sending_nodes AS node
    LEFT JOIN (
        SELECT node_id, max(happened_at) AS at FROM fleet.node_transitions
        WHERE event = 'paused' AND requested_by = :pauser GROUP BY node_id
    ) AS pause ON pause.node_id = node.id AND node.status IN ('warming', 'active')
    WHERE node.status IN ('warming', 'active', 'paused', 'maintenance')
), day AS MATERIALIZED (
    SELECT node_id, mailbox_provider, result, sum(messages::float8) AS messages,
        sum(messages::float8) FILTER (WHERE bucket_at >= :hour_ago) AS hour_messages
    FROM fleet.delivery_counts JOIN judged USING (node_id)
    WHERE bucket_at >= :day_ago AND bucket_at >= not_before
    GROUP BY node_id, mailbox_provider, result
), short AS (
    SELECT node_id, not_before,
        :window_messages - coalesce(sum(day.messages) FILTER (WHERE result <> 'deferred'), 0) AS missing
    FROM judged LEFT JOIN day USING (node_id)
    GROUP BY node_id, not_before
    HAVING coalesce(sum(day.messages) FILTER (WHERE result <> 'deferred'), 0) < :window_messages
), edge AS MATERIALIZED (
    SELECT node_id, found.since_at
    FROM short CROSS JOIN LATERAL (
        SELECT min(bucket_at) AS since_at
        FROM (
            SELECT bucket_at, sum(sum(messages::float8) FILTER (WHERE result <> 'deferred')) OVER (
                ORDER BY bucket_at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newer
            FROM fleet.delivery_counts
            WHERE node_id = short.node_id AND bucket_at < :day_ago AND bucket_at >= not_before
            GROUP BY bucket_at
        ) AS buckets
        WHERE coalesce(newer, 0) < missing
    ) AS found
    WHERE found.since_at IS NOT NULL
), spans AS (
    SELECT node_id, label, coalesce(edge.since_at, greatest(:day_ago, not_before)) AS recent_at,
        greatest(:hour_ago, not_before) AS hour_at
    FROM judged LEFT JOIN edge USING (node_id)
), counted AS (
    SELECT node_id, 'recent' AS span, mailbox_provider, result, messages FROM day
    UNION ALL
    SELECT node_id, 'hour', mailbox_provider, result, hour_messages FROM day WHERE hour_messages > 0
    UNION ALL
    SELECT older.node_id, 'recent', older.mailbox_provider, older.result, sum(older.messages::float8)
    FROM edge JOIN fleet.delivery_counts AS older
        ON older.node_id = edge.node_id AND older.bucket_at >= edge.since_at AND older.bucket_at < :day_ago
    GROUP BY older.node_id, older.mailbox_provider, older.result
    UNION ALL
    SELECT node_id, span, mailbox_provider, 'complaint', incidents
    FROM fleet.complaints JOIN spans USING (node_id) CROSS JOIN LATERAL (
        VALUES ('recent', recent_at), ('hour', hour_at)) AS each (span, since_at)
    WHERE arrived_at >= each.since_at AND arrived_at >= :look_back_at AND feedback_type <> ALL (:no_complaints)
)
SELECT spans.node_id, spans.label, span,
    CASE span WHEN 'recent' THEN recent_at ELSE hour_at END AS since_at, mailbox_provider,
    coalesce(sum(messages) FILTER (WHERE result = 'sent'), 0)::bigint AS sent,
    coalesce(sum(messages) FILTER (WHERE result = 'hard_bounce'), 0)::bigint AS hard_bounces,
    coalesce(sum(messages) FILTER (WHERE result = 'soft_bounce'), 0)::bigint AS soft_bounces,
    coalesce(sum(messages) FILTER (WHERE result = 'policy_rejection'), 0)::bigint AS policy_rejections,
    coalesce(sum(messages) FILTER (WHERE result = 'expired'), 0)::bigint AS expired,
    coalesce(sum(messages) FILTER (WHERE result = 'deferred'), 0)::bigint AS deferrals,
    coalesce(sum(messages) FILTER (WHERE result = 'complaint'), 0)::bigint AS complaints
FROM counted JOIN spans USING (node_id)
GROUP BY spans.node_id, spans.label, span, recent_at, hour_at, mailbox_provider
ORDER BY spans.node_id, span, mailbox_provider
""")

_COUNTS = tuple(each.name for each in fields(DeliveryFacts))


@dataclass(frozen=True, slots=True)
class Measured:
    """One node's delivery over one span."""

    span: Span
    node: NodeDelivery


def measure(connection: Connection, now: datetime, *, window_messages: int) -> list[Measured]:
    """Add up the whole fleet's counts and complaints; nodes without any are not in it."""
    rows = connection.execute(
        _MEASURE,
        {
            "look_back_at": now - LOOK_BACK,
            "day_ago": now - timedelta(days=1),
            "hour_ago": now - timedelta(hours=1),
            "pauser": pause_bouncing.NAME,
            "window_messages": window_messages,
            "no_complaints": list(NO_COMPLAINTS),
        },
    )
    return [
        Measured(Span(span), _node(list(of_span), now))
        for (_, span), of_span in groupby(rows, key=lambda row: (row.node_id, row.span))
    ]


def replace_rates(connection: Connection, measured: Iterable[Measured]) -> int:
    """Put this measurement in the last one's place; returns the rows. Readers see the one or the other, whole."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('fleet.delivery_rates'))"))
    return replace_rows(connection, delivery_rates, _rate_rows(measured))


def alarming_nodes(
    connection: Connection,
    now: datetime,
    *,
    above_bounce_rate: float,
    above_complaint_rate: float,
    node_id: UUID | None = None,
) -> list[NodeDelivery]:
    """Sending nodes whose fresh recent rates are above either, as points: more than those of which it is proven.

    Rates from before a node's return from a pause are not fresh, however young: they are what it was paused for.
    """
    returned = node_transitions.c
    query = (
        select(delivery_rates, sending_nodes.c.label)
        .join_from(delivery_rates, sending_nodes)
        .where(
            r.span == Span.RECENT,
            r.mailbox_provider == ALL_PROVIDERS,
            r.measured_at >= now - FRESH_FOR,
            (r.bounce_rate > above_bounce_rate) | (r.complaint_rate > above_complaint_rate),
            sending_nodes.c.status.in_(SENDING_STATUSES),
            ~exists().where(
                returned.node_id == r.node_id,
                returned.from_status == NodeStatus.PAUSED,
                returned.happened_at > r.measured_at,
            ),
        )
        .order_by(r.bounce_lower.desc(), r.node_id)
    )
    if node_id is not None:
        query = query.where(r.node_id == node_id)
    return [
        NodeDelivery(row.node_id, row.label, row.since_at, row.measured_at, _facts(row))
        for row in connection.execute(query)
    ]


def sending_count(connection: Connection) -> int:
    """How many nodes are in a status in which they may send."""
    query = select(func.count()).select_from(sending_nodes).where(sending_nodes.c.status.in_(SENDING_STATUSES))
    return connection.scalar(query) or 0


def was_reported_since(connection: Connection, at: datetime) -> bool:
    """Whether any node reported a delivery that ended after that moment."""
    return bool(connection.scalar(select(exists().where(delivery_counts.c.bucket_at >= at))))


def complaints_by_attribution(connection: Connection, since: datetime) -> dict[str, int]:
    """How many reports came in since, by whether and why not they could be laid to a node."""
    c = complaints.c
    rows = connection.execute(
        select(c.attribution, func.count().label("reports"))
        .where(c.received_at >= since)
        .group_by(c.attribution)
        .order_by(c.attribution)
    )
    return {row.attribution: row.reports for row in rows}


def _node(rows: list[AnyRow], now: datetime) -> NodeDelivery:
    by_provider = {row.mailbox_provider: _facts(row) for row in rows}
    first = rows[0]
    return NodeDelivery(first.node_id, first.label, first.since_at, now, total_of(by_provider.values()), by_provider)


def _facts(row: AnyRow) -> DeliveryFacts:
    return DeliveryFacts(**{name: getattr(row, name) for name in _COUNTS})


def _rate_rows(measured: Iterable[Measured]) -> Iterator[tuple[object, ...]]:
    for each in measured:
        node = each.node
        for provider, facts in ((ALL_PROVIDERS, node.total), *node.by_provider.items()):
            yield (
                node.node_id, each.span.value, provider, node.since_at, node.measured_at,
                *astuple(facts), facts.attempted,
                *_bounds(facts.bounce_rate), *_bounds(facts.complaint_rate), *_bounds(facts.policy_rejection_rate),
            )  # fmt: skip


def _bounds(rate: Rate) -> tuple[float | None, float, float]:
    return (rate.point if rate.attempted else None), rate.lower, rate.upper

"""What each blacklist listing cost in mail not sent: every event there ever was, beside the mail before and during it.

A node that is paused for a listing sends nothing, one that is listed mildly less: what is missing is the listing's.
"""

from datetime import datetime

from sqlalchemy import Connection, text

# By the node that held the address then. Its usual rate is that of the seven days before, or of as much of them as it
# held the address; hours that a listing shares count by their part of it. The columns stand in the table's order.
_IMPACTS = text("""
WITH held AS (
    SELECT event.id, event.blacklist_provider, event.zone, event.severity, event.ip_address,
        coalesce(tenure.node_id, event.node_id) AS node_id, event.listed_at, event.delisted_at,
        least(coalesce(event.delisted_at, :now), :now) AS until_at,
        least(coalesce(event.delisted_at, :now), coalesce(tenure.ended_at, :now), :now) AS held_until_at,
        date_trunc('hour', event.listed_at, 'UTC') AS hour_at, tenure.began_at
    FROM fleet.ip_blacklist_events AS event
    LEFT JOIN fleet.ip_tenures AS tenure
        ON tenure.ip_address = event.ip_address AND tenure.began_at <= event.listed_at
        AND (tenure.ended_at IS NULL OR tenure.ended_at > event.listed_at)
), usual AS (
    SELECT held.*, greatest(hour_at - interval '168 hours', date_trunc('hour', began_at, 'UTC')) AS before_at
    FROM held
)
SELECT usual.id, blacklist_provider, zone, severity, usual.ip_address, node_id, node.label, listed_at, delisted_at,
    (greatest(extract(epoch FROM until_at - listed_at), 0) / 3600)::float8 AS listed_hours,
    expected.messages, round(during.messages)::bigint,
    greatest(expected.messages - round(during.messages), 0)::bigint
FROM usual
LEFT JOIN fleet.sending_nodes AS node ON node.id = node_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(sent::float8), 0) AS messages FROM fleet.delivery_hours AS hours
    WHERE hours.node_id = usual.node_id AND hours.hour_at >= before_at AND hours.hour_at < usual.hour_at
) AS before
CROSS JOIN LATERAL (
    SELECT coalesce(sum(sent * extract(epoch FROM
        least(hours.hour_at + interval '1 hour', held_until_at) - greatest(hours.hour_at, listed_at))::float8 / 3600
    ), 0) AS messages
    FROM fleet.delivery_hours AS hours
    WHERE hours.node_id = usual.node_id AND hours.hour_at >= usual.hour_at AND hours.hour_at < held_until_at
) AS during
CROSS JOIN LATERAL (
    SELECT coalesce(round(before.messages / nullif(extract(epoch FROM hour_at - before_at)::float8, 0)
        * greatest(extract(epoch FROM held_until_at - listed_at)::float8, 0)), 0)::bigint AS messages
) AS expected
ORDER BY listed_at, usual.id
""")


def read_impacts(connection: Connection, now: datetime) -> list[tuple[object, ...]]:
    """The rows of `analytics.listing_impacts`, in the order of its columns; listings that stand, until `now`."""
    return [tuple(row) for row in connection.execute(_IMPACTS, {"now": now})]

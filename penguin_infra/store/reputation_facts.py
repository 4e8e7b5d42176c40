"""What became of each address, day by day and tenure by tenure: scores, listings, mail and complaints, in sums.

An hour of mail belongs to the tenure that held the node at the hour's beginning, else to the first that began within
it: hours are not divided. What the sums come to, `operations/sum_up_reputation.py` says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import IPv4Address
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.policies.pause_listed import PAUSING_SEVERITIES
from penguin_infra.store.delivery import NO_COMPLAINTS
from penguin_infra.store.tables import AnyRow

# A node's tenures with the hours of mail that are theirs: [first_hour_at, end_hour_at), no hour twice.
_TENURES = """
WITH whole AS (
    SELECT *, CASE WHEN ended_at IS NULL THEN 'infinity'
        ELSE date_trunc('hour', ended_at + interval '1 hour' - interval '1 microsecond', 'UTC') END AS end_hour_at
    FROM fleet.ip_tenures WHERE ended_at IS NULL OR ended_at > began_at
), tenures AS MATERIALIZED (
    SELECT id AS tenure_id, node_id, ip_address, began_at, coalesce(ended_at, 'infinity') AS ended_at, end_hour_at,
        greatest(date_trunc('hour', began_at, 'UTC'), max(end_hour_at) OVER (
            PARTITION BY node_id ORDER BY began_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ) AS first_hour_at
    FROM whole
)
"""

# Days by hours, not by days: the session's time zone may have days of 23. A score belongs to its tenure: steps of
# before it count nothing. Grave listings that overlap are one time under a listing.
_TENURE_DAYS = text(f"""
{_TENURES}, days AS MATERIALIZED (
    SELECT (day_at AT TIME ZONE 'UTC')::date AS day, tenures.*, greatest(began_at, day_at) AS since_at,
        least(ended_at, day_at + interval '24 hours', :now) AS until_at
    FROM generate_series(CAST(:first_at AS timestamptz), :end_at - interval '24 hours', interval '24 hours') AS day_at
    JOIN tenures ON began_at < day_at + interval '24 hours' AND ended_at > day_at
    WHERE greatest(began_at, day_at) < :now
), listed AS (
    SELECT day, tenure_id, count(*) AS listings_open,
        min(array_position(CAST(:severities AS text[]), severity::text)) AS gravest,
        range_agg(tstzrange(greatest(listed_at, since_at), least(coalesce(delisted_at, 'infinity'), until_at)))
            FILTER (WHERE severity = ANY (:grave)) AS grave
    FROM days JOIN fleet.ip_blacklist_events AS event
        ON event.ip_address = days.ip_address AND listed_at < until_at
        AND coalesce(delisted_at, 'infinity') > since_at
    GROUP BY day, tenure_id
)
SELECT days.day, days.tenure_id, days.node_id, node.label, days.ip_address, node.region,
    last.score AS score_last, lowest.score AS score_lowest, coalesce(listed.listings_open, 0) AS listings_open,
    (CAST(:severities AS text[]))[listed.gravest] AS worst_severity,
    coalesce((SELECT sum(extract(epoch FROM upper(each) - lower(each))) FROM unnest(listed.grave) AS each) / 3600, 0
    )::float8 AS listed_hours
FROM days
JOIN fleet.sending_nodes AS node ON node.id = days.node_id
LEFT JOIN listed ON listed.day = days.day AND listed.tenure_id = days.tenure_id
LEFT JOIN LATERAL (
    SELECT score FROM fleet.reputation_steps AS step
    WHERE step.node_id = days.node_id AND changed_at >= days.began_at AND changed_at < until_at
    ORDER BY changed_at DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT min(score) AS score FROM fleet.reputation_steps AS step
    WHERE step.node_id = days.node_id AND changed_at < until_at AND changed_at >= coalesce((
        SELECT max(changed_at) FROM fleet.reputation_steps AS before
        WHERE before.node_id = days.node_id AND changed_at >= days.began_at AND changed_at <= since_at), since_at)
) AS lowest ON last.score IS NOT NULL
ORDER BY days.day, days.tenure_id
""")  # noqa: S608 - made of constants

_COUNTS = ("sent", "hard_bounces", "soft_bounces", "policy_rejections", "expired", "deferrals")
# Sums of float8, exact to 2^53: of bigint they would be numeric, which takes longer.
_SUMS = ", ".join(f"sum(hours.{name}::float8)::bigint AS {name}" for name in _COUNTS)
_OWNED = "tenures.node_id = hours.node_id AND hours.hour_at >= first_hour_at AND hours.hour_at < end_hour_at"
_IN_RANGE = "hours.hour_at >= :first_at AND hours.hour_at < :end_at"
_DAY = "(hours.hour_at AT TIME ZONE 'UTC')::date"

_MAIL = text(f"""
{_TENURES}
SELECT {_DAY} AS day, tenure_id, {_SUMS}
FROM fleet.delivery_hours AS hours JOIN tenures ON {_OWNED}
WHERE {_IN_RANGE}
GROUP BY 1, 2
""")  # noqa: S608 - made of constants

_MAIL_BY_PROVIDER = text(f"""
{_TENURES}, mail AS (
    SELECT {_DAY} AS day, tenure_id, mailbox_provider, {_SUMS}
    FROM fleet.delivery_hours AS hours JOIN tenures ON {_OWNED}
    WHERE {_IN_RANGE}
    GROUP BY 1, 2, 3
)
SELECT day, tenure_id, mailbox_provider, tenures.node_id, node.label, tenures.ip_address, {", ".join(_COUNTS)}
FROM mail JOIN tenures USING (tenure_id) JOIN fleet.sending_nodes AS node ON node.id = tenures.node_id
ORDER BY day, tenure_id, mailbox_provider
""")  # noqa: S608 - made of constants

_UNATTRIBUTED = text(f"""
{_TENURES}
SELECT {_DAY} AS day, node.label, min(hours.hour_at) AS first_hour_at, max(hours.hour_at) AS last_hour_at,
    sum(hours.sent)::bigint AS sent,
    sum(sent + hard_bounces + soft_bounces + policy_rejections + expired + deferrals)::bigint AS messages
FROM fleet.delivery_hours AS hours JOIN fleet.sending_nodes AS node ON node.id = hours.node_id
LEFT JOIN tenures ON {_OWNED}
WHERE {_IN_RANGE} AND tenure_id IS NULL
GROUP BY 1, 2
ORDER BY messages DESC, 1, 2
""")  # noqa: S608 - made of constants

_SENT = text(f"""
SELECT coalesce(sum(hours.sent::float8), 0)::bigint FROM fleet.delivery_hours AS hours WHERE {_IN_RANGE}
""")  # noqa: S608 - made of constants

_COMPLAINTS = text("""
SELECT (arrived_at AT TIME ZONE 'UTC')::date AS day, tenure.id AS tenure_id, sum(incidents)::bigint AS complaints
FROM fleet.complaints AS complaint JOIN fleet.ip_tenures AS tenure
    ON tenure.node_id = complaint.node_id AND arrived_at >= began_at AND (ended_at IS NULL OR arrived_at < ended_at)
WHERE arrived_at >= :first_at AND arrived_at < :end_at AND feedback_type <> ALL (:no_complaints)
GROUP BY 1, 2
""")


@dataclass(frozen=True, slots=True)
class Days:
    """The days from the first to the last, in UTC."""

    first: date
    last: date

    @property
    def bounds(self) -> dict[str, datetime]:
        """As the statements take them: from the first one's beginning to the last one's end."""
        return {
            "first_at": datetime.combine(self.first, time(), UTC),
            "end_at": datetime.combine(self.last + timedelta(days=1), time(), UTC),
        }


@dataclass(frozen=True, slots=True)
class TenureDay:
    """The part of a day in which a node held an address: its scores and listings then."""

    day: date
    tenure_id: UUID
    node_id: UUID
    label: str
    ip_address: IPv4Address
    region: str
    score_last: int | None
    score_lowest: int | None
    listings_open: int
    worst_severity: str | None
    listed_hours: float


@dataclass(frozen=True, slots=True)
class ProviderDay:
    """The mail of such a part of a day at one mailbox provider."""

    day: date
    tenure_id: UUID
    mailbox_provider: str
    node_id: UUID
    label: str
    ip_address: IPv4Address
    mail: DeliveryFacts


TenureKey = tuple[date, UUID]


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection whose statements all see the same moment: sums of several can be held against each other."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection


def read_tenure_days(connection: Connection, days: Days, now: datetime) -> list[TenureDay]:
    """Each tenure in each of the days, today until `now`; in the order of day and tenure."""
    given = {
        "now": now,
        "severities": [severity.value for severity in Severity],
        "grave": [severity.value for severity in PAUSING_SEVERITIES],
    }
    return [TenureDay(*row) for row in connection.execute(_TENURE_DAYS, given | days.bounds)]


def read_mail(connection: Connection, days: Days) -> dict[TenureKey, DeliveryFacts]:
    """What each tenure's mail of each day came to; complaints among it."""
    complaints = _read_complaints(connection, days)
    mail = {
        (day, tenure_id): DeliveryFacts(
            sent, hard, soft, rejected, expired, deferred, complaints.pop((day, tenure_id), 0)
        )
        for day, tenure_id, sent, hard, soft, rejected, expired, deferred in connection.execute(_MAIL, days.bounds)
    }
    return mail | {key: DeliveryFacts(complaints=incidents) for key, incidents in complaints.items()}


def read_provider_days(connection: Connection, days: Days) -> Iterator[ProviderDay]:
    """What each tenure's mail of each day came to at each provider that it was for, in the order of these."""
    for row in connection.execute(_MAIL_BY_PROVIDER, days.bounds):
        day, tenure_id, provider, node_id, label, ip_address, *counts = row
        yield ProviderDay(day, tenure_id, provider, node_id, label, ip_address, DeliveryFacts(*counts))


def read_unattributed(connection: Connection, days: Days) -> list[AnyRow]:
    """Mail that nodes sent in hours in which they held no address, by day and node, the most first."""
    return list(connection.execute(_UNATTRIBUTED, days.bounds))


def read_sent(connection: Connection, days: Days) -> int:
    """All that the fleet sent in these days."""
    return int(connection.scalar(_SENT, days.bounds) or 0)


def _read_complaints(connection: Connection, days: Days) -> dict[TenureKey, int]:
    given = {"no_complaints": list(NO_COMPLAINTS), **days.bounds}
    return {(row.day, row.tenure_id): row.complaints for row in connection.execute(_COMPLAINTS, given)}

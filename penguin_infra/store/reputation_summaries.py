"""Reputation summed up for people: scores now, days of the fleet or of a node, mailbox providers, blacklists.

What the tables hold is their assets' business; how the sums are shown is the command's.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text

from penguin_infra.store.analytics_tables import listing_impacts, reputation_scores
from penguin_infra.store.analytics_views import days_to_delist
from penguin_infra.store.tables import AnyRow

_s = reputation_scores.c
_SCORES = select(_s.label, _s.ip_address, _s.status, _s.score, _s.target, _s.cap, _s.explanation).order_by(
    _s.score, _s.label
)

_LISTS = select(days_to_delist).order_by(
    days_to_delist.c.lost_messages.desc(), days_to_delist.c.listings.desc(), days_to_delist.c.zone
)

_IMPACTS = select(listing_impacts).order_by(listing_impacts.c.listed_at.desc(), listing_impacts.c.zone)

_SUMS = """
    sum(sent)::bigint AS sent, sum(attempted)::bigint AS attempted, sum(hard_bounces)::bigint AS hard_bounces,
    sum(policy_rejections)::bigint AS policy_rejections, sum(deferrals)::bigint AS deferrals
"""

_FLEET_DAYS = text(f"""
SELECT day, count(*)::text AS holder, avg(score_last)::float8 AS score, min(score_lowest) AS score_lowest,
    count(*) FILTER (WHERE listings_open > 0) AS listed, sum(complaints)::bigint AS complaints, {_SUMS}
FROM analytics.reputation_history WHERE day BETWEEN :first_day AND :last_day GROUP BY day ORDER BY day
""")  # noqa: S608 - nothing but the sums above is put in

_NODE_DAYS = text("""
SELECT day, host(ip_address) AS holder, score_last AS score, score_lowest, listings_open AS listed, complaints, sent,
    attempted, hard_bounces, policy_rejections, deferrals
FROM analytics.reputation_history WHERE node_id = :node_id AND day BETWEEN :first_day AND :last_day
ORDER BY day, ip_address
""")

_PROVIDERS = text(f"""
SELECT mailbox_provider, count(DISTINCT tenure_id) AS addresses,
    count(*) FILTER (WHERE has_volume) AS days_with_volume, {_SUMS}
FROM analytics.provider_reputation
WHERE day BETWEEN :first_day AND :last_day AND (CAST(:node_id AS uuid) IS NULL OR node_id = :node_id)
GROUP BY mailbox_provider ORDER BY attempted DESC, mailbox_provider
""")  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Fates:
    """What became of mail, and the shares that it is judged by; a share of nothing is None."""

    sent: int
    attempted: int
    hard_bounces: int
    policy_rejections: int
    deferrals: int

    @property
    def bounce_rate(self) -> float | None:
        """Hard bounces of the attempted."""
        return _share(self.hard_bounces, self.attempted)

    @property
    def policy_rejection_rate(self) -> float | None:
        """Policy rejections of the attempted."""
        return _share(self.policy_rejections, self.attempted)

    @property
    def deferral_rate(self) -> float | None:
        """Deferrals of attempted and deferrals."""
        return _share(self.deferrals, self.attempted + self.deferrals)


@dataclass(frozen=True, slots=True)
class ReputationDay:
    """A day of the whole fleet (`holder`: how many addresses) or of one address (`holder`: which)."""

    day: date
    holder: str
    score: float | None
    score_lowest: int | None
    listed: int
    complaints: int
    fates: Fates

    @property
    def complaint_rate(self) -> float | None:
        """Complaints of the sent."""
        return _share(self.complaints, self.fates.sent)


@dataclass(frozen=True, slots=True)
class ProviderSum:
    """How a mailbox provider took the mail of some days. `days_with_volume`: an address's days that can be judged."""

    mailbox_provider: str
    addresses: int
    days_with_volume: int
    fates: Fates


def list_scores(connection: Connection) -> list[dict[str, Any]]:
    """Each node's score now and why it is so, the worst first."""
    return [dict(row._mapping) for row in connection.execute(_SCORES)]


def fleet_days(connection: Connection, *, first_day: date, last_day: date) -> list[ReputationDay]:
    """The fleet's reputation, a day a row."""
    rows = connection.execute(_FLEET_DAYS, {"first_day": first_day, "last_day": last_day})
    return [_day(row) for row in rows]


def node_days(connection: Connection, node_id: UUID, *, first_day: date, last_day: date) -> list[ReputationDay]:
    """A node's reputation, a day and address a row."""
    asked = {"node_id": node_id, "first_day": first_day, "last_day": last_day}
    return [_day(row) for row in connection.execute(_NODE_DAYS, asked)]


def provider_sums(
    connection: Connection, *, first_day: date, last_day: date, node_id: UUID | None = None
) -> list[ProviderSum]:
    """How each mailbox provider took the fleet's mail, or one node's; the greatest first."""
    asked = {"first_day": first_day, "last_day": last_day, "node_id": node_id}
    return [
        ProviderSum(row.mailbox_provider, row.addresses, row.days_with_volume, _fates(row))
        for row in connection.execute(_PROVIDERS, asked)
    ]


def list_sums(connection: Connection) -> list[dict[str, Any]]:
    """How long each blacklist keeps an address, the one that cost most mail first."""
    return [dict(row._mapping) for row in connection.execute(_LISTS)]


def list_impacts(connection: Connection) -> list[dict[str, Any]]:
    """What each listing cost in mail, the newest first."""
    return [dict(row._mapping) for row in connection.execute(_IMPACTS)]


def _day(row: AnyRow) -> ReputationDay:
    return ReputationDay(
        row.day, row.holder, row.score, row.score_lowest, row.listed, row.complaints, fates=_fates(row)
    )


def _fates(row: AnyRow) -> Fates:
    return Fates(row.sent, row.attempted, row.hard_bounces, row.policy_rejections, row.deferrals)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

"""What the daily report tells of mail and of addresses: deliveries, scores, listings, mailbox providers.

Summed up from the tables that analysts read; how they came to be is their assets' business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, text

WORST_SCORES = 10

_DELIVERED = text("""
SELECT day, sum(delivered)::bigint AS delivered FROM analytics.delivered_by_day
WHERE day BETWEEN :since AND :day GROUP BY day ORDER BY day
""")

_SCORES_NOW = "SELECT label, host(ip_address) AS address, score, explanation FROM analytics.reputation_scores"

# What was explained then nobody kept; what stood against the address, the history did.
_SCORES_THEN = """
    SELECT label, host(ip_address) AS address, score_last AS score,
        CASE WHEN listings_open = 0 THEN 'no listing'
            ELSE 'listings open: ' || listings_open || ', the gravest ' || coalesce(worst_severity, 'unknown') END
            AS explanation
    FROM analytics.reputation_history WHERE day = :day AND score_last IS NOT NULL
"""

_LISTINGS = text("""
SELECT label, host(ip_address) AS address, blacklist_provider, severity, listed_at,
    extract(epoch FROM :at - listed_at)::float8 / 86400 AS days_open
FROM analytics.listing_impacts WHERE listed_at < :at AND (delisted_at IS NULL OR delisted_at >= :at)
ORDER BY listed_at, blacklist_provider, ip_address
""")

_LISTS = text("""
SELECT blacklist_provider, count(*) AS listings,
    count(*) FILTER (WHERE delisted_at IS NULL OR delisted_at >= :at) AS still_open,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM delisted_at - listed_at) / 86400)
        FILTER (WHERE delisted_at < :at) AS median_days,
    coalesce(sum(lost_messages), 0)::bigint AS lost_messages
FROM analytics.listing_impacts
WHERE listed_at < :at AND (delisted_at IS NULL OR delisted_at >= :since)
GROUP BY blacklist_provider ORDER BY sum(lost_messages) DESC, blacklist_provider
""")

_PROVIDERS = text("""
SELECT day, mailbox_provider, sum(attempted)::bigint AS attempted, sum(hard_bounces)::bigint AS hard_bounces,
    sum(policy_rejections)::bigint AS policy_rejections, sum(deferrals)::bigint AS deferrals
FROM analytics.provider_reputation WHERE day BETWEEN :since AND :day
GROUP BY day, mailbox_provider ORDER BY day, mailbox_provider
""")


@dataclass(frozen=True, slots=True)
class ScoreFact:
    """An address's score, in words."""

    label: str
    address: str
    score: int
    explanation: str


@dataclass(frozen=True, slots=True)
class ListingFact:
    """A listing that stood."""

    label: str | None
    address: str
    blacklist_provider: str
    severity: str
    listed_at: datetime
    days_open: float


@dataclass(frozen=True, slots=True)
class ListSum:
    """A list's listings that stood at some time in the days told of; `median_days`: of those that ended."""

    blacklist_provider: str
    listings: int
    still_open: int
    median_days: float | None
    lost_messages: int


@dataclass(frozen=True, slots=True)
class ProviderDay:
    """A day's mail to one mailbox provider."""

    day: date
    mailbox_provider: str
    attempted: int
    hard_bounces: int
    policy_rejections: int
    deferrals: int


@dataclass(frozen=True, slots=True)
class MailFacts:
    """Mail and addresses on a day. `scores`: how many addresses have each score."""

    delivered: Mapping[date, int]
    scores: Mapping[int, int]
    worst: tuple[ScoreFact, ...]
    listings: tuple[ListingFact, ...]
    lists: tuple[ListSum, ...]
    providers: tuple[ProviderDay, ...]


def read_mail_facts(connection: Connection, day: date, *, at: datetime, days: int, is_now: bool) -> MailFacts:
    """Mail of so many days up to `day`, and the addresses at `at`: now, or the day's end."""
    since = {"since": day - timedelta(days=days - 1), "day": day}
    scores = _SCORES_NOW if is_now else _SCORES_THEN
    of_day = {} if is_now else {"day": day}
    counts = connection.execute(
        text(f"SELECT score, count(*) AS addresses FROM ({scores}) AS one GROUP BY score"),  # noqa: S608 - two constants
        of_day,
    )
    worst = connection.execute(
        text(f"SELECT * FROM ({scores}) AS one ORDER BY score, label LIMIT :most"),  # noqa: S608 - as above
        of_day | {"most": WORST_SCORES},
    )
    listed = {"at": at, "since": at - timedelta(days=days)}
    return MailFacts(
        delivered={row.day: row.delivered for row in connection.execute(_DELIVERED, since)},
        scores={row.score: row.addresses for row in counts},
        worst=tuple(ScoreFact(*row) for row in worst),
        listings=tuple(ListingFact(*row) for row in connection.execute(_LISTINGS, {"at": at})),
        lists=tuple(ListSum(*row) for row in connection.execute(_LISTS, listed)),
        providers=tuple(ProviderDay(*row) for row in connection.execute(_PROVIDERS, since)),
    )

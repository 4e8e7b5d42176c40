"""The views that analysts read, each column with its meaning. The sums themselves stand in the migrations.

A view has no key in the database; what tells its rows apart is marked as its key here, and readers sort by it.
"""

from sqlalchemy import BigInteger, Column, Date, Double, MetaData, Numeric, String, Table

from penguin_infra.store.analytics_tables import ANALYTICS_SCHEMA

# Apart from the tables' metadata, so that nothing takes a view for a table to create.
analytics_views = MetaData(schema=ANALYTICS_SCHEMA)


def _usd(name: str, comment: str) -> Column[object]:
    return Column(name, Numeric, comment=f"{comment}, US dollars")


costs_by_day = Table(
    "costs_by_day",
    analytics_views,
    Column("day", Date, primary_key=True, comment="the day (UTC)"),
    _usd("amount_usd", "what the whole account cost"),
    _usd("in_service_usd", "nodes that were warming or active"),
    _usd("held_usd", "nodes that were paused or in maintenance"),
    _usd("provisioning_usd", "nodes that were not in service yet"),
    _usd("unowned_usd", "orphans and foreign instances"),
    _usd("unhealthy_usd", "hours at whose beginning a node was unhealthy; part of the sums above"),
    _usd("idle_usd", "hours in service in which a node sent nothing; part of the sums above"),
    Column("warmed_slots", Numeric, comment="nodes that were active, on the day's average"),
    comment="What each day cost, and what for.",
)

delivered_by_day = Table(
    "delivered_by_day",
    analytics_views,
    Column("day", Date, primary_key=True, comment="the day (UTC)"),
    Column("region", String(50), primary_key=True, comment="the provider's region"),
    Column("delivered", BigInteger, comment="messages that were accepted"),
    comment="How much mail each region delivered a day.",
)

cost_per_thousand = Table(
    "cost_per_thousand",
    analytics_views,
    Column("day", Date, primary_key=True, comment="the day (UTC)"),
    Column("region", String(50), primary_key=True, comment="the provider's region"),
    _usd("amount_usd", "what the region's instances cost, whatever they were used for"),
    Column("delivered", BigInteger, comment="messages that were accepted"),
    _usd("usd_per_thousand", "what 1,000 accepted messages cost; null where none was"),
    comment="What 1,000 delivered messages cost, a day and region a row.",
)

costs_by_plan = Table(
    "costs_by_plan",
    analytics_views,
    Column("month", Date, primary_key=True, comment="the month's first day"),
    Column("region", String(50), primary_key=True, comment="the provider's region"),
    Column("plan", String(50), primary_key=True, comment="the provider's plan"),
    _usd("amount_usd", "what its instances cost, extra addresses and unused months included"),
    Column("hours", BigInteger, comment="started hours on the plan"),
    Column("instances", BigInteger, comment="instances that were on the plan at any time of the month"),
    comment="What each plan cost a month, by region.",
)

days_to_delist = Table(
    "days_to_delist",
    analytics_views,
    Column("blacklist_provider", String(100), primary_key=True, comment="who keeps the list"),
    Column("zone", String(255), primary_key=True, comment="the list's DNS zone"),
    Column("severity", String(20), primary_key=True, comment="what such a listing means: critical, high, medium, ..."),
    Column("listings", BigInteger, comment="confirmed listings so far"),
    Column("delisted", BigInteger, comment="those of them that are over"),
    Column("median_days", Double, comment="how long those took: the median, days; null: none is over"),
    Column("longest_days", Double, comment="the longest one, days; one that stands counts as long as it has stood"),
    Column("lost_messages", BigInteger, comment="messages not sent on their account"),
    comment="How long each blacklist keeps an address, and what that costs in mail.",
)

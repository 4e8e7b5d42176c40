"""The tables that analysts read, and the facts of the past behind them, each column with its meaning.

The comments are the columns' one description: the database shows them, and so does the UI. Constraints and indexes
stand in the migrations.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import INET, JSONB

from penguin_infra.store.tables import SCHEMA, metadata

ANALYTICS_SCHEMA = "analytics"

analytics_metadata = MetaData(schema=ANALYTICS_SCHEMA)

_USD = Numeric(18, 8)
_AT = DateTime(timezone=True)

instance_spells = Table(
    "instance_spells",
    metadata,
    Column("provider_id", String(255), primary_key=True, comment="the provider's id of the instance"),
    Column("began_at", _AT, primary_key=True, comment="when the instance came to be billed so"),
    Column("ended_at", _AT, comment="when that ended, by another plan or the instance's end; null: it is billed now"),
    Column("plan", String(50), nullable=False, comment="the provider's plan"),
    Column("extra_addresses", SmallInteger, nullable=False, server_default="0", comment="addresses beyond the first"),
    Column("label", Text, nullable=False, comment="its name at the provider"),
    Column("region", String(50), nullable=False, comment="the provider's region"),
    Column(
        "node_id",
        Uuid,
        ForeignKey(f"{SCHEMA}.sending_nodes.id"),
        comment="the node that asked for it; null: an orphan, or not of this fleet",
    ),
    comment="Every instance that the provider ever billed, in spells of one plan each.",
)

reputation_steps = Table(
    "reputation_steps",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True, comment="the node"),
    Column("changed_at", _AT, primary_key=True, comment="from when on the node had this score"),
    Column("score", SmallInteger, nullable=False, comment="0 (burnt) to 100 (spotless)"),
    Column("version", SmallInteger, nullable=False, comment="of the rules by which it was reckoned"),
    Column("components", JSONB, nullable=False, comment="what it was reckoned from, name by name"),
    comment="Every change of a node's reputation score.",
)

node_costs = Table(
    "node_costs",
    analytics_metadata,
    Column("day", Date, primary_key=True, comment="the day (UTC) in which the billed hours began"),
    Column("provider_id", String(255), primary_key=True, comment="the provider's id of the instance"),
    Column("plan", String(50), primary_key=True, comment="the plan in force in these hours"),
    Column(
        "charge",
        String(20),
        primary_key=True,
        comment="plan, extra_addresses, or unused_month (paid ahead, and lost by deleting the instance)",
    ),
    Column(
        "usage",
        String(20),
        primary_key=True,
        comment="what the hours went to: the node's status, or orphan (no node holds it), foreign (not this fleet's), "
        "ghost (the node's instance is gone; costs nothing)",
    ),
    Column("node_id", Uuid, comment="the node; null of orphans and foreign instances"),
    Column("label", Text, nullable=False, comment="the node's label, or the instance's name where there is no node"),
    Column("region", String(50), nullable=False, comment="the provider's region"),
    Column("hours", Integer, nullable=False, comment="started hours; of extra addresses, each one's"),
    Column("unhealthy_hours", Integer, nullable=False, comment="those of them at whose beginning it was unhealthy"),
    Column(
        "idle_hours", Integer, nullable=False, comment="those in service (warming, active) in which it sent nothing"
    ),
    Column("amount_usd", _USD, nullable=False, comment="what they cost, exact, US dollars"),
    Column(
        "price_source",
        String(20),
        nullable=False,
        comment="provider, fallback (the built-in price list), or policy (extra addresses)",
    ),
    comment="What each instance cost, a day, plan, charge and usage a row. Every billed hour is in exactly one row.",
)

cost_forecasts = Table(
    "cost_forecasts",
    analytics_metadata,
    Column("day", Date, primary_key=True, comment="the last day that is in the month's sum so far"),
    Column("month", Date, nullable=False, comment="the month's first day"),
    Column("month_to_date_usd", _USD, nullable=False, comment="what the month cost until the day's end, US dollars"),
    Column("forecast_usd", _USD, nullable=False, comment="what the whole month will cost, US dollars"),
    Column("lower_usd", _USD, nullable=False, comment="the forecast's lower bound (80 % interval), US dollars"),
    Column("upper_usd", _USD, nullable=False, comment="the forecast's upper bound (80 % interval), US dollars"),
    Column("budget_usd", _USD, comment="the policy's budget of a month, US dollars; null: none is set"),
    Column("method", Text, nullable=False, comment="how the forecast was made, in words"),
    comment="What the month will have cost, as it looked at the end of each day.",
)

cost_optimisation = Table(
    "cost_optimisation",
    analytics_metadata,
    Column("id", Uuid, primary_key=True, comment="the recommendation's id: the same from day to day while it stands"),
    Column("made_at", _AT, nullable=False, comment="when it was last found"),
    Column("kind", String(20), nullable=False, comment="downsize, retire, consolidate, billing_cycle or orphan"),
    Column("node_id", Uuid, comment="the node it is about; null where it is about an instance or the whole fleet"),
    Column("label", Text, nullable=False, comment="the node's label, the instance's name, or fleet"),
    Column("region", String(50), comment="the provider's region"),
    Column("plan", String(50), comment="the present plan"),
    Column("to_plan", String(50), comment="the plan to change to, where that is the proposal"),
    Column("saving_monthly_usd", _USD, nullable=False, comment="what it saves a month, US dollars"),
    Column("cost_before_monthly_usd", _USD, nullable=False, comment="what the fleet costs a month now, US dollars"),
    Column("cost_after_monthly_usd", _USD, nullable=False, comment="what it would cost a month, US dollars"),
    Column("capacity_before_per_day", BigInteger, comment="messages a day that the fleet can send now"),
    Column("capacity_after_per_day", BigInteger, comment="messages a day that it could send then"),
    Column("peak_share_before", Double, comment="the highest day's demand over the capacity now; 1: all of it"),
    Column("peak_share_after", Double, comment="the highest day's demand over the capacity then"),
    Column("reason", Text, nullable=False, comment="why, with the figures"),
    Column("risk", Text, nullable=False, comment="what may go wrong"),
    Column("command", Text, nullable=False, comment="the command that proposes it for approval, or what to do by hand"),
    Column("action_id", Uuid, comment="the action that it was made into, where it was"),
    comment="Savings worth making, the present ones only; each waits for a person.",
)

reputation_scores = Table(
    "reputation_scores",
    analytics_metadata,
    Column("node_id", Uuid, primary_key=True, comment="the node"),
    Column("label", String(63), nullable=False, comment="the node's label"),
    Column("ip_address", INET, nullable=False, comment="its address"),
    Column("region", String(50), nullable=False, comment="the provider's region"),
    Column("status", String(50), nullable=False, comment="the node's place in its life"),
    Column("measured_at", _AT, nullable=False, comment="when it was reckoned"),
    Column("score", SmallInteger, nullable=False, comment="0 (burnt) to 100 (spotless): falls at once, rises slowly"),
    Column("target", SmallInteger, nullable=False, comment="what the evidence of now says, before the slow rise"),
    Column("cap", SmallInteger, nullable=False, comment="the most that open listings allow; 100: none limits it"),
    Column("version", SmallInteger, nullable=False, comment="of the rules by which it was reckoned"),
    Column("components", JSONB, nullable=False, comment="the points lost to each component, name by name"),
    Column("explanation", Text, nullable=False, comment="the score in words"),
    Column("rising_since", _AT, comment="since when the present point is being earned; null: nothing is to be earned"),
    comment="Each node's reputation as it is now.",
)

_MAIL_COUNTS = {
    "sent": "messages that were accepted",
    "hard_bounces": "messages for addresses that do not exist (5.1.x, 5.2.1)",
    "soft_bounces": "messages that failed for good for another cause",
    "policy_rejections": "messages rejected for the sender's sake (5.7.x)",
    "expired": "messages given up after the queue's life time",
    "deferrals": "messages that waited at least once; no end, in no rate but their own",
}


def _mail_columns() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False, comment=comment) for name, comment in _MAIL_COUNTS.items()]


reputation_history = Table(
    "reputation_history",
    analytics_metadata,
    Column("day", Date, primary_key=True, comment="the day (UTC)"),
    Column("tenure_id", Uuid, primary_key=True, comment="the address's time at this node: an address changes hands"),
    Column("node_id", Uuid, nullable=False, comment="the node"),
    Column("label", String(63), nullable=False, comment="the node's label"),
    Column("ip_address", INET, nullable=False, comment="the address"),
    Column("region", String(50), nullable=False, comment="the provider's region"),
    Column("score_last", SmallInteger, comment="the reputation score at the day's end; null: none was reckoned yet"),
    Column("score_lowest", SmallInteger, comment="the day's lowest score"),
    Column("listings_open", SmallInteger, nullable=False, comment="confirmed blacklist listings open in the day"),
    Column("worst_severity", String(20), comment="the gravest of them: critical, high, medium, low, ..."),
    Column("listed_hours", Double, nullable=False, comment="hours of the day under a critical or high listing"),
    *_mail_columns(),
    Column(
        "complaints", BigInteger, nullable=False, comment="incidents that recipients reported, by the mail's arrival"
    ),
    Column("attempted", BigInteger, nullable=False, comment="sent, bounced, rejected and expired messages"),
    Column("bounce_rate", Double, comment="hard bounces of the attempted, 0 to 1; null of nothing"),
    Column("bounce_lower", Double, comment="what the bounce rate is at least (Wilson, 95 %)"),
    Column("bounce_upper", Double, comment="what the bounce rate is at most"),
    Column("complaint_rate", Double, comment="complaints of the sent, 0 to 1; null of nothing"),
    Column("policy_rejection_rate", Double, comment="policy rejections of the attempted, 0 to 1; null of nothing"),
    Column("deferral_rate", Double, comment="deferrals of attempted and deferrals, 0 to 1; null of nothing"),
    comment="Each address's reputation, listings and mail, a day and tenure a row.",
)

provider_reputation = Table(
    "provider_reputation",
    analytics_metadata,
    Column("day", Date, primary_key=True, comment="the day (UTC)"),
    Column("tenure_id", Uuid, primary_key=True, comment="the address's time at this node"),
    Column("mailbox_provider", String(20), primary_key=True, comment="gmail, microsoft, yahoo, apple or other"),
    Column("node_id", Uuid, nullable=False, comment="the node"),
    Column("label", String(63), nullable=False, comment="the node's label"),
    Column("ip_address", INET, nullable=False, comment="the address"),
    *_mail_columns(),
    Column("attempted", BigInteger, nullable=False, comment="sent, bounced, rejected and expired messages"),
    Column("bounce_rate", Double, comment="hard bounces of the attempted, 0 to 1; null of nothing"),
    Column("policy_rejection_rate", Double, comment="policy rejections of the attempted, 0 to 1; null of nothing"),
    Column("deferral_rate", Double, comment="deferrals of attempted and deferrals, 0 to 1; null of nothing"),
    Column("has_volume", Boolean, nullable=False, comment="whether the day's mail is enough to judge a rate by"),
    comment="How each address fares with each mailbox provider, a day, tenure and provider a row.",
)

listing_impacts = Table(
    "listing_impacts",
    analytics_metadata,
    Column("event_id", Uuid, primary_key=True, comment="the listing (fleet.ip_blacklist_events)"),
    Column("blacklist_provider", String(100), nullable=False, comment="who keeps the list"),
    Column("zone", String(255), nullable=False, comment="the list's DNS zone"),
    Column("severity", String(20), nullable=False, comment="what such a listing means: critical, high, medium, ..."),
    Column("ip_address", INET, nullable=False, comment="the listed address"),
    Column("node_id", Uuid, comment="the node that held it then; null: none"),
    Column("label", String(63), comment="the node's label"),
    Column("listed_at", _AT, nullable=False, comment="when the listing was confirmed"),
    Column("delisted_at", _AT, comment="when it was gone for good; null while it stands"),
    Column("listed_hours", Double, nullable=False, comment="how long it stood, or has stood so far, hours"),
    Column(
        "expected_messages",
        BigInteger,
        nullable=False,
        comment="what the node would have sent in that time, by its rate of the 7 days before",
    ),
    Column("sent_messages", BigInteger, nullable=False, comment="what it sent in that time"),
    Column("lost_messages", BigInteger, nullable=False, comment="expected less sent, never below nought"),
    comment="What each blacklist listing cost in mail not sent.",
)

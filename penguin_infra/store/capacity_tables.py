"""The tables of warm-up, capacity, demand and prices, for queries; constraints stand in the migrations."""

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from penguin_infra.store.tables import SCHEMA, at_column, metadata, node_key

_AT = DateTime(timezone=True)

node_warmups = Table(
    "node_warmups",
    metadata,
    node_key(),
    Column("curve", String(50), nullable=False, comment="the curve of the policy file that it climbs"),
    Column("daily", BigInteger, nullable=False, comment="what it has earned, messages a day"),
    at_column("since_at", "since when it may send that much", nullable=False),
    at_column("stepped_back_at", "when it last had to go a stage back; null: never"),
    Column(
        "steps_back",
        Integer,
        nullable=False,
        server_default="0",
        comment="how often it went back since its last step on",
    ),
    Column(
        "providers",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="mailbox providers that are held below the node: what each has earned, messages a day, and since when",
    ),
    at_column("begun_at", "when its first warm-up began", nullable=False),
    at_column("finished_at", "when it was warmed up; null: it is not, or went cold since"),
    comment="What each node's address has earned in its warm-up.",
)

warmup_progress = Table(
    "warmup_progress",
    metadata,
    node_key(),
    at_column("measured_at", "when it was judged; what is older than ten minutes leads to no step", nullable=False),
    Column("stage", SmallInteger, nullable=False, comment="its stage, from 1"),
    Column("stages", SmallInteger, nullable=False, comment="how many stages lead to its full capacity"),
    Column("daily", BigInteger, nullable=False, comment="what its stage allows, messages a day"),
    Column("next_daily", BigInteger, nullable=False, comment="what the decision leads to, messages a day"),
    Column(
        "planned_daily",
        BigInteger,
        nullable=False,
        comment="what it would be allowed by now had each stage taken the least time, messages a day",
    ),
    Column("full_daily", BigInteger, nullable=False, comment="what its plan delivers, messages a day"),
    Column(
        "delivered_last_day",
        BigInteger,
        nullable=False,
        comment="messages that were taken within this stage and the last 24 hours",
    ),
    Column("decision", String(20), nullable=False, comment="hold, advance, step_back, restart, finish or stuck"),
    Column(
        "is_step",
        Boolean,
        nullable=False,
        comment="whether there is anything to carry out; a hold may step one mailbox provider",
    ),
    Column("reasons", ARRAY(Text), nullable=False, comment="why, a sentence each"),
    at_column("begun_at", "when its first warm-up began: its cohort", nullable=False),
    at_column("expected_full_at", "when it is at its full capacity if all goes well from now on", nullable=False),
    comment="How far each warming node is, and what its next step would be, as last judged.",
)

_HOURLY = {
    "sent": "messages that were accepted",
    "hard_bounces": "messages for addresses that do not exist (5.1.x, 5.2.1)",
    "soft_bounces": "messages that failed for good for another cause",
    "policy_rejections": "messages rejected for the sender's sake (5.7.x)",
    "expired": "messages given up after the queue's life time",
    "deferrals": "messages that waited at least once; no end",
}

delivery_hours = Table(
    "delivery_hours",
    metadata,
    node_key(),
    Column("hour_at", _AT, primary_key=True, comment="the hour's beginning (UTC)"),
    Column("mailbox_provider", String(20), primary_key=True, comment="gmail, microsoft, yahoo, apple or other"),
    *(
        Column(name, BigInteger, nullable=False, server_default="0", comment=comment)
        for name, comment in _HOURLY.items()
    ),
    comment="What became of the mail, by the hour: sums of fleet.delivery_counts, written with them.",
)

node_windows = Table(
    "node_windows",
    metadata,
    node_key(),
    Column("window_at", _AT, primary_key=True, comment="the beginning of the five minutes (UTC)"),
    Column("depth", Integer, nullable=False, comment="messages that waited: the median of the heartbeats' words"),
    Column("deferred", Integer, nullable=False, comment="those of them that had been put off: the median"),
    Column("oldest_age_seconds", Integer, comment="the age of the oldest message: the median, seconds"),
    Column("ended", BigInteger, nullable=False, comment="deliveries that came to an end, accepted or not"),
    Column("deferrals", BigInteger, nullable=False, comment="messages that were put off"),
    Column("cpu_percent", REAL, comment="the mean of what could be read, percent"),
    Column("memory_percent", REAL, comment="the mean of what could be read, percent"),
    Column("is_held", Boolean, nullable=False, comment="whether its outgoing transport was held, most of the time"),
    comment="Each node's last 26 hours in windows of five minutes. Where its queue could not be read, there is none.",
)

demand_hours = Table(
    "demand_hours",
    metadata,
    Column("hour_at", _AT, primary_key=True, comment="the hour's beginning (UTC)"),
    Column("region", String(50), primary_key=True, comment="the provider's region"),
    Column(
        "ended",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="deliveries that came to an end, accepted or not",
    ),
    Column(
        "refused",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="messages that the dispatcher turned away for want of allowance",
    ),
    Column("queue_depth", BigInteger, comment="messages that waited when last looked in the hour; null: not known"),
    comment="What the fleet was asked for, an hour and region a row.",
)

late_hours = Table(
    "late_hours",
    metadata,
    Column("hour_at", _AT, primary_key=True, comment="the hour's beginning (UTC)"),
    comment="Hours long past of which agents told since they were summed: fleet.demand_hours is to be summed anew.",
)

capacity_utilisation = Table(
    "capacity_utilisation",
    metadata,
    node_key("the node; none that is decommissioned"),
    at_column("measured_at", "when; what is older than ten minutes says nothing about now", nullable=False),
    Column("region", String(50), nullable=False, comment="the provider's region"),
    Column("status", String(50), nullable=False, comment="the node's place in its life"),
    Column("plan", String(50), nullable=False, comment="the provider's plan"),
    Column("is_in_rotation", Boolean, nullable=False, comment="whether it may send now"),
    Column(
        "plan_per_day",
        BigInteger,
        comment="messages a day that its plan delivers; null while its plan is in no price list",
    ),
    Column(
        "allowance_per_day",
        BigInteger,
        comment="messages a day that its warm-up allows; null: no limit but the plan's",
    ),
    Column(
        "capacity_per_day",
        BigInteger,
        nullable=False,
        comment="what it can send in a day: the smaller of both, and nothing out of service",
    ),
    Column(
        "ended_last_day",
        BigInteger,
        nullable=False,
        comment="deliveries that came to an end in the last 24 hours, accepted or not",
    ),
    Column("ended_last_hour", BigInteger, nullable=False, comment="the same of the last hour"),
    Column("queue_depth", Integer, comment="messages that wait; null while it does not speak"),
    Column(
        "queue_growth",
        Integer,
        nullable=False,
        comment="what waits more than a day ago; 0 where that is not known",
    ),
    Column("oldest_age_seconds", Integer, comment="the age of the oldest message"),
    Column("cpu_percent", REAL, comment="by its last heartbeat"),
    Column("memory_percent", REAL, comment="by its last heartbeat"),
    Column("demand_share", Double, comment="what was asked of it in a day over its capacity; null without capacity"),
    comment="How much of what it can send each node is asked for, as last measured.",
)

plan_prices = Table(
    "plan_prices",
    metadata,
    Column("plan", String(50), primary_key=True, comment="the provider's name of the plan"),
    Column("seen_at", _AT, primary_key=True, comment="when it was first offered so"),
    at_column("last_seen_at", "when it was last offered so; a row that is no longer offered keeps it", nullable=False),
    Column("cpu_count", SmallInteger, nullable=False, comment="virtual CPUs"),
    Column("memory_mb", Integer, nullable=False, comment="memory, MB"),
    Column("disk_gb", Integer, nullable=False, comment="disk, GB"),
    Column("transfer_gb", Integer, nullable=False, comment="traffic that is paid with a month, GB"),
    Column("monthly_usd", Numeric(12, 4), nullable=False, comment="list price of a month"),
    Column("hourly_usd", Numeric(14, 8), nullable=False, comment="list price of an hour"),
    comment="The plans that the provider offers or offered, a row for each change of a price or size.",
)

# A view: outside the metadata, as `tables.sending_rotation` is.
sending_allowances = Table(
    "sending_allowances",
    MetaData(schema=SCHEMA),
    Column("node_id", Uuid, comment="the node"),
    Column("daily", BigInteger, comment="messages that it may send on this day (UTC), by its warm-up"),
    Column("hourly", BigInteger, comment="messages that it may send in this hour: the day's, spread over its hours"),
    Column("sent_today", BigInteger, comment="messages of its that were accepted on this day"),
    Column("sent_this_hour", BigInteger, comment="messages of its that were accepted in this hour"),
    comment="What each warming node may send now, and has sent. Nodes that are warmed up are not in it.",
)

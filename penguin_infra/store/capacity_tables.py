"""The tables of warm-up, capacity, demand and prices, for queries; constraints stand in the migrations."""

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from penguin_infra.store.tables import SCHEMA, at_column, metadata


def _node_key() -> Column[object]:
    return Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True)


node_warmups = Table(
    "node_warmups",
    metadata,
    _node_key(),
    Column("curve", String(50), nullable=False),
    Column("daily", BigInteger, nullable=False),
    at_column("since_at", nullable=False),
    at_column("stepped_back_at"),
    Column("steps_back", Integer, nullable=False, server_default="0"),
    Column("providers", JSONB, nullable=False, server_default="{}"),
    at_column("begun_at", nullable=False),
    at_column("finished_at"),
)

warmup_progress = Table(
    "warmup_progress",
    metadata,
    _node_key(),
    at_column("measured_at", nullable=False),
    Column("stage", SmallInteger, nullable=False),
    Column("stages", SmallInteger, nullable=False),
    Column("daily", BigInteger, nullable=False),
    Column("next_daily", BigInteger, nullable=False),
    Column("planned_daily", BigInteger, nullable=False),
    Column("full_daily", BigInteger, nullable=False),
    Column("delivered_last_day", BigInteger, nullable=False),
    Column("decision", String(20), nullable=False),
    Column("is_step", Boolean, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    at_column("begun_at", nullable=False),
    at_column("expected_full_at", nullable=False),
)

delivery_hours = Table(
    "delivery_hours",
    metadata,
    _node_key(),
    Column("hour_at", at_column("hour_at").type, primary_key=True),
    Column("mailbox_provider", String(20), primary_key=True),
    *(
        Column(name, BigInteger, nullable=False, server_default="0")
        for name in ("sent", "hard_bounces", "soft_bounces", "policy_rejections", "expired", "deferrals")
    ),
)

node_windows = Table(
    "node_windows",
    metadata,
    _node_key(),
    Column("window_at", at_column("window_at").type, primary_key=True),
    Column("depth", Integer, nullable=False),
    Column("deferred", Integer, nullable=False),
    Column("oldest_age_seconds", Integer),
    Column("ended", BigInteger, nullable=False),
    Column("deferrals", BigInteger, nullable=False),
    Column("cpu_percent", REAL),
    Column("memory_percent", REAL),
    Column("is_held", Boolean, nullable=False),
)

demand_hours = Table(
    "demand_hours",
    metadata,
    Column("hour_at", at_column("hour_at").type, primary_key=True),
    Column("region", String(50), primary_key=True),
    Column("ended", BigInteger, nullable=False, server_default="0"),
    Column("refused", BigInteger, nullable=False, server_default="0"),
    Column("queue_depth", BigInteger),
)

late_hours = Table("late_hours", metadata, Column("hour_at", at_column("hour_at").type, primary_key=True))

capacity_utilisation = Table(
    "capacity_utilisation",
    metadata,
    _node_key(),
    at_column("measured_at", nullable=False),
    Column("region", String(50), nullable=False),
    Column("status", String(50), nullable=False),
    Column("plan", String(50), nullable=False),
    Column("is_in_rotation", Boolean, nullable=False),
    Column("plan_per_day", BigInteger),
    Column("allowance_per_day", BigInteger),
    Column("capacity_per_day", BigInteger, nullable=False),
    Column("ended_last_day", BigInteger, nullable=False),
    Column("ended_last_hour", BigInteger, nullable=False),
    Column("queue_depth", Integer),
    Column("queue_growth", Integer, nullable=False),
    Column("oldest_age_seconds", Integer),
    Column("cpu_percent", REAL),
    Column("memory_percent", REAL),
    Column("demand_share", Double),
)

plan_prices = Table(
    "plan_prices",
    metadata,
    Column("plan", String(50), primary_key=True),
    Column("seen_at", at_column("seen_at").type, primary_key=True),
    at_column("last_seen_at", nullable=False),
    Column("cpu_count", SmallInteger, nullable=False),
    Column("memory_mb", Integer, nullable=False),
    Column("disk_gb", Integer, nullable=False),
    Column("transfer_gb", Integer, nullable=False),
    Column("monthly_usd", Numeric(12, 4), nullable=False),
    Column("hourly_usd", Numeric(14, 8), nullable=False),
    Column("source", String(20), nullable=False, server_default="provider"),
)

# A view: outside the metadata, as `tables.sending_rotation` is.
sending_allowances = Table(
    "sending_allowances",
    MetaData(schema=SCHEMA),
    Column("node_id", Uuid),
    Column("daily", BigInteger),
    Column("hourly", BigInteger),
    Column("sent_today", BigInteger),
    Column("sent_this_hour", BigInteger),
)

"""The tables of the blacklist sweeps, for queries; constraints stand in the migrations, as in `tables.py`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB

from penguin_infra.store.tables import at_column, id_column, metadata, node_id_column

ip_blacklist_events = Table(
    "ip_blacklist_events",
    metadata,
    id_column(),
    node_id_column(nullable=True),
    Column("blacklist_provider", String(100), nullable=False),
    at_column("listed_at", nullable=False),
    at_column("delisted_at"),
    Column("details", Text),
    Column("ip_address", INET, nullable=False),
    Column("zone", String(255), nullable=False),
    Column("codes", ARRAY(Text), nullable=False),
    Column("reason", Text),
    Column("severity", String(20), nullable=False),
    at_column("suspected_at", nullable=False),
    Column("operator", String(100)),
    Column("delist_url", Text),
    Column("family", String(50)),
)

blacklist_states = Table(
    "blacklist_states",
    metadata,
    Column("ip_address", INET, primary_key=True),
    Column("zone", String(255), primary_key=True),
    Column("state", String(20), nullable=False),
    at_column("since", nullable=False),
    Column("facts", JSONB, nullable=False),
    at_column("updated_at", nullable=False),
    at_column("asked_at"),
    at_column("answered_at"),
)

blacklist_observations = Table(
    "blacklist_observations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("ip_address", INET, nullable=False),
    Column("zone", String(255), nullable=False),
    Column("change", String(20), nullable=False),
    Column("answer", Text, nullable=False),
    Column("ttl_seconds", Integer, nullable=False),
    Column("resolver", String(255), nullable=False),
    Column("reason", Text),
    at_column("observed_at", nullable=False),
)

blacklist_health = Table(
    "blacklist_health",
    metadata,
    Column("zone", String(255), primary_key=True),
    Column("resolver", String(255), primary_key=True),
    Column("ip_version", SmallInteger, primary_key=True, autoincrement=False),
    Column("is_healthy", Boolean, nullable=False),
    Column("reason", Text),
    at_column("since", nullable=False),
    at_column("checked_at", nullable=False),
    Column("fault", String(30)),
    Column("passes", SmallInteger, nullable=False, server_default="0"),
)

blacklist_health_changes = Table(
    "blacklist_health_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("zone", String(255), nullable=False),
    Column("resolver", String(255), nullable=False),
    Column("ip_version", SmallInteger, nullable=False),
    Column("is_healthy", Boolean, nullable=False),
    Column("fault", String(30)),
    Column("reason", Text),
    at_column("happened_at", nullable=False),
)

blacklist_freezes = Table(
    "blacklist_freezes",
    metadata,
    id_column(),
    Column("zone", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    at_column("frozen_at", nullable=False),
    at_column("lifted_at"),
    Column("lifted_by", String(100)),
)

# How many questions each list was asked in each ten minutes, whatever for: what its terms count. Finer than an hour, so
# that a window of 24 hours, rounded up to whole slots, is hardly more than those.
blacklist_questions = Table(
    "blacklist_questions",
    metadata,
    Column("zone", String(255), primary_key=True),
    Column("slot_at", DateTime(timezone=True), primary_key=True),
    Column("asked", BigInteger, nullable=False),
)

# A list's token bucket, how often it comes by at present, and until when it must be left alone after a quota error.
blacklist_paces = Table(
    "blacklist_paces",
    metadata,
    Column("zone", String(255), primary_key=True),
    Column("tokens", Double, nullable=False),
    at_column("filled_at", nullable=False),
    at_column("rests_until"),
    Column("rest_count", SmallInteger, nullable=False, server_default="0"),
    Column("interval_seconds", Double),
    Column("refused_because", Text),
)

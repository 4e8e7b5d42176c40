"""The schema `fleet` as SQLAlchemy Core tables, for queries. The migrations make it; a test holds the two together.

Constraints and indexes stand in the migrations alone: the database holds them, and queries do not need to know.
"""

from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Row,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB

SCHEMA = "fleet"

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

metadata = MetaData(schema=SCHEMA)


def at_column(name: str, *, nullable: bool = True) -> Column[datetime]:
    """A moment, aware."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def id_column() -> Column[UUID]:
    """An id that the database makes."""
    return Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()"))


def node_id_column(*, nullable: bool = False) -> Column[UUID]:
    """The node that a row is about."""
    return Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), nullable=nullable)


sending_nodes = Table(
    "sending_nodes",
    metadata,
    id_column(),
    Column("provider_id", String(255), unique=True),
    Column("ip_address", INET),
    Column("hostname", String(255)),
    Column("region", String(50), nullable=False),
    Column("status", String(50), nullable=False, server_default="provisioning"),
    Column("reputation_score", Integer, nullable=False, server_default="100"),
    Column("current_load", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    at_column("last_heartbeat"),
    Column("label", String(63), nullable=False, unique=True),
    Column("plan", String(50), nullable=False),
    Column("requested_by", String(100), nullable=False),
    Column("hold_reason", Text),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("health", String(20), nullable=False, server_default="unknown"),
    at_column("health_since"),
    Column("health_reason", Text),
    Column("instance_try", SmallInteger, nullable=False, server_default="1"),
    Column("host_key", Text),
    at_column("drain_until"),
)

ip_tenures = Table(
    "ip_tenures",
    metadata,
    id_column(),
    node_id_column(),
    Column("ip_address", INET, nullable=False),
    at_column("began_at", nullable=False),
    at_column("ended_at"),
)

node_actions = Table(
    "node_actions",
    metadata,
    id_column(),
    node_id_column(),
    Column("kind", String(30), nullable=False),
    Column("status", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", JSONB, nullable=False, server_default="{}"),
    Column("requested_by", String(100), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("attempts", JSONB, nullable=False, server_default="[]"),
    Column("run_id", String(40)),
    Column("outcome", Text),
    Column("refusal_rule", String(40)),
    Column("refusal_count", Integer, nullable=False, server_default="0"),
    at_column("planned_at", nullable=False),
    at_column("retry_at"),
    at_column("dispatched_at"),
    at_column("started_at"),
    at_column("finished_at"),
    Column("decided_by", String(100)),
    at_column("decided_at"),
)

node_transitions = Table(
    "node_transitions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    node_id_column(),
    Column("from_status", String(50)),
    Column("to_status", String(50), nullable=False),
    Column("event", String(50), nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", String(100), nullable=False),
    Column("action_id", Uuid, ForeignKey(f"{SCHEMA}.node_actions.id")),
    Column("run_id", String(40)),
    at_column("happened_at", nullable=False),
)

provisioning_steps = Table(
    "provisioning_steps",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True),
    Column("step", String(40), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("progress", Text),
    Column("result", JSONB, nullable=False, server_default="{}"),
    Column("error", Text),
    at_column("started_at", nullable=False),
    at_column("finished_at"),
    Column("action_id", Uuid, ForeignKey(f"{SCHEMA}.node_actions.id")),
)

provider_instances = Table(
    "provider_instances",
    metadata,
    Column("provider_id", String(255), primary_key=True),
    Column("label", Text, nullable=False),
    Column("region", String(50), nullable=False),
    Column("plan", String(50), nullable=False),
    Column("status", String(30), nullable=False),
    Column("ip_address", INET),
    at_column("created_at", nullable=False),
    at_column("seen_at", nullable=False),
    Column("extra_addresses", SmallInteger, nullable=False, server_default="0"),
)

instance_drift = Table(
    "instance_drift",
    metadata,
    id_column(),
    Column("kind", String(30), nullable=False),
    node_id_column(nullable=True),
    Column("provider_id", String(255), nullable=False),
    Column("detail", Text, nullable=False),
    at_column("first_seen_at", nullable=False),
    at_column("last_seen_at", nullable=False),
    at_column("resolved_at"),
)

fleet_switches = Table(
    "fleet_switches",
    metadata,
    Column("name", String(30), primary_key=True),
    Column("value", Text, nullable=False),
    Column("set_by", String(100), nullable=False),
    at_column("set_at", nullable=False),
)

# A view: outside the metadata, so that nothing takes it for a table to create.
sending_rotation = Table(
    "sending_rotation",
    MetaData(schema=SCHEMA),
    Column("node_id", Uuid),
    Column("label", String(63)),
    Column("ip_address", INET),
    Column("hostname", String(255)),
    Column("region", String(50)),
    Column("plan", String(50)),
    Column("status", String(50)),
    # Messages that this hour and this day (UTC) may still see; NULL: no limit but the plan's.
    Column("hour_left", BigInteger),
    Column("day_left", BigInteger),
)

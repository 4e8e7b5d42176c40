"""The schema `fleet` as SQLAlchemy Core tables, for queries. The migrations make it; a test holds the two together.

Constraints and indexes stand in the migrations alone: the database holds them, and queries do not need to know.
"""

from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
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
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB

SCHEMA = "fleet"

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

metadata = MetaData(schema=SCHEMA)


def _at(name: str, *, nullable: bool = True) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _id() -> Column[UUID]:
    return Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()"))


def _node_id(*, nullable: bool = False) -> Column[UUID]:
    return Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), nullable=nullable)


sending_nodes = Table(
    "sending_nodes",
    metadata,
    _id(),
    Column("provider_id", String(255), unique=True),
    Column("ip_address", INET),
    Column("hostname", String(255)),
    Column("region", String(50), nullable=False),
    Column("status", String(50), nullable=False, server_default="provisioning"),
    Column("reputation_score", Integer, nullable=False, server_default="100"),
    Column("current_load", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    _at("last_heartbeat"),
    Column("label", String(63), nullable=False, unique=True),
    Column("plan", String(50), nullable=False),
    Column("requested_by", String(100), nullable=False),
    Column("hold_reason", Text),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("version", Integer, nullable=False, server_default="1"),
)

ip_tenures = Table(
    "ip_tenures",
    metadata,
    _id(),
    _node_id(),
    Column("ip_address", INET, nullable=False),
    _at("began_at", nullable=False),
    _at("ended_at"),
)

node_actions = Table(
    "node_actions",
    metadata,
    _id(),
    _node_id(),
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
    _at("planned_at", nullable=False),
    _at("retry_at"),
    _at("dispatched_at"),
    _at("started_at"),
    _at("finished_at"),
)

node_transitions = Table(
    "node_transitions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _node_id(),
    Column("from_status", String(50)),
    Column("to_status", String(50), nullable=False),
    Column("event", String(50), nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", String(100), nullable=False),
    Column("action_id", Uuid, ForeignKey(f"{SCHEMA}.node_actions.id")),
    Column("run_id", String(40)),
    _at("happened_at", nullable=False),
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
    _at("started_at", nullable=False),
    _at("finished_at"),
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
    _at("created_at", nullable=False),
    _at("seen_at", nullable=False),
)

instance_drift = Table(
    "instance_drift",
    metadata,
    _id(),
    Column("kind", String(30), nullable=False),
    _node_id(nullable=True),
    Column("provider_id", String(255), nullable=False),
    Column("detail", Text, nullable=False),
    _at("first_seen_at", nullable=False),
    _at("last_seen_at", nullable=False),
    _at("resolved_at"),
)

ip_blacklist_events = Table(
    "ip_blacklist_events",
    metadata,
    _id(),
    _node_id(nullable=True),
    Column("blacklist_provider", String(100), nullable=False),
    _at("listed_at", nullable=False),
    _at("delisted_at"),
    Column("details", Text),
    Column("ip_address", INET, nullable=False),
    Column("zone", String(255), nullable=False),
    Column("codes", ARRAY(Text), nullable=False),
    Column("reason", Text),
    Column("severity", String(20), nullable=False),
    _at("suspected_at", nullable=False),
)

blacklist_states = Table(
    "blacklist_states",
    metadata,
    Column("ip_address", INET, primary_key=True),
    Column("zone", String(255), primary_key=True),
    Column("state", String(20), nullable=False),
    _at("since", nullable=False),
    Column("facts", JSONB, nullable=False),
    _at("updated_at", nullable=False),
)

blacklist_health = Table(
    "blacklist_health",
    metadata,
    Column("zone", String(255), primary_key=True),
    Column("resolver", String(255), primary_key=True),
    Column("ip_version", SmallInteger, primary_key=True, autoincrement=False),
    Column("is_healthy", Boolean, nullable=False),
    Column("reason", Text),
    _at("since", nullable=False),
    _at("checked_at", nullable=False),
)

blacklist_freezes = Table(
    "blacklist_freezes",
    metadata,
    _id(),
    Column("zone", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    _at("frozen_at", nullable=False),
    _at("lifted_at"),
    Column("lifted_by", String(100)),
)

fleet_switches = Table(
    "fleet_switches",
    metadata,
    Column("name", String(30), primary_key=True),
    Column("value", Text, nullable=False),
    Column("set_by", String(100), nullable=False),
    _at("set_at", nullable=False),
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
)

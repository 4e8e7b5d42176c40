"""The schema `fleet` as SQLAlchemy Core tables, for queries. The migrations make it; a test holds the two together.

Constraints and indexes stand in the migrations alone: the database holds them, and queries do not need to know.
Comments stand here alone: they are the one description of each table and column, which `descriptions.py` gives to the
database, and the assets to the UI.
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


def at_column(name: str, comment: str, *, nullable: bool = True) -> Column[datetime]:
    """A moment, aware."""
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=comment)


def id_column(comment: str) -> Column[UUID]:
    """An id that the database makes."""
    return Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()"), comment=comment)


def node_id_column(comment: str = "the node", *, nullable: bool = False) -> Column[UUID]:
    """The node that a row is about."""
    return Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), nullable=nullable, comment=comment)


def node_key(comment: str = "the node") -> Column[UUID]:
    """The node that a row is about, as the key or the first part of it."""
    return Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True, comment=comment)


def action_id_column(comment: str) -> Column[UUID]:
    """The action that a row came of."""
    return Column("action_id", Uuid, ForeignKey(f"{SCHEMA}.node_actions.id"), comment=comment)


sending_nodes = Table(
    "sending_nodes",
    metadata,
    id_column("the node's id, for its whole life, whatever instance and address it has"),
    Column("provider_id", String(255), unique=True, comment="the provider's id of its instance; null: it has none now"),
    Column("ip_address", INET, comment="the address that it sends from"),
    Column("hostname", String(255), comment="its name in DNS: forward, reverse and HELO"),
    Column("region", String(50), nullable=False, comment="the provider's region"),
    Column(
        "status",
        String(50),
        nullable=False,
        server_default="provisioning",
        comment="its place in its life: provisioning, warming, active, paused, maintenance or decommissioned",
    ),
    Column(
        "reputation_score",
        Integer,
        nullable=False,
        server_default="100",
        comment="0 (burnt) to 100 (spotless), as last reckoned",
    ),
    Column(
        "current_load",
        Integer,
        nullable=False,
        server_default="0",
        comment="unused: its load stands in fleet.capacity_utilisation",
    ),
    Column(
        "created_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("now()"),
        comment="when it was asked for",
    ),
    at_column("last_heartbeat", "when its newest heartbeat arrived, as of the last measurement"),
    Column("label", String(63), nullable=False, unique=True, comment="its name for people, such as node-dallas-001"),
    Column("plan", String(50), nullable=False, comment="the provider's plan"),
    Column("requested_by", String(100), nullable=False, comment="who asked for it: person:..., api:... or policy:..."),
    Column("hold_reason", Text, comment="why it is paused or in maintenance; null otherwise"),
    Column(
        "updated_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("now()"),
        comment="when the row changed",
    ),
    Column("version", Integer, nullable=False, server_default="1", comment="grows by one with every change of status"),
    Column(
        "health",
        String(20),
        nullable=False,
        server_default="unknown",
        comment="healthy, unhealthy, or unknown (never spoke)",
    ),
    at_column("health_since", "since when its health is so"),
    Column("health_reason", Text, comment="what its health was judged by"),
    Column(
        "instance_try",
        SmallInteger,
        nullable=False,
        server_default="1",
        comment="which instance it is on, from 1: one with a burnt address is given back, and another one ordered",
    ),
    Column("host_key", Text, comment="its SSH host's public key, pinned at the first installation"),
    at_column("drain_until", "until when it only delivers what is queued, before it leaves; null: it is not leaving"),
    comment="Every node that was ever asked for, a row each, with its place in its life as it is now.",
)

ip_tenures = Table(
    "ip_tenures",
    metadata,
    id_column("the tenure's id"),
    node_id_column("the node that held the address"),
    Column("ip_address", INET, nullable=False, comment="the address"),
    at_column("began_at", "when the node got it", nullable=False),
    at_column("ended_at", "when the node gave it up; null: it holds it now"),
    comment="Which node held which address, and when: an address changes hands, and reputation stays with the address.",
)

node_actions = Table(
    "node_actions",
    metadata,
    id_column("the action's id"),
    node_id_column("the node that it is done to"),
    Column(
        "kind",
        String(30),
        nullable=False,
        comment="pause, resume, provision, release, recover, maintenance, reinstall, resize, advance_warmup, "
        "decommission",
    ),
    Column(
        "status",
        String(20),
        nullable=False,
        comment="proposed (waits for a person), planned, running, succeeded, failed, refused (by a rule) or rejected",
    ),
    Column("reason", Text, nullable=False, comment="why, in words"),
    Column("evidence", JSONB, nullable=False, server_default="{}", comment="the facts that it was decided by"),
    Column("requested_by", String(100), nullable=False, comment="who wants it: person:..., api:... or policy:..."),
    Column("attempt", Integer, nullable=False, server_default="1", comment="which attempt this is, from 1"),
    Column(
        "attempts", JSONB, nullable=False, server_default="[]", comment="the attempts that ended, with their outcomes"
    ),
    Column("run_id", String(40), comment="the run of Dagster that carries it out, or did last"),
    Column("outcome", Text, comment="what became of it, in words"),
    Column("refusal_rule", String(40), comment="the guardrail that refused it; null unless refused"),
    Column(
        "refusal_count", Integer, nullable=False, server_default="0", comment="how often the same was refused in a row"
    ),
    at_column("planned_at", "when it was decided", nullable=False),
    at_column("retry_at", "before when it is not tried again; null: at once"),
    at_column("dispatched_at", "when a run was asked for; null: none was yet"),
    at_column("started_at", "when its present or last attempt began"),
    at_column("finished_at", "when it came to its end; null while it is open"),
    Column("decided_by", String(100), comment="who approved or rejected it, where it was proposed"),
    at_column("decided_at", "when that was"),
    comment="The ledger: everything that was done to a node, is to be done, or was refused, and why.",
)

node_transitions = Table(
    "node_transitions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="grows with time"),
    node_id_column(),
    Column("from_status", String(50), comment="the status before; null of the first"),
    Column("to_status", String(50), nullable=False, comment="the status after"),
    Column("event", String(50), nullable=False, comment="what happened to it, a word of the life's table"),
    Column("reason", Text, nullable=False, comment="why, in words"),
    Column("requested_by", String(100), nullable=False, comment="who wanted it: person:..., api:... or policy:..."),
    action_id_column("the action that did it; null: it came of no action"),
    Column("run_id", String(40), comment="the run of Dagster in which it happened; null: in none"),
    at_column("happened_at", "when", nullable=False),
    comment="Every change of a node's status. Rows are added only; the database refuses to change or remove any.",
)

provisioning_steps = Table(
    "provisioning_steps",
    metadata,
    node_key(),
    Column("step", String(40), primary_key=True, comment="the step of provisioning, installing or releasing"),
    Column("status", String(20), nullable=False, comment="running, succeeded or failed"),
    Column("attempt", Integer, nullable=False, comment="the action's attempt in which it last ran"),
    Column("run_id", String(40), nullable=False, comment="the run of Dagster in which it last ran"),
    Column("progress", Text, comment="what it waits for, in words"),
    Column("result", JSONB, nullable=False, server_default="{}", comment="what it found or made, for the later steps"),
    Column("error", Text, comment="why it failed; null unless it did"),
    at_column("started_at", "when the action first began it: its time-out counts from there", nullable=False),
    at_column("finished_at", "when it ended; null while it runs"),
    action_id_column("the action that it is a step of"),
    comment="How far each node's newest provisioning, installation or release has come, a row a step.",
)

provider_instances = Table(
    "provider_instances",
    metadata,
    Column("provider_id", String(255), primary_key=True, comment="the provider's id of the instance"),
    Column(
        "label",
        Text,
        nullable=False,
        comment="its name at the provider; ours begin with the fleet's name and end with the node's token",
    ),
    Column("region", String(50), nullable=False, comment="the provider's region"),
    Column("plan", String(50), nullable=False, comment="the provider's plan"),
    Column(
        "status",
        String(30),
        nullable=False,
        comment="in the provider's words: provisioning, running, resizing, stopped, suspended, error",
    ),
    Column("ip_address", INET, comment="its IPv4 address, once assigned"),
    at_column("created_at", "when the provider created it", nullable=False),
    at_column("seen_at", "when the listing was taken", nullable=False),
    Column("extra_addresses", SmallInteger, nullable=False, server_default="0", comment="addresses beyond the first"),
    comment="The provider's newest listing of the account, instances of others' included. Replaced whole each time.",
)

instance_drift = Table(
    "instance_drift",
    metadata,
    id_column("the difference's id"),
    Column(
        "kind",
        String(30),
        nullable=False,
        comment="orphan (billed, held by no node), ghost (node without instance), changed_address, changed_plan, "
        "stray_record (in DNS without a node)",
    ),
    node_id_column("the node concerned, where one is known", nullable=True),
    Column("provider_id", String(255), nullable=False, comment="the instance concerned"),
    Column("detail", Text, nullable=False, comment="both sides of the difference"),
    at_column("first_seen_at", "when it was first seen", nullable=False),
    at_column("last_seen_at", "when it was last seen", nullable=False),
    at_column("resolved_at", "when it was first not seen any more; null while it stands"),
    comment="Where the registry and the provider or DNS differ, or differed.",
)

fleet_switches = Table(
    "fleet_switches",
    metadata,
    Column("name", String(30), primary_key=True, comment="freeze (the fleet does nothing by itself), or provider"),
    Column("value", Text, nullable=False, comment="why it is frozen, or which provider this database's nodes live at"),
    Column("set_by", String(100), nullable=False, comment="who set it"),
    at_column("set_at", "when it was set", nullable=False),
    comment="What is set for the whole fleet. No row: not set.",
)

# A view: outside the metadata, so that nothing takes it for a table to create.
sending_rotation = Table(
    "sending_rotation",
    MetaData(schema=SCHEMA),
    Column("node_id", Uuid, comment="the node"),
    Column("label", String(63), comment="its name for people"),
    Column("ip_address", INET, comment="the address that it sends from"),
    Column("hostname", String(255), comment="its name in DNS"),
    Column("region", String(50), comment="the provider's region"),
    Column("plan", String(50), comment="the provider's plan"),
    Column("status", String(50), comment="warming or active"),
    Column("hour_left", BigInteger, comment="messages that this hour may still see; null: no limit but the plan's"),
    Column("day_left", BigInteger, comment="messages that this day (UTC) may still see; null: no limit but the plan's"),
    comment="The nodes that may send now: in service, heard of, not listed gravely, not leaving, not being worked on.",
)

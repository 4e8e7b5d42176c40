"""The tables of telemetry, health and alerts, for queries; constraints stand in the migrations, as in `tables.py`."""

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import INET, JSONB

from penguin_infra.store.tables import SCHEMA, at_column, id_column, metadata, node_id_column

agent_tokens = Table(
    "agent_tokens",
    metadata,
    id_column(),
    node_id_column(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    at_column("created_at", nullable=False),
    at_column("revoked_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    id_column(),
    Column("name", String(100), nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scope", String(20), nullable=False),
    Column("created_by", String(100), nullable=False),
    at_column("created_at", nullable=False),
    at_column("revoked_at"),
)

api_requests = Table(
    "api_requests",
    metadata,
    Column("api_key_id", Uuid, ForeignKey(f"{SCHEMA}.api_keys.id"), primary_key=True),
    Column("idempotency_key", String(200), primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("answer", JSONB, nullable=False),
    at_column("created_at", nullable=False),
)

gateway_clock = Table(
    "gateway_clock",
    metadata,
    Column("id", SmallInteger, primary_key=True, server_default="1", autoincrement=False),
    Column("served_seconds", Double, nullable=False),
    at_column("ticked_at", nullable=False),
)


def _probe_columns() -> list[Column[object]]:
    return [
        Column("cpu_percent", REAL),
        Column("memory_percent", REAL),
        Column("disk_percent", REAL),
        Column("rx_bytes_per_second", Double),
        Column("tx_bytes_per_second", Double),
        Column("queue_active", Integer),
        Column("queue_deferred", Integer),
        Column("queue_held", Integer),
        Column("queue_oldest_seconds", Integer),
    ]


node_pulses = Table(
    "node_pulses",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True),
    at_column("received_at", nullable=False),
    Column("served_seconds", Double, nullable=False),
    at_column("sent_at", nullable=False),
    Column("boot_id", String(64), nullable=False),
    Column("agent_version", String(30), nullable=False),
    Column("mta_state", String(10), nullable=False),
    Column("transport", String(10), nullable=False),
    Column("directive_version", BigInteger),
    *_probe_columns(),
    Column("details", JSONB, nullable=False, server_default="{}"),
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("node_id", Uuid, nullable=False),
    at_column("received_at", nullable=False),
    Column("mta_state", String(10), nullable=False),
    *_probe_columns(),
    Column("transport", String(10)),
)

delivery_batches = Table(
    "delivery_batches",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True),
    Column("stream", String(100), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    at_column("received_at", nullable=False),
    Column("unread_lines", Integer, nullable=False, server_default="0"),
    Column("dropped_batches", Integer, nullable=False, server_default="0"),
)

delivery_counts = Table(
    "delivery_counts",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True),
    Column("bucket_at", at_column("bucket_at").type, primary_key=True),
    Column("mailbox_provider", String(20), primary_key=True),
    Column("result", String(20), primary_key=True),
    Column("messages", BigInteger, nullable=False),
)

delivery_rates = Table(
    "delivery_rates",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True),
    Column("span", String(10), primary_key=True),
    Column("mailbox_provider", String(20), primary_key=True),
    at_column("since_at", nullable=False),
    at_column("measured_at", nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("hard_bounces", BigInteger, nullable=False),
    Column("soft_bounces", BigInteger, nullable=False),
    Column("policy_rejections", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("deferrals", BigInteger, nullable=False),
    Column("complaints", BigInteger, nullable=False),
    Column("attempted", BigInteger, nullable=False),
    Column("bounce_rate", Double),
    Column("bounce_lower", Double, nullable=False),
    Column("bounce_upper", Double, nullable=False),
    Column("complaint_rate", Double),
    Column("complaint_lower", Double, nullable=False),
    Column("complaint_upper", Double, nullable=False),
    Column("policy_rejection_rate", Double),
    Column("policy_rejection_lower", Double, nullable=False),
    Column("policy_rejection_upper", Double, nullable=False),
)

complaints = Table(
    "complaints",
    metadata,
    id_column(),
    node_id_column(nullable=True),
    Column("attribution", String(30), nullable=False),
    Column("source_ip", INET),
    at_column("arrived_at"),
    at_column("received_at", nullable=False),
    Column("feedback_type", String(50), nullable=False),
    Column("mailbox_provider", String(20), nullable=False),
    Column("incidents", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
)

node_health_events = Table(
    "node_health_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    node_id_column(),
    Column("health", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    at_column("happened_at", nullable=False),
)

node_directives = Table(
    "node_directives",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True),
    Column("restart", String(10), nullable=False),
    Column("restart_id", Uuid, nullable=False),
    at_column("requested_at", nullable=False),
)

recovery_steps = Table(
    "recovery_steps",
    metadata,
    Column("action_id", Uuid, ForeignKey(f"{SCHEMA}.node_actions.id"), primary_key=True),
    Column("step", String(20), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("run_id", String(40), nullable=False),
    Column("asked_for", Text, nullable=False),
    at_column("asked_at", nullable=False),
    Column("asked_served_seconds", Double, nullable=False),
    Column("outcome", Text),
    at_column("finished_at"),
)

alerts = Table(
    "alerts",
    metadata,
    id_column(),
    Column("rule", String(50), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("severity", String(10), nullable=False),
    Column("summary", Text, nullable=False),
    Column("evidence", JSONB, nullable=False, server_default="{}"),
    node_id_column(nullable=True),
    Column("run_id", String(40)),
    at_column("opened_at", nullable=False),
    at_column("updated_at", nullable=False),
    at_column("resolved_at"),
    Column("resolution", Text),
)

# A view: outside the metadata, as `tables.sending_rotation` is.
silent_nodes = Table(
    "silent_nodes",
    MetaData(schema=SCHEMA),
    Column("node_id", Uuid),
    Column("silent_seconds", Double),
)

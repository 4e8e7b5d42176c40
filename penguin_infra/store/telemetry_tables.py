"""The tables of telemetry, health and alerts, for queries; constraints stand in the migrations, as in `tables.py`."""

from sqlalchemy import (
    REAL,
    BigInteger,
    Column,
    DateTime,
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

from penguin_infra.store.tables import SCHEMA, at_column, id_column, metadata, node_id_column, node_key

agent_tokens = Table(
    "agent_tokens",
    metadata,
    id_column("the token's id"),
    node_id_column("the node that it speaks for"),
    Column(
        "token_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the token, which is kept nowhere"
    ),
    at_column("created_at", "when it was made", nullable=False),
    at_column("revoked_at", "from when on it is refused; null: it is good"),
    comment="By what the nodes' agents prove to the gateway who they are.",
)

api_keys = Table(
    "api_keys",
    metadata,
    id_column("the key's id"),
    Column("name", String(100), nullable=False, comment="whose it is; of the live ones, each name once"),
    Column("key_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the key, which is kept nowhere"),
    Column("scope", String(20), nullable=False, comment="read, operate or admin: each may what those before it may"),
    Column("created_by", String(100), nullable=False, comment="who made it"),
    at_column("created_at", "when it was made", nullable=False),
    at_column("revoked_at", "from when on it is refused; null: it is good"),
    comment="By what callers prove to the HTTP API who they are, and what they may do.",
)

api_requests = Table(
    "api_requests",
    metadata,
    Column("api_key_id", Uuid, ForeignKey(f"{SCHEMA}.api_keys.id"), primary_key=True, comment="the key that asked"),
    Column("idempotency_key", String(200), primary_key=True, comment="the caller's own name of the request"),
    Column("request_hash", LargeBinary, nullable=False, comment="SHA-256 of what was asked, to tell a repeat by"),
    Column("answer", JSONB, nullable=False, comment="what it was answered, and a repeat of it will be"),
    at_column("created_at", "when it was first asked", nullable=False),
    comment="Requests that are carried out once, however often they come.",
)

gateway_clock = Table(
    "gateway_clock",
    metadata,
    Column(
        "id", SmallInteger, primary_key=True, server_default="1", autoincrement=False, comment="1: there is one row"
    ),
    Column("served_seconds", Double, nullable=False, comment="for how long gateways have served, in all, seconds"),
    at_column("ticked_at", "when a gateway last moved it on", nullable=False),
    comment="The gateways' clock. It stands still while none serves, so that an outage ages nobody's heartbeat.",
)

_PERCENT = "percent, null where it could not be read"
_QUEUE = "messages in this queue of the MTA"


def _probe_columns() -> list[Column[object]]:
    return [
        Column("cpu_percent", REAL, comment=_PERCENT),
        Column("memory_percent", REAL, comment=_PERCENT),
        Column("disk_percent", REAL, comment=f"the queue's file system, {_PERCENT}"),
        Column("rx_bytes_per_second", Double, comment="received"),
        Column("tx_bytes_per_second", Double, comment="sent"),
        Column("queue_active", Integer, comment=_QUEUE),
        Column("queue_deferred", Integer, comment=_QUEUE),
        Column("queue_held", Integer, comment=_QUEUE),
        Column("queue_oldest_seconds", Integer, comment="the age of the oldest message"),
    ]


node_pulses = Table(
    "node_pulses",
    metadata,
    node_key(),
    at_column("received_at", "when its newest heartbeat arrived, by the server's clock", nullable=False),
    Column(
        "served_seconds",
        Double,
        nullable=False,
        comment="the gateways' clock then: silence is measured in the time for which they served",
    ),
    at_column("sent_at", "when the node sent it, by its own clock", nullable=False),
    Column("boot_id", String(64), nullable=False, comment="changes with every boot of the node"),
    Column("agent_version", String(30), nullable=False, comment="the agent that runs there"),
    Column("mta_state", String(10), nullable=False, comment="up, down or absent"),
    Column(
        "transport",
        String(10),
        nullable=False,
        comment="whether the agent holds or releases Postfix's outgoing transport",
    ),
    Column("directive_version", BigInteger, comment="the directive that the agent follows"),
    *_probe_columns(),
    Column("details", JSONB, nullable=False, server_default="{}", comment="why mails wait, without any address"),
    comment="The newest heartbeat of each node that ever spoke.",
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("node_id", Uuid, nullable=False, comment="the node"),
    at_column("received_at", "when the heartbeat arrived, by the server's clock", nullable=False),
    Column("mta_state", String(10), nullable=False, comment="up, down or absent"),
    *_probe_columns(),
    Column(
        "transport",
        String(10),
        comment="whether the agent holds or releases Postfix's outgoing transport; null of old agents",
    ),
    comment="The heartbeats of the last days, one in 30 seconds a node, a partition a day (UTC).",
)

delivery_batches = Table(
    "delivery_batches",
    metadata,
    node_key(),
    Column("stream", String(100), primary_key=True, comment="the agent's spool: another one after it lost its disk"),
    Column(
        "sequence",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="the batch's number, one by one in a stream",
    ),
    at_column("received_at", "when it arrived", nullable=False),
    Column(
        "unread_lines",
        Integer,
        nullable=False,
        server_default="0",
        comment="log lines that the agent did not understand",
    ),
    Column(
        "dropped_batches",
        Integer,
        nullable=False,
        server_default="0",
        comment="batches before it that the agent gave up for want of room",
    ),
    comment="Every batch of counts that was ever taken from an agent, so that none counts twice.",
)

_MAILBOX_PROVIDER = "gmail, microsoft, yahoo, apple or other"

delivery_counts = Table(
    "delivery_counts",
    metadata,
    node_key(),
    Column("bucket_at", DateTime(timezone=True), primary_key=True, comment="the beginning of the five minutes (UTC)"),
    Column("mailbox_provider", String(20), primary_key=True, comment=_MAILBOX_PROVIDER),
    Column(
        "result",
        String(20),
        primary_key=True,
        comment="sent, hard_bounce, soft_bounce, policy_rejection, expired, or deferred (no end, but a wait)",
    ),
    Column("messages", BigInteger, nullable=False, comment="messages that came to it"),
    comment="What became of the mail, by five minutes, as the nodes' agents counted it.",
)

delivery_rates = Table(
    "delivery_rates",
    metadata,
    node_key("the node that sent"),
    Column(
        "span",
        String(10),
        primary_key=True,
        comment="recent (24 hours or the last 10,000 messages, whichever holds more) or hour",
    ),
    Column("mailbox_provider", String(20), primary_key=True, comment="where the mail went; all: everywhere"),
    at_column("since_at", "the span's beginning", nullable=False),
    at_column("measured_at", "the span's end; what is older than ten minutes pauses nobody", nullable=False),
    *(
        Column(name, BigInteger, nullable=False, comment=comment)
        for name, comment in {
            "sent": "messages taken",
            "hard_bounces": "messages for addresses that do not exist (5.1.x, 5.2.1)",
            "soft_bounces": "messages that failed for good for another cause",
            "policy_rejections": "messages rejected for the sender's sake (5.7.x)",
            "expired": "messages given up after the queue's life time",
            "deferrals": "messages that waited at least once; no end, in no rate",
            "complaints": "incidents that recipients reported, by when the mail arrived",
            "attempted": "sent, bounced, rejected and expired messages",
        }.items()
    ),
    Column("bounce_rate", Double, comment="hard bounces of the attempted, 0 to 1; null of nothing"),
    Column("bounce_lower", Double, nullable=False, comment="what the bounce rate is at least (Wilson, 95 %)"),
    Column("bounce_upper", Double, nullable=False, comment="what the bounce rate is at most"),
    Column("complaint_rate", Double, comment="complaints of the sent, 0 to 1; null of nothing"),
    Column("complaint_lower", Double, nullable=False, comment="what the complaint rate is at least (Wilson, 95 %)"),
    Column("complaint_upper", Double, nullable=False, comment="what the complaint rate is at most"),
    Column("policy_rejection_rate", Double, comment="policy rejections of the attempted, 0 to 1; null of nothing"),
    Column("policy_rejection_lower", Double, nullable=False, comment="what that rate is at least (Wilson, 95 %)"),
    Column("policy_rejection_upper", Double, nullable=False, comment="what that rate is at most"),
    comment="How each node's mail fares, as last measured: a node, span and mailbox provider a row.",
)

complaints = Table(
    "complaints",
    metadata,
    id_column("the report's id"),
    node_id_column("the node that held the address when the mail arrived; null: not known", nullable=True),
    Column(
        "attribution",
        String(30),
        nullable=False,
        comment="attributed, or why no node is known: no_source_ip, no_arrival_date, unknown_address",
    ),
    Column("source_ip", INET, comment="the address that the mail came from, by the report"),
    at_column("arrived_at", "when the mail arrived there, by the report"),
    at_column("received_at", "when the report came", nullable=False),
    Column("feedback_type", String(50), nullable=False, comment="abuse, fraud, not-spam ... (RFC 5965)"),
    Column("mailbox_provider", String(20), nullable=False, comment=_MAILBOX_PROVIDER),
    Column("incidents", Integer, nullable=False, comment="how many complaints the report stands for"),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="SHA-256 of the report: the same counts once"),
    comment="Recipients' complaints, as mailbox providers report them (ARF).",
)

node_health_events = Table(
    "node_health_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="grows with time"),
    node_id_column(),
    Column("health", String(20), nullable=False, comment="what it became: healthy, unhealthy or unknown"),
    Column("reason", Text, nullable=False, comment="what that was judged by"),
    at_column("happened_at", "when it was judged so", nullable=False),
    comment="Every change of a node's health.",
)

node_directives = Table(
    "node_directives",
    metadata,
    node_key(),
    Column("restart", String(10), nullable=False, comment="what the agent is to restart: mta or agent"),
    Column("restart_id", Uuid, nullable=False, comment="tells a repeat of the same wish from another one"),
    at_column("requested_at", "when it was wished for", nullable=False),
    comment="What agents are asked to restart, until they say that it is done.",
)

recovery_steps = Table(
    "recovery_steps",
    metadata,
    Column("action_id", Uuid, ForeignKey(f"{SCHEMA}.node_actions.id"), primary_key=True, comment="the recovery"),
    Column("step", String(20), primary_key=True, comment="directive, services or reboot, in this order"),
    Column("status", String(20), nullable=False, comment="waiting, succeeded or failed"),
    Column("run_id", String(40), nullable=False, comment="the run of Dagster that asked"),
    Column("asked_for", Text, nullable=False, comment="what was asked of whom, in words"),
    at_column("asked_at", "when", nullable=False),
    Column("asked_served_seconds", Double, nullable=False, comment="the gateways' clock then, seconds"),
    Column("outcome", Text, comment="whether the node came back, in words"),
    at_column("finished_at", "when that was known; null while it waits"),
    comment="What each recovery tried, the mildest first, and whether it helped.",
)

alerts = Table(
    "alerts",
    metadata,
    id_column("the alert's id"),
    Column(
        "rule",
        String(50),
        nullable=False,
        comment="the rule that found it; each has its section in the operators' guide",
    ),
    Column(
        "subject",
        String(255),
        nullable=False,
        comment="what it is about: a node, an address on a list, a list, an instance, the fleet",
    ),
    Column(
        "severity",
        String(10),
        nullable=False,
        comment="high: look at once; medium: today; low: when there is time",
    ),
    Column("summary", Text, nullable=False, comment="what is the matter, and what to do"),
    Column("evidence", JSONB, nullable=False, server_default="{}", comment="the facts that the rule judged by"),
    node_id_column("the node concerned, where it is one", nullable=True),
    Column("run_id", String(40), comment="the run that found it, or last found it changed"),
    at_column("opened_at", "when it was first found", nullable=False),
    at_column("updated_at", "when it last changed", nullable=False),
    at_column("resolved_at", "when it was first not found any more; null while it is open"),
    Column("resolution", Text, comment="why it is closed"),
    comment="What a person must know of, now or then. Resolved ones stay.",
)

# A view: outside the metadata, as `tables.sending_rotation` is.
silent_nodes = Table(
    "silent_nodes",
    MetaData(schema=SCHEMA),
    Column("node_id", Uuid, comment="the node"),
    Column("silent_seconds", Double, comment="for how long nothing was heard of it while gateways served, seconds"),
    comment="Nodes that missed three heartbeats or more. Those that never spoke are not among them.",
)

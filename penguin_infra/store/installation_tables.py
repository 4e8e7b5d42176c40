"""The tables of a node's installation, for queries; constraints stand in the migrations, as in `tables.py`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET

from penguin_infra.store.tables import SCHEMA, at_column, id_column, metadata, node_id_column

dns_records = Table(
    "dns_records",
    metadata,
    id_column(),
    node_id_column(),
    Column("name", String(255), nullable=False),
    Column("rdtype", String(10), nullable=False),
    Column("value", Text, nullable=False),
    at_column("wanted_at", nullable=False),
    at_column("published_at"),
    at_column("removed_at"),
)

address_rejections = Table(
    "address_rejections",
    metadata,
    id_column(),
    node_id_column(),
    Column("instance_try", SmallInteger, nullable=False),
    Column("provider_id", String(255), nullable=False),
    Column("ip_address", INET, nullable=False),
    Column("zone", String(255), nullable=False),
    Column("codes", ARRAY(Text), nullable=False),
    Column("reason", Text),
    at_column("rejected_at", nullable=False),
)

verification_findings = Table(
    "verification_findings",
    metadata,
    Column("node_id", Uuid, ForeignKey(f"{SCHEMA}.sending_nodes.id"), primary_key=True),
    Column("check_name", String(40), primary_key=True),
    Column("is_ok", Boolean, nullable=False),
    Column("detail", Text, nullable=False),
    Column("remedy", Text),
    Column("action_id", Uuid, ForeignKey(f"{SCHEMA}.node_actions.id")),
    at_column("found_at", nullable=False),
)

sink_messages = Table(
    "sink_messages",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("correlation_id", String(64), nullable=False),
    at_column("received_at", nullable=False),
    Column("peer_address", INET, nullable=False),
    Column("helo", String(255), nullable=False),
    Column("tls_version", String(20)),
    Column("mail_from", String(320), nullable=False),
    Column("rcpt_to", String(320), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

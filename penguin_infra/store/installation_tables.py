"""The tables of a node's installation, for queries; constraints stand in the migrations, as in `tables.py`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET

from penguin_infra.store.tables import action_id_column, at_column, id_column, metadata, node_id_column, node_key

dns_records = Table(
    "dns_records",
    metadata,
    id_column("the record's id"),
    node_id_column("the node that it is of"),
    Column("name", String(255), nullable=False, comment="its name in DNS"),
    Column("rdtype", String(10), nullable=False, comment="A, TXT or PTR"),
    Column("value", Text, nullable=False, comment="what it says"),
    at_column("wanted_at", "when it was about to be published", nullable=False),
    at_column("published_at", "when it was read back; null: not yet"),
    at_column("removed_at", "when it was taken away, and seen to be gone; null while it may be there"),
    comment="The DNS records that the fleet made or is about to make: no others are ever removed.",
)

address_rejections = Table(
    "address_rejections",
    metadata,
    id_column("the rejection's id"),
    node_id_column("the node that was to have the address"),
    Column("instance_try", SmallInteger, nullable=False, comment="which of the node's instances brought it, from 1"),
    Column("provider_id", String(255), nullable=False, comment="the provider's id of that instance"),
    Column("ip_address", INET, nullable=False, comment="the address"),
    Column("zone", String(255), nullable=False, comment="the list's DNS zone"),
    Column("codes", ARRAY(Text), nullable=False, comment="what the list answered"),
    Column("reason", Text, comment="the list's own words (TXT)"),
    at_column("rejected_at", "when", nullable=False),
    comment="Addresses that the provider gave us already listed, by list: they were given back.",
)

verification_findings = Table(
    "verification_findings",
    metadata,
    node_key(),
    Column("check_name", String(40), primary_key=True, comment="what was looked at"),
    Column("is_ok", Boolean, nullable=False, comment="whether it is as it must be"),
    Column("detail", Text, nullable=False, comment="what was found"),
    Column("remedy", Text, comment="what to do; null where it is as it must be"),
    action_id_column("the installation that looked"),
    at_column("found_at", "when", nullable=False),
    comment="What the last verification of each node found, a row a check.",
)

sink_messages = Table(
    "sink_messages",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="grows with time"),
    Column("correlation_id", String(64), nullable=False, comment="which verification it was sent for"),
    at_column("received_at", "when it arrived", nullable=False),
    Column("peer_address", INET, nullable=False, comment="the address that it came from"),
    Column("helo", String(255), nullable=False, comment="the name that the sender gave"),
    Column("tls_version", String(20), comment="how it was encrypted; null: it was not"),
    Column("mail_from", String(320), nullable=False, comment="the envelope's sender"),
    Column("rcpt_to", String(320), nullable=False, comment="the mailbox that it was for"),
    Column("content", LargeBinary, nullable=False, comment="the mail as it came over the wire"),
    comment="Verification mails that new nodes sent to the sink, for as long as they may be looked for.",
)

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

_ZONE = "the list's DNS zone"
_RESOLVER = "through whom it was asked"

ip_blacklist_events = Table(
    "ip_blacklist_events",
    metadata,
    id_column("the event's id"),
    node_id_column("the node that held the address when it was listed", nullable=True),
    Column("blacklist_provider", String(100), nullable=False, comment="the list, by its operator's name"),
    at_column(
        "listed_at", "the confirmation, past the first answer's TTL or through a second resolver", nullable=False
    ),
    at_column("delisted_at", "the third clean answer over at least an hour; null while listed"),
    Column(
        "details", Text, comment="the codes' meanings, and the answer that confirmed them: addresses, TTL, resolver"
    ),
    Column("ip_address", INET, nullable=False, comment="the listed address"),
    Column("zone", String(255), nullable=False, comment=_ZONE),
    Column("codes", ARRAY(Text), nullable=False, comment="the confirmed return codes"),
    Column("reason", Text, comment="the list's own words (TXT)"),
    Column(
        "severity",
        String(20),
        nullable=False,
        comment="the gravest code's: critical and high take the node out of the rotation and pause it",
    ),
    at_column("suspected_at", "the first hit", nullable=False),
    Column("operator", String(100), comment="who runs the list: medium listings pause when two of these agree"),
    Column("delist_url", Text, comment="the operator's page about this address"),
    Column("family", String(50), comment="the list's section in the runbook"),
    comment="Every confirmed listing of an address of the fleet on a blacklist, with its end.",
)

blacklist_states = Table(
    "blacklist_states",
    metadata,
    Column("ip_address", INET, primary_key=True, comment="the address"),
    Column("zone", String(255), primary_key=True, comment=_ZONE),
    Column("state", String(20), nullable=False, comment="clean, suspect (one hit, not confirmed) or listed"),
    at_column("since", "since when the state, or the codes, are so", nullable=False),
    Column(
        "facts",
        JSONB,
        nullable=False,
        comment="codes, first hit, clean answers and last error: what a look goes on from",
    ),
    at_column("updated_at", "when a look last changed the row", nullable=False),
    at_column("asked_at", "when it was last asked"),
    at_column("answered_at", "the last answer that counted; null: never, so clean is only a default"),
    comment="Where each address stands on each list, as last asked.",
)

blacklist_observations = Table(
    "blacklist_observations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="grows with time"),
    Column("ip_address", INET, nullable=False, comment="the address"),
    Column("zone", String(255), nullable=False, comment=_ZONE),
    Column(
        "change",
        String(20),
        nullable=False,
        comment="suspected, confirmed, cleared_suspicion, delisted or changed_codes",
    ),
    Column("answer", Text, nullable=False, comment="what was answered: addresses, or that there is none"),
    Column("ttl_seconds", Integer, nullable=False, comment="for how long that may be cached, seconds"),
    Column("resolver", String(255), nullable=False, comment=_RESOLVER),
    Column("reason", Text, comment="the list's own words (TXT)"),
    at_column("observed_at", "when it was answered", nullable=False),
    comment="Every answer of a list that changed where an address stands.",
)

blacklist_health = Table(
    "blacklist_health",
    metadata,
    Column("zone", String(255), primary_key=True, comment=_ZONE),
    Column("resolver", String(255), primary_key=True, comment=_RESOLVER),
    Column("ip_version", SmallInteger, primary_key=True, autoincrement=False, comment="4 or 6"),
    Column("is_healthy", Boolean, nullable=False, comment="whether its answers count"),
    Column("reason", Text, comment="what its test points showed"),
    at_column("since", "when it last became healthy or ill", nullable=False),
    at_column("checked_at", "the last look at its test points", nullable=False),
    Column(
        "fault",
        String(30),
        comment="what is wrong: silent, refused, public_resolver, quota, emptied, wildcarded ...",
    ),
    Column(
        "passes",
        SmallInteger,
        nullable=False,
        server_default="0",
        comment="looks that passed since the fault; two end the quarantine",
    ),
    comment="How each list does at its test points, by resolver and address family.",
)

blacklist_health_changes = Table(
    "blacklist_health_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="grows with time"),
    Column("zone", String(255), nullable=False, comment=_ZONE),
    Column("resolver", String(255), nullable=False, comment=_RESOLVER),
    Column("ip_version", SmallInteger, nullable=False, comment="4 or 6"),
    Column("is_healthy", Boolean, nullable=False, comment="whether its answers count from then on"),
    Column(
        "fault", String(30), comment="what went wrong: silent, refused, public_resolver, quota, emptied, wildcarded ..."
    ),
    Column("reason", Text, comment="what its test points showed"),
    at_column("happened_at", "when", nullable=False),
    comment="Every change of a list's health, or of its fault.",
)

blacklist_freezes = Table(
    "blacklist_freezes",
    metadata,
    id_column("the freeze's id"),
    Column("zone", String(255), nullable=False, comment=_ZONE),
    Column("reason", Text, nullable=False, comment="what it answered, with the figures"),
    at_column("frozen_at", "from when on it pauses nobody", nullable=False),
    at_column("lifted_at", "when it was trusted again; null while it is frozen"),
    Column("lifted_by", String(100), comment="who said so"),
    comment="Lists that listed too much of the fleet at once: they pause nobody until a person trusts them again.",
)

# Finer than an hour, so that a window of 24 hours, rounded up to whole slots, is hardly more than those.
blacklist_questions = Table(
    "blacklist_questions",
    metadata,
    Column("zone", String(255), primary_key=True, comment=_ZONE),
    Column("slot_at", DateTime(timezone=True), primary_key=True, comment="the beginning of the ten minutes (UTC)"),
    Column("asked", BigInteger, nullable=False, comment="questions to it, whatever for: what its terms count"),
    comment="How many questions each list was asked, by ten minutes.",
)

blacklist_paces = Table(
    "blacklist_paces",
    metadata,
    Column("zone", String(255), primary_key=True, comment=_ZONE),
    Column("tokens", Double, nullable=False, comment="questions that may be asked at once, when last filled"),
    at_column("filled_at", "when that was", nullable=False),
    at_column("rests_until", "until when it is left alone after a quota error; null: it is not"),
    Column(
        "rest_count",
        SmallInteger,
        nullable=False,
        server_default="0",
        comment="rests in a row: each is longer than the last",
    ),
    Column("interval_seconds", Double, comment="how often each address's turn comes, seconds; null: it is not asked"),
    Column("refused_because", Text, comment="why its terms do not allow to ask it; null: they do"),
    comment="How fast each list may be asked, and is.",
)

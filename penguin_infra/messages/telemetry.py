"""What an agent tells and what it is told, version 1: heartbeats, delivery batches and directives, as JSON.

Field names are the wire's. Both sides build these; how each checks what it reads is its own (`from_json` here is the
agent's way, the gateway decodes into stricter shapes of the same fields).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

VERSION = 1

BUCKET_SECONDS = 300
HEARTBEAT_SECONDS = 30

MAILBOX_PROVIDERS = ("gmail", "microsoft", "yahoo", "apple", "other")

# `hard_bounce`: 5.1.x and 5.2.1, a bad list. `policy_rejection`: 5.7.x, the sender's fault. `soft_bounce`: every other
# final failure. `deferred`: counted once a (queue id, recipient). `expired`: given up after the queue's life time.
RESULTS = ("sent", "hard_bounce", "soft_bounce", "policy_rejection", "deferred", "expired")

MTA_STATES = ("up", "down", "absent")
TRANSPORTS = ("released", "held", "unknown")


@dataclass(frozen=True)
class DelayReason:
    """Why mails wait in the queue, without any address, and how many."""

    reason: str
    count: int


@dataclass(frozen=True)
class Mta:
    """The MTA as the agent sees it; `is_truncated`: the queue was longer than the agent counts."""

    state: str
    active: int | None = None
    deferred: int | None = None
    held: int | None = None
    oldest_age_seconds: int | None = None
    is_truncated: bool = False
    delay_reasons: tuple[DelayReason, ...] = ()


@dataclass(frozen=True)
class Probes:
    """The node's state; None where it could not be read. Disk is the queue's file system."""

    cpu_percent: float | None
    memory_percent: float | None
    disk_percent: float | None
    rx_bytes_per_second: float | None
    tx_bytes_per_second: float | None
    mta: Mta


@dataclass(frozen=True)
class SpoolState:
    """What waits on the agent's disk, and what was lost there since it was last acknowledged."""

    batches: int = 0
    dropped_batches: int = 0
    unread_lines: int = 0


@dataclass(frozen=True)
class Heartbeat:
    """`POST /api/v1/agents/heartbeat`. Times are ISO 8601 with an offset."""

    node_id: str
    sent_at: str
    boot_id: str
    agent_version: str
    transport: str
    probes: Probes
    spool: SpoolState = field(default_factory=SpoolState)
    directive_version: int | None = None
    restart_done_id: str | None = None
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class DeliveryCount:
    """How many deliveries ended so in one 5-minute bucket (`bucket_at`: its aligned beginning)."""

    bucket_at: str
    mailbox_provider: str
    result: str
    messages: int


@dataclass(frozen=True)
class DeliveryBatch:
    """`POST /api/v1/agents/deliveries`. (`stream`, `sequence`) numbers it: the gateway counts each once.

    `stream` is the boot id and the spool's own id; `sequence` grows by one in it.
    """

    node_id: str
    stream: str
    sequence: int
    counts: tuple[DeliveryCount, ...]
    unread_lines: int = 0
    dropped_batches: int = 0
    version: int = VERSION

    def to_json(self) -> dict[str, Any]:
        """Ready for `json.dumps`."""
        return asdict(self)


@dataclass(frozen=True)
class Directive:
    """What the agent is to do until told otherwise; `version` grows with every change, those of allowances aside.

    `transport`: `hold` or `release`. An allowance (messages; None: no limit) that is not renewed within
    `expires_in_seconds` halves. `restart`: `none`, `mta` or `agent`, once for each `restart_id`.
    """

    version: int
    transport: str
    hourly_allowance: int | None = None
    daily_allowance: int | None = None
    expires_in_seconds: int = 900
    restart: str = "none"
    restart_id: str | None = None

    @classmethod
    def from_json(cls, body: Any) -> Directive:
        """Read it from a heartbeat's answer (`{"version", "received_at", "directive"}`); raises `ValueError`."""
        try:
            told = body["directive"]
            directive = cls(
                version=int(told["version"]),
                transport=str(told["transport"]),
                hourly_allowance=_number(told.get("hourly_allowance")),
                daily_allowance=_number(told.get("daily_allowance")),
                expires_in_seconds=int(told.get("expires_in_seconds", 900)),
                restart=str(told.get("restart", "none")),
                restart_id=told.get("restart_id"),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a heartbeat's answer: {error!r}") from None
        if directive.transport not in {"hold", "release"} or directive.restart not in {"none", "mta", "agent"}:
            raise ValueError("a directive that this agent does not know")
        return directive


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))

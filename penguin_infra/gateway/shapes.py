"""The agents' messages as the gateway takes them: `messages.telemetry`, all bounded, and no unknown field.

The decoders and the OpenAPI document are made of the same shapes. No rule about times or nodes stands here.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from penguin_infra.gateway.errors import ApiError

INT_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1

Count = Annotated[int, Meta(ge=0, le=INT_MAX)]
Percent = Annotated[float, Meta(ge=0, le=100)]
# A petabit a second: more than any network interface, and far from what a double cannot hold.
BytesRate = Annotated[float, Meta(ge=0, le=1.25e14)]
At = Annotated[datetime, Meta(tz=True)]
Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", max_length=36)]

# No spaces and no control characters: PostgreSQL takes no NUL in a text, and logs no surprises.
_PRINTABLE = r"^[!-~]+$"


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class DelayReasonIn(_Strict, frozen=True):
    """Why mails wait in the queue, and how many."""

    reason: Annotated[str, Meta(max_length=300)]
    count: Count


class MtaIn(_Strict, frozen=True):
    """The MTA as the agent sees it."""

    state: Literal["up", "down", "absent"]
    active: Count | None = None
    deferred: Count | None = None
    held: Count | None = None
    oldest_age_seconds: Count | None = None
    is_truncated: bool = False
    delay_reasons: Annotated[tuple[DelayReasonIn, ...], Meta(max_length=50)] = ()


class ProbesIn(_Strict, frozen=True):
    """The node's state; null where it could not be read."""

    cpu_percent: Percent | None
    memory_percent: Percent | None
    disk_percent: Percent | None
    rx_bytes_per_second: BytesRate | None
    tx_bytes_per_second: BytesRate | None
    mta: MtaIn


class SpoolIn(_Strict, frozen=True):
    """What waits on the agent's disk, and what was lost there."""

    batches: Count = 0
    dropped_batches: Count = 0
    unread_lines: Count = 0


class HeartbeatIn(_Strict, frozen=True):
    """A heartbeat."""

    node_id: Id
    sent_at: At
    boot_id: Annotated[str, Meta(pattern=_PRINTABLE, min_length=1, max_length=64)]
    agent_version: Annotated[str, Meta(pattern=_PRINTABLE, min_length=1, max_length=30)]
    transport: Literal["released", "held", "unknown"]
    probes: ProbesIn
    spool: SpoolIn = SpoolIn()
    directive_version: Annotated[int, Meta(ge=0, le=BIGINT_MAX)] | None = None
    restart_done_id: Id | None = None
    version: Literal[1] = 1


class DeliveryCountIn(_Strict, frozen=True):
    """Deliveries of one kind in one 5-minute bucket."""

    bucket_at: At
    mailbox_provider: Literal["gmail", "microsoft", "yahoo", "apple", "other"]
    result: Literal["sent", "hard_bounce", "soft_bounce", "policy_rejection", "deferred", "expired"]
    messages: Count


class DeliveryBatchIn(_Strict, frozen=True):
    """A numbered batch of counts."""

    node_id: Id
    stream: Annotated[str, Meta(pattern=_PRINTABLE, min_length=1, max_length=100)]
    sequence: Annotated[int, Meta(ge=0, le=BIGINT_MAX)]
    counts: tuple[DeliveryCountIn, ...]
    unread_lines: Count = 0
    dropped_batches: Count = 0
    version: Literal[1] = 1


class DirectiveOut(Struct, frozen=True, kw_only=True):
    """What the agent is to do until told otherwise."""

    version: int
    transport: Literal["hold", "release"]
    hourly_allowance: int | None = None
    daily_allowance: int | None = None
    expires_in_seconds: int = 900
    restart: Literal["none", "mta", "agent"] = "none"
    restart_id: str | None = None


class HeartbeatOut(Struct, frozen=True, kw_only=True):
    """The answer to a heartbeat that is committed."""

    version: int = 1
    received_at: datetime
    directive: DirectiveOut


class DeliveriesOut(Struct, frozen=True, kw_only=True):
    """The answer to a batch that is committed, now or before."""

    version: int = 1
    is_duplicate: bool


class ErrorIn(Struct, frozen=True, kw_only=True):
    """What was wrong, and in which field of the body."""

    code: str
    message: str
    field: str | UnsetType = UNSET


class ErrorOut(Struct, frozen=True, kw_only=True):
    """A refusal."""

    error: ErrorIn


HEARTBEATS = msgspec.json.Decoder(HeartbeatIn)
BATCHES = msgspec.json.Decoder(DeliveryBatchIn)

Shape = TypeVar("Shape")


def decode(decoder: msgspec.json.Decoder[Shape], body: bytes) -> Shape:
    """The message in a body; raises `ApiError` that names the field."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise ApiError(422, "invalid", message, field=path.rstrip("`").removeprefix("$").lstrip(".") or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ApiError(422, "malformed", "the body is not JSON") from None


def component_schemas() -> dict[str, Any]:
    """The shapes as JSON schemas, for OpenAPI's components."""
    shapes = (HeartbeatIn, DeliveryBatchIn, HeartbeatOut, DeliveriesOut, ErrorOut)
    _, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    return components

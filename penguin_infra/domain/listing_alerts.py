"""What people are told of blacklists: which addresses are listed, and which lists are not believed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.policies.pause_listed import PAUSING_SEVERITIES

LISTED = "listed"
LIST_FROZEN = "list_frozen"
LIST_QUARANTINED = "list_quarantined"


@dataclass(frozen=True, slots=True)
class ListedAddress:
    """A confirmed listing, not ended, of an address that a living node holds."""

    node_id: UUID
    label: str
    ip_address: str
    zone: str
    severity: Severity
    codes: tuple[str, ...]
    listed_at: datetime


@dataclass(frozen=True, slots=True)
class IllList:
    """A blacklist that is not believed, since when and why."""

    zone: str
    reason: str
    since: datetime


def listed(listings: Iterable[ListedAddress]) -> list[Alert]:
    """High for what pauses a node (the specification's), low for the rest."""
    return [
        Alert(
            LISTED,
            f"{one.ip_address}@{one.zone}",
            AlertSeverity.HIGH if one.severity in PAUSING_SEVERITIES else AlertSeverity.LOW,
            f"{one.ip_address} ({one.label}) is listed by {one.zone}: {one.severity}, {' '.join(one.codes)}. "
            f"`penguin-infra check-ip {one.ip_address}` shows how to get off",
            {"severity": one.severity.value, "codes": list(one.codes), "listed_at": one.listed_at.isoformat()},
            one.node_id,
        )
        for one in listings
    ]


def list_frozen(lists: Iterable[IllList]) -> list[Alert]:
    """High: a frozen list pauses nobody, whether or not it tells the truth."""
    return [
        Alert(
            LIST_FROZEN,
            one.zone,
            AlertSeverity.HIGH,
            f"{one.zone} is frozen: {one.reason}. Look whether it is right, then: penguin-infra lists trust {one.zone}",
            {"reason": one.reason, "since": one.since.isoformat()},
        )
        for one in lists
    ]


def list_quarantined(lists: Iterable[IllList]) -> list[Alert]:
    """Low: the other lists go on, and it comes back by itself."""
    return [
        Alert(
            LIST_QUARANTINED,
            one.zone,
            AlertSeverity.LOW,
            f"{one.zone} fails its test points and is not believed: {one.reason}",
            {"reason": one.reason, "since": one.since.isoformat()},
        )
        for one in lists
    ]

"""A sending node is paused by a confirmed critical or high listing, or by medium ones of two different operators.

One operator's medium listing is one opinion, however many of its lists repeat it; ranges and policies inform only, for
the catalogue lets no such code weigh more. The rotation drops a gravely listed node by itself, in the transaction that
records the listing; the pause makes it durable, and says so to people. Listings by a list that is frozen (it suddenly
listed too many) pause nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.listing import Severity

NAME = "policy:pause_listed"

# Spamhaus is the specification's "High: immediate pause"; the catalogue calls its codes critical or high, and a list of
# that weight whatever its operator costs deliverability at once.
PAUSING_SEVERITIES = frozenset({Severity.CRITICAL, Severity.HIGH})

# Two lists that are run by different people do not fail together; a medium listing that both see is true.
MEDIUM_OPERATORS = 2


@dataclass(frozen=True, slots=True)
class OpenListing:
    """A confirmed listing that has not ended; `operator` is None where it was recorded before operators were."""

    zone: str
    severity: Severity
    codes: tuple[str, ...]
    confirmed_at: datetime
    is_list_frozen: bool
    operator: str | None = None


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A sending node (warming or active) with the open listings of its address."""

    node_id: UUID
    label: str
    ip_address: IPv4Address | IPv6Address
    listings: tuple[OpenListing, ...]


def plan_pauses(nodes: Iterable[ListedNode]) -> tuple[PlannedAction, ...]:
    """One pause a node, critical listings before high ones."""
    return tuple(_pause(node, pausing) for node in nodes if (pausing := pausing_listings(node.listings)))


def pausing_listings(listings: Iterable[OpenListing]) -> list[OpenListing]:
    """Those of a node's open listings that are reason enough to pause it."""
    believed = [each for each in listings if not each.is_list_frozen]
    grave = [each for each in believed if each.severity in PAUSING_SEVERITIES]
    medium = [each for each in believed if each.severity is Severity.MEDIUM and each.operator is not None]
    if len({each.operator for each in medium}) < MEDIUM_OPERATORS:
        return grave
    return grave + medium


def _pause(node: ListedNode, listings: list[OpenListing]) -> PlannedAction:
    zones = ", ".join(f"{listing.zone} ({listing.severity}: {' '.join(listing.codes)})" for listing in listings)
    return PlannedAction(
        node_id=node.node_id,
        kind=ActionKind.PAUSE,
        reason=f"{node.ip_address} is listed by {zones}",
        requested_by=NAME,
        evidence={
            "ip_address": str(node.ip_address),
            "listings": [
                {
                    "zone": listing.zone,
                    "severity": listing.severity.value,
                    "codes": list(listing.codes),
                    "confirmed_at": listing.confirmed_at.isoformat(),
                }
                for listing in listings
            ],
        },
        urgency=0 if any(listing.severity is Severity.CRITICAL for listing in listings) else 1,
    )

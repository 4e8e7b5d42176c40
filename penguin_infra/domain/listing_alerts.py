"""What people are told of blacklists: which addresses are listed, and which lists are not believed or not asked.

What a list's fault means and what is done about it stands in `list_remedies.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.list_remedies import REMEDIES
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.policies.pause_listed import PAUSING_SEVERITIES

LISTED = "listed"
LIST_FROZEN = "list_frozen"
LIST_QUARANTINED = "list_quarantined"
RESOLVER_BLOCKED = "resolver_blocked"
LIST_OVER_BUDGET = "list_over_budget"
LIST_RESTING = "list_resting"

RUNBOOK = "docs/runbooks/blacklists.md"
LISTS_RUNBOOK = f"{RUNBOOK}#when-a-list-fails"


@dataclass(frozen=True, slots=True)
class ListedAddress:
    """A confirmed listing, not ended, of an address that a living node holds.

    `reason`: the list's own words; `delist_url`: the operator's page about this address; `family`: its runbook's place.
    """

    node_id: UUID
    label: str
    ip_address: str
    zone: str
    severity: Severity
    codes: tuple[str, ...]
    listed_at: datetime
    reason: str | None = None
    delist_url: str | None = None
    family: str | None = None


@dataclass(frozen=True, slots=True)
class FrozenList:
    """A blacklist that listed too many at once, since when."""

    zone: str
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class IllList:
    """A blacklist that fails its test points through one resolver, since when and how."""

    zone: str
    resolver: str
    fault: ListFault
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class RefusedList:
    """A blacklist that is not asked because its terms would be broken, with the sum."""

    zone: str
    reason: str


@dataclass(frozen=True, slots=True)
class RestingList:
    """A blacklist that answered that its quota is used up: until when it is left alone, and how often it said so."""

    zone: str
    rests_until: datetime
    rest_count: int


def listed(listings: Iterable[ListedAddress]) -> list[Alert]:
    """High for what pauses a node (the specification's), low for the rest."""
    return [
        Alert(
            LISTED,
            f"{one.ip_address}@{one.zone}",
            AlertSeverity.HIGH if one.severity in PAUSING_SEVERITIES else AlertSeverity.LOW,
            _words(one),
            {
                "severity": one.severity.value,
                "codes": list(one.codes),
                "listed_at": one.listed_at.isoformat(),
                "reason": one.reason,
                "delist_url": one.delist_url,
                "steps": _steps(one),
                "runbook": _runbook(one),
            },
            one.node_id,
        )
        for one in listings
    ]


def list_frozen(lists: Iterable[FrozenList]) -> list[Alert]:
    """High: a frozen list pauses nobody, whether or not it tells the truth."""
    return [
        Alert(
            LIST_FROZEN,
            one.zone,
            AlertSeverity.HIGH,
            f"{one.zone} is frozen: {one.reason}. Look whether it is right, then: penguin-infra lists trust {one.zone}",
            {"reason": one.reason, "since": one.since.isoformat(), "runbook": LISTS_RUNBOOK},
        )
        for one in lists
    ]


def list_quarantined(lists: Iterable[IllList]) -> list[Alert]:
    """Low: the other lists go on, and it comes back by itself. One a list, through however many resolvers it fails.

    A resolver that lists refuse to serve, and a quota that is used up, are told by rules of their own.
    """
    others = {ListFault.PUBLIC_RESOLVER, ListFault.QUOTA}
    first: dict[str, IllList] = {}
    for one in sorted(lists, key=lambda ill: (ill.since, ill.resolver)):
        if one.fault not in others:
            first.setdefault(one.zone, one)
    return [_quarantined(one) for _, one in sorted(first.items())]


def resolver_blocked(lists: Iterable[IllList]) -> list[Alert]:
    """Medium: one resolver's fault, not so many lists': those see nothing of the fleet until it is changed."""
    zones: dict[str, set[str]] = {}
    for one in lists:
        if one.fault is ListFault.PUBLIC_RESOLVER:
            zones.setdefault(one.resolver, set()).add(one.zone)
    told = REMEDIES[ListFault.PUBLIC_RESOLVER]
    return [
        Alert(
            RESOLVER_BLOCKED,
            resolver,
            AlertSeverity.MEDIUM,
            f"{resolver} is refused by {', '.join(sorted(refusing))}. {told.meaning} {told.remedy}",
            {"lists": sorted(refusing), "meaning": told.meaning, "remedy": told.remedy, "runbook": LISTS_RUNBOOK},
        )
        for resolver, refusing in sorted(zones.items())
    ]


def list_over_budget(lists: Iterable[RefusedList]) -> list[Alert]:
    """Medium: nothing of the fleet is seen on that list until the configuration keeps its terms."""
    return [
        Alert(
            LIST_OVER_BUDGET,
            one.zone,
            AlertSeverity.MEDIUM,
            f"not asked, its terms would be broken: {one.reason}",
            {"reason": one.reason, "runbook": LISTS_RUNBOOK},
        )
        for one in lists
    ]


def list_resting(lists: Iterable[RestingList]) -> list[Alert]:
    """Low: it is asked again by itself; a list that never stops saying so wants a smaller number or a key."""
    told = REMEDIES[ListFault.QUOTA]
    return [
        Alert(
            LIST_RESTING,
            one.zone,
            AlertSeverity.LOW,
            f"{one.zone} says that its quota is used up, and rests until {one.rests_until:%Y-%m-%d %H:%M} UTC "
            f"(rest {one.rest_count}). {told.meaning} {told.remedy}",
            {
                "rests_until": one.rests_until.isoformat(),
                "rest_count": one.rest_count,
                "meaning": told.meaning,
                "remedy": told.remedy,
                "runbook": LISTS_RUNBOOK,
            },
        )
        for one in lists
    ]


def _quarantined(one: IllList) -> Alert:
    told = REMEDIES[one.fault]
    return Alert(
        LIST_QUARANTINED,
        one.zone,
        AlertSeverity.LOW,
        f"{one.zone} fails its test points and is not believed ({one.fault}): {one.reason}. "
        f"{told.meaning} {told.remedy}",
        {
            "fault": one.fault.value,
            "reason": one.reason,
            "meaning": told.meaning,
            "remedy": told.remedy,
            "resolver": one.resolver,
            "since": one.since.isoformat(),
            "runbook": LISTS_RUNBOOK,
        },
    )


def _words(one: ListedAddress) -> str:
    words = f"{one.ip_address} ({one.label}) is listed by {one.zone}: {one.severity}, {' '.join(one.codes)}"
    if one.reason:
        words += f' ("{one.reason}")'
    off = f"Ask to be taken off at {one.delist_url}" if one.delist_url else _check(one)
    return f"{words}. {off}; {_runbook(one)}"


def _steps(one: ListedAddress) -> list[str]:
    return [
        f"See what it sent: penguin-infra nodes show {one.label}",
        "Stop the cause first: who asks to be taken off and goes on sending is listed again, for longer",
        f"Ask to be taken off: {one.delist_url}" if one.delist_url else _check(one),
        "Wait: three clean answers over an hour end the listing here, and the node comes back by itself",
    ]


def _check(one: ListedAddress) -> str:
    return f"`penguin-infra check-ip {one.ip_address}` shows how to get off"


def _runbook(one: ListedAddress) -> str:
    return f"{RUNBOOK}#{one.family}" if one.family else RUNBOOK

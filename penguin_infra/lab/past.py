"""What a lab's fleet can have behind it as it first comes up: nodes that are no more, what became of each, and when.

Facts alone. Which nodes there were is `past_fates.py`'s, what their mail was `past_mail.py`'s; `hostwind_past.py` tells
the simulated provider, and the registry is filled by the lab's owner.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

PAST_DAYS = 60

# What begins the sending of a node, and what ends it.
SENDS_AFTER = frozenset({"admitted", "returned_to_warming", "returned_to_active"})
RESTS_AFTER = frozenset({"paused", "maintenance_begun", "decommissioned"})


@dataclass(frozen=True, slots=True)
class PastAction:
    """One thing that was done to a node; `event`: what it made of the node's status, at its end."""

    kind: str
    requested_by: str
    reason: str
    planned_at: datetime
    finished_at: datetime
    outcome: str
    event: str | None = None
    is_failed: bool = False
    decided_by: str | None = None


@dataclass(frozen=True, slots=True)
class PastTerms:
    """From when on an instance had a plan and so many addresses beyond its first."""

    from_at: datetime
    plan: str
    extra_addresses: int = 0


@dataclass(frozen=True, slots=True)
class PastInstance:
    """An instance at the provider, its number and its address's among all of the past. `deleted_at`: None: it runs."""

    number: int
    region: str
    deleted_at: datetime | None
    terms: tuple[PastTerms, ...]

    @property
    def created_at(self) -> datetime:
        """When it came to be billed."""
        return self.terms[0].from_at


@dataclass(frozen=True, slots=True)
class PastListing:
    """A listing of the node's address that has ended."""

    zone: str
    name: str
    operator: str
    code: str
    severity: str
    listed_at: datetime
    delisted_at: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """A while."""

    begin_at: datetime
    end_at: datetime


@dataclass(frozen=True, slots=True)
class PastNode:
    """A node from its request to its end. `rejected_by`: the list that burnt the address of its first instance."""

    node_id: UUID
    label: str
    region: str
    requested_at: datetime
    reason: str
    requested_by: str
    actions: tuple[PastAction, ...]
    instances: tuple[PastInstance, ...]
    listings: tuple[PastListing, ...] = ()
    silences: tuple[Span, ...] = ()
    storms: tuple[Span, ...] = ()
    complaints: tuple[Span, ...] = ()
    idle_since: datetime | None = None
    is_throttled: bool = False
    rejected_by: PastListing | None = None

    @property
    def ended_at(self) -> datetime:
        """When it was decommissioned."""
        return self.actions[-1].finished_at

    @property
    def sending(self) -> tuple[Span, ...]:
        """When it was warming or active."""
        spans: list[Span] = []
        begun_at: datetime | None = None
        for action in self.actions:
            if action.event in SENDS_AFTER:
                begun_at = action.finished_at
            elif action.event in RESTS_AFTER and begun_at is not None:
                spans.append(Span(begun_at, action.finished_at))
                begun_at = None
        return tuple(spans)

    def event_at(self, event: str) -> datetime | None:
        """When that first happened to it."""
        return next((action.finished_at for action in self.actions if action.event == event), None)


@dataclass(frozen=True, slots=True)
class PastPrice:
    """What a plan costs from then on."""

    plan: str
    from_at: datetime
    monthly_usd: Decimal


@dataclass(frozen=True, slots=True)
class Past:
    """All of it. `orphan`: an instance of the fleet's that no node asked for; `foreign`: one of somebody else's."""

    began_at: datetime
    ended_at: datetime
    nodes: tuple[PastNode, ...]
    orphan: PastInstance
    foreign: PastInstance
    prices: tuple[PastPrice, ...]

    @property
    def instances(self) -> tuple[PastInstance, ...]:
        """All instances by number."""
        of_nodes = [instance for node in self.nodes for instance in node.instances]
        return tuple(sorted([*of_nodes, self.orphan, self.foreign], key=lambda each: each.number))

"""What billed hours went to: the node's status as each began, whether it was well, and whether it sent anything.

Which hours are billed is `pricing.py`'s.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar

from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.node import SENDING_STATUSES, InstanceLabel, NodeStatus
from penguin_infra.domain.pricing import cut_hours

State = TypeVar("State")


class Usage(StrEnum):
    """The node's status, or why no node has the hours."""

    PROVISIONING = "provisioning"
    WARMING = "warming"
    ACTIVE = "active"
    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    ORPHAN = "orphan"  # of this fleet by its name, but no living node holds it
    FOREIGN = "foreign"
    GHOST = "ghost"  # the node is there, its instance is not: costs nothing


@dataclass(frozen=True, slots=True)
class NodeDays:
    """A node's past in some days. Changes are in order, and the first is from before them.

    `sent_hours`: for each day a bit for each hour (UTC) in which it sent, midnight's the lowest.
    """

    statuses: Sequence[tuple[datetime, NodeStatus]]
    healths: Sequence[tuple[datetime, Health]]
    sent_hours: Mapping[date, int]


@dataclass(frozen=True, slots=True)
class UsedHours:
    """Hours of one usage, and how many of them were ill or idle."""

    usage: Usage
    hours: int
    unhealthy: int
    idle: int


def usage_of_stranger(label: str, *, fleet_name: str) -> Usage:
    """What an instance's hours went to that no node asked for."""
    name = InstanceLabel.parse(label)
    return Usage.ORPHAN if name and name.fleet_name == fleet_name else Usage.FOREIGN


def used_hours(node: NodeDays, first_at: datetime, hours: int) -> Iterator[UsedHours]:
    """A node's billed hours of one day by what each of them went to; hours are judged as they begin."""
    for status_at, of_status in cut_hours(first_at, hours, _moments(node.statuses)):
        status = state_at(node.statuses, status_at, NodeStatus.PROVISIONING)
        yield UsedHours(
            usage_of(status),
            of_status,
            unhealthy=sum(
                count
                for piece_at, count in cut_hours(status_at, of_status, _moments(node.healths))
                if state_at(node.healths, piece_at, Health.UNKNOWN) is Health.UNHEALTHY
            ),
            idle=_idle(node, status_at, of_status) if status in SENDING_STATUSES else 0,
        )


def usage_of(status: NodeStatus) -> Usage:
    """What an hour of a node in that status went to; after its end its instance is an orphan."""
    return Usage.ORPHAN if status is NodeStatus.DECOMMISSIONED else Usage(status.value)


def state_at(changes: Sequence[tuple[datetime, State]], moment: datetime, before: State) -> State:
    """The newest state of changes in order; `before` the first of them what is given."""
    place = bisect_right(changes, moment, key=_moment)
    return changes[place - 1][1] if place else before


def _idle(node: NodeDays, first_at: datetime, hours: int) -> int:
    asked = ((1 << hours) - 1) << first_at.hour
    return (asked & ~node.sent_hours.get(first_at.date(), 0)).bit_count()


def _moments(changes: Sequence[tuple[datetime, State]]) -> list[datetime]:
    return [moment for moment, _ in changes]


def _moment(change: tuple[datetime, State]) -> datetime:
    return change[0]

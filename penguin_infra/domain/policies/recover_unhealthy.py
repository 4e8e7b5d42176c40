"""A node in service that is ill is recovered; one that falls ill again and again is taken out for a person to look at.

The rotation drops an ill node by itself, at once. While many are silent together only one is tried: if it comes back,
the nodes were ill after all. How a node is recovered is `operations/recover_node.py`'s.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.heartbeat import Fault, SilenceLimits, are_many_silent
from penguin_infra.domain.node import NodeStatus

NAME = "policy:recover_unhealthy"

# Who should speak: nodes in service. One that is in maintenance belongs to a person.
RECOVERABLE_STATUSES = frozenset({NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED})

FALLS_COUNTED_OVER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """How patiently nodes are recovered.

    A directive goes out with one heartbeat, the restart takes seconds, the next heartbeat shows it: five heartbeats of
    30 s. A VPS boots in a minute or two: five. A third fall within an hour shows that restarts mend nothing. A rest of
    ten minutes after a recovery is cluster-autoscaler's cool-down. Four at once leave the urgent lane to pauses.
    """

    silence: SilenceLimits = field(default_factory=SilenceLimits)
    directive_timeout_seconds: float = 150
    reboot_timeout_seconds: float = 300
    poll_seconds: float = 5
    falls_to_maintenance: int = 3
    rest_minutes: int = 10
    most_at_once: int = 4


@dataclass(frozen=True, slots=True)
class IllNode:
    """A node in service that was judged unhealthy and is so still."""

    node_id: UUID
    label: str
    fault: Fault
    reason: str
    since: datetime | None
    falls_last_hour: int
    recovered_at: datetime | None


@dataclass(frozen=True, slots=True)
class FleetHealth:
    """What the policy must know: the ill nodes of a fleet, who is being recovered already, and who is worked on.

    A node that is resized or installed anew is silent while it boots: whoever does that brings it back, or says so.
    """

    is_observer_alive: bool
    speaking_count: int
    silent_count: int
    ill: tuple[IllNode, ...]
    recovering: frozenset[UUID] = frozenset()
    worked_on: frozenset[UUID] = frozenset()

    def are_many_silent(self, limits: SilenceLimits) -> bool:
        """Whether the observer or the provider is the suspect."""
        return are_many_silent(silent_count=self.silent_count, speaking_count=self.speaking_count, limits=limits)


def plan_recoveries(fleet: FleetHealth, limits: HealthLimits, now: datetime) -> tuple[PlannedAction, ...]:
    """One recovery a node, whoever has been ill longest first, and no more at once than the limits allow."""
    if not fleet.is_observer_alive:
        return ()
    is_probe = fleet.are_many_silent(limits.silence)
    most = 1 if is_probe else limits.most_at_once
    spoken_for = fleet.recovering | fleet.worked_on
    waiting = [one for one in fleet.ill if one.node_id not in spoken_for and not _is_resting(one, limits, now)]
    first = sorted(waiting, key=lambda one: (one.since or now, one.label))[: max(0, most - len(fleet.recovering))]
    return tuple(_recovery(one, fleet, limits, is_probe=is_probe) for one in first)


def is_flapping(falls_last_hour: int, limits: HealthLimits) -> bool:
    """Whether another restart would only hide what is wrong."""
    return falls_last_hour >= limits.falls_to_maintenance


def _is_resting(one: IllNode, limits: HealthLimits, now: datetime) -> bool:
    if one.recovered_at is None or is_flapping(one.falls_last_hour, limits):
        return False
    return now < one.recovered_at + timedelta(minutes=limits.rest_minutes)


def _recovery(one: IllNode, fleet: FleetHealth, limits: HealthLimits, *, is_probe: bool) -> PlannedAction:
    reason = f"{one.label} is unhealthy: {one.reason}"
    if is_flapping(one.falls_last_hour, limits):
        reason = f"{one.label} fell ill {one.falls_last_hour} times in an hour, now: {one.reason}"
    if is_probe:
        reason += f"; a probe: {fleet.silent_count} of {fleet.speaking_count} nodes are silent together"
    return PlannedAction(
        node_id=one.node_id,
        kind=ActionKind.RECOVER,
        reason=reason,
        requested_by=NAME,
        evidence={
            "fault": one.fault.value,
            "since": one.since.isoformat() if one.since else None,
            "falls_last_hour": one.falls_last_hour,
            "silent": fleet.silent_count,
            "speaking": fleet.speaking_count,
            "is_probe": is_probe,
        },
    )

"""What people are told of nodes: who is held back and why, which requests failed, and what differs at the provider."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.node import NodeStatus

PAUSED = "paused"
MAINTENANCE = "maintenance"
PROVISION_FAILED = "provision_failed"
PROVISION_HANGS = "provision_hangs"

# The steps' own time-outs add up to two hours; a request older than that waits for something that nobody looks at.
HANGS_AFTER = timedelta(hours=3)

_IN_WORDS = {PAUSED: "paused", MAINTENANCE: "in maintenance"}
_HELD = {NodeStatus.PAUSED: PAUSED, NodeStatus.MAINTENANCE: MAINTENANCE}


@dataclass(frozen=True, slots=True)
class HeldNode:
    """A node that is paused or in maintenance; `requested_by` as its transition says."""

    node_id: UUID
    label: str
    status: NodeStatus
    reason: str
    requested_by: str
    since: datetime


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """A request for a node that failed for good a short while ago."""

    node_id: UUID
    label: str
    outcome: str
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request that is not in service yet; `step` and `progress` say how far it came."""

    node_id: UUID
    label: str
    requested_at: datetime
    step: str | None
    progress: str | None


@dataclass(frozen=True, slots=True)
class OpenDrift:
    """A difference between registry and provider that stands."""

    kind: str
    provider_id: str
    detail: str
    node_id: UUID | None
    since: datetime


def held(rule: str, nodes: Iterable[HeldNode]) -> list[Alert]:
    """Medium for a paused node and for one that a person maintains; High for one that the fleet gave up."""
    return [
        Alert(
            rule,
            node.label,
            AlertSeverity.HIGH if rule == MAINTENANCE and _is_given_up(node) else AlertSeverity.MEDIUM,
            f"{node.label} is {_IN_WORDS[rule]}: {node.reason}. `penguin-infra nodes resume {node.label}` ends that",
            {"reason": node.reason, "requested_by": node.requested_by, "since": node.since.isoformat()},
            node.node_id,
        )
        for node in nodes
        if _HELD[node.status] == rule
    ]


def provision_failed(requests: Iterable[FailedRequest]) -> list[Alert]:
    """Medium: the fleet stays smaller than somebody wanted it."""
    return [
        Alert(
            PROVISION_FAILED,
            one.label,
            AlertSeverity.MEDIUM,
            f"{one.label} could not be provisioned: {one.outcome}",
            {"outcome": one.outcome, "failed_at": one.failed_at.isoformat()},
            one.node_id,
        )
        for one in requests
    ]


def provision_hangs(requests: Iterable[OpenRequest], now: datetime) -> list[Alert]:
    """Medium: a request that takes longer than all of its steps may."""
    return [
        Alert(
            PROVISION_HANGS,
            one.label,
            AlertSeverity.MEDIUM,
            f"{one.label} was asked for {(now - one.requested_at).total_seconds() / 3600:.0f} hours ago and is at "
            f"{one.step or 'no step'} yet ({one.progress or 'nothing said'}): is the fleet frozen, or its daemon down?",
            {"requested_at": one.requested_at.isoformat(), "step": one.step, "progress": one.progress},
            one.node_id,
        )
        for one in requests
        if now - one.requested_at >= HANGS_AFTER
    ]


def drifted(kind: str, drifts: Iterable[OpenDrift]) -> list[Alert]:
    """Medium: money for nothing, or a node that is not what its record says. The rule is the difference's kind."""
    evidence = ((one, {"provider_id": one.provider_id, "since": one.since.isoformat()}) for one in drifts)
    return [
        Alert(kind, one.provider_id, AlertSeverity.MEDIUM, one.detail, told, one.node_id)
        for one, told in evidence
        if one.kind == kind
    ]


def _is_given_up(node: HeldNode) -> bool:
    return node.requested_by.startswith("policy:")

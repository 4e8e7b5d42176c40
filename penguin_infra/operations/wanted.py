"""What the fleet wants done by itself, a kind of action an entry: for the sensors, and for the plan that people read.

Each entry reads facts on the connection it is given, asks its policies, and writes nothing. Maintenance has none: only
persons ask for it. What may be done of it is the guardrails'.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.policies.clear_leftovers import plan_clearances
from penguin_infra.domain.policies.mend_drift import plan_ends, plan_reinstalls
from penguin_infra.domain.policies.provision_requested import plan_provisions, plan_releases
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits, plan_recoveries
from penguin_infra.domain.policies.shrink_fleet import ShrinkLimits
from penguin_infra.operations.fleet_health import read_fleet_health
from penguin_infra.operations.grow_fleet import grow_fleet
from penguin_infra.operations.read_fleet_size import SizeLimits
from penguin_infra.operations.want_pauses import want_pauses, want_resumes
from penguin_infra.operations.want_resizes import want_resizes
from penguin_infra.operations.want_shrink import want_shrink
from penguin_infra.operations.want_warmups import want_warmups
from penguin_infra.store.alert_facts import open_drifts
from penguin_infra.store.requests import leftovers, requested_nodes


@dataclass(frozen=True, slots=True)
class WantedLimits:
    """The limits that the policies judge by. `drain_minutes`: how long a node that is given up delivers what it has."""

    guardrails: GuardrailLimits
    delivery: DeliveryLimits
    health: HealthLimits
    size: SizeLimits
    shrink: ShrinkLimits
    drain_minutes: float


Want = Callable[[Connection, WantedLimits, datetime], Iterable[PlannedAction]]


def _pauses(connection: Connection, limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    return want_pauses(connection, limits.delivery, now)


def _resumes(connection: Connection, limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    return want_resumes(connection, limits.delivery, now)


def _recoveries(connection: Connection, limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    return plan_recoveries(read_fleet_health(connection, limits=limits.health, now=now), limits.health, now)


def _provisions(connection: Connection, _limits: WantedLimits, _now: datetime) -> Iterable[PlannedAction]:
    return plan_provisions(requested_nodes(connection))


def _releases(connection: Connection, _limits: WantedLimits, _now: datetime) -> Iterable[PlannedAction]:
    return [*plan_releases(requested_nodes(connection)), *plan_clearances(leftovers(connection))]


def _reinstalls(connection: Connection, _limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    return plan_reinstalls(open_drifts(connection), now)


def _resizes(connection: Connection, limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    size = limits.size
    return want_resizes(connection, throughput=size.throughput, limits=size.resize, growth=size.growth, now=now)


def _warmups(connection: Connection, _limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    return want_warmups(connection, now)


def _decommissions(connection: Connection, limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    ends = plan_ends(open_drifts(connection), now)
    gone = {action.node_id for action in ends}
    given_up = want_shrink(
        connection, limits=limits.size, shrink=limits.shrink, drain_minutes=limits.drain_minutes, now=now
    )
    return [*ends, *(action for action in given_up if action.node_id not in gone)]


WANTED: Mapping[ActionKind, Want] = MappingProxyType(
    {
        ActionKind.PAUSE: _pauses,
        ActionKind.RESUME: _resumes,
        ActionKind.PROVISION: _provisions,
        ActionKind.RELEASE: _releases,
        ActionKind.RECOVER: _recoveries,
        ActionKind.REINSTALL: _reinstalls,
        ActionKind.RESIZE: _resizes,
        ActionKind.ADVANCE_WARMUP: _warmups,
        ActionKind.DECOMMISSION: _decommissions,
    }
)


def grow_and_want(connection: Connection, limits: WantedLimits, now: datetime) -> Iterable[PlannedAction]:
    """Ask for the nodes that the fleet lacks, then want the provision of these and of all others asked for.

    For the planning transaction: while it holds the planning lock, nobody else spends the same cap.
    """
    grow_fleet(connection, limits=limits.size, guardrails=limits.guardrails, now=now)
    return _provisions(connection, limits, now)

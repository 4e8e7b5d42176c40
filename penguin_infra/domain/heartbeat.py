"""A node's health from its heartbeats, and when so many are silent that the observer is the suspect.

Silence is measured in the time for which gateways served: while none does, nobody grows silent. What is done about an
ill node is `policies/recover_unhealthy.py`'s.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# Three missed heartbeats of 30 s (the specification's); `fleet.silent_nodes`, and so the rotation, counts the same.
SILENT_AFTER_SECONDS = 90

# Gateways tick every few seconds: after a minute without a tick there is none, and silence means nothing.
OBSERVER_LOST_AFTER = timedelta(seconds=60)


class Health(StrEnum):
    """The second axis beside the lifecycle's status."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Fault(StrEnum):
    """What can be wrong with a node that spoke before; silence hides everything else."""

    SILENT = "silent"
    MTA_DOWN = "mta_down"


@dataclass(frozen=True, slots=True)
class Pulse:
    """A node's newest heartbeat: how much served time has passed since, and the MTA's state that it told."""

    silent_seconds: float
    mta_state: str


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """A node's health and why; `fault` is None unless it is unhealthy."""

    health: Health
    reason: str
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class SilenceLimits:
    """When silence is no node's own fault.

    A third of the nodes do not die in one minute by themselves: cluster-autoscaler halts at 45 % unready, Kubernetes
    stops evicting at 55 % of a zone; 30 % errs on the careful side. Below three, a share says nothing.
    """

    most_silent_share: float = 0.30
    fewest_silent: int = 3


_NEVER_SPOKE = HealthVerdict(Health.UNKNOWN, "no heartbeat was ever received")
_SILENT = HealthVerdict(
    Health.UNHEALTHY, f"silent: no heartbeat in {SILENT_AFTER_SECONDS} s of the gateway's time", Fault.SILENT
)
_MTA_DOWN = HealthVerdict(Health.UNHEALTHY, "the MTA is down, says its heartbeat", Fault.MTA_DOWN)
_HEALTHY = HealthVerdict(Health.HEALTHY, "heartbeats arrive and the MTA is not down")


def judge_pulse(pulse: Pulse | None) -> HealthVerdict:
    """A node's health by its newest heartbeat (None: it never spoke, which is neither good nor bad)."""
    if pulse is None:
        return _NEVER_SPOKE
    if pulse.silent_seconds > SILENT_AFTER_SECONDS:
        return _SILENT
    return _MTA_DOWN if pulse.mta_state == "down" else _HEALTHY


def is_observer_alive(ticked_at: datetime, now: datetime) -> bool:
    """Whether a gateway serves, by its clock's last tick."""
    return now - ticked_at <= OBSERVER_LOST_AFTER


def are_many_silent(*, silent_count: int, speaking_count: int, limits: SilenceLimits) -> bool:
    """Whether so many of the nodes that ever spoke are silent together that the observer or the provider is ill."""
    return silent_count >= limits.fewest_silent and silent_count > limits.most_silent_share * speaking_count

"""Judge every node's health by its heartbeats, and record what changed. What follows from it is `recover_node.py`'s."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Engine

from penguin_infra.domain.heartbeat import (
    Fault,
    Health,
    HealthVerdict,
    SilenceLimits,
    are_many_silent,
    is_observer_alive,
    judge_pulse,
)
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import health
from penguin_infra.store.health import NodeHealth, ObserverClock

# A node in maintenance or not yet admitted may be silent with reason: it tells nothing about the observer.
_EXPECTED_TO_SPEAK = frozenset({NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED})


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The fleet's health: each node with what its heartbeats say, and whether anybody hears them.

    While `is_observer_alive` is False the record stays as it was, and `nodes` show what it says.
    """

    clock: ObserverClock
    is_observer_alive: bool
    nodes: tuple[tuple[NodeHealth, HealthVerdict], ...]
    changed_count: int = 0

    @property
    def speaking_count(self) -> int:
        """Nodes in service that ever spoke."""
        return sum(node.pulse is not None for node, _ in self.nodes if node.status in _EXPECTED_TO_SPEAK)

    @property
    def silent_count(self) -> int:
        """Those of them that are silent now."""
        return sum(verdict.fault is Fault.SILENT for node, verdict in self.nodes if node.status in _EXPECTED_TO_SPEAK)

    def are_many_silent(self, limits: SilenceLimits) -> bool:
        """Whether the observer or the provider is the suspect."""
        return are_many_silent(silent_count=self.silent_count, speaking_count=self.speaking_count, limits=limits)


def judge_health(engine: Engine, *, now: datetime) -> HealthReport:
    """Judge the fleet and record it in one transaction; without a living observer nothing is changed."""
    with engine.begin() as connection:
        health.health_lock(connection)
        report = read_health(connection, now=now)
        if not report.is_observer_alive:
            return report
        verdicts = [(node.node_id, verdict) for node, verdict in report.nodes]
        changed_count = health.save_health(connection, verdicts, now)
        health.save_heartbeats(connection)
        return replace(report, changed_count=changed_count)


def read_health(connection: Connection, *, now: datetime) -> HealthReport:
    """The fleet's health now, nothing recorded; without a living observer, as it was last known."""
    clock = health.observer_clock(connection)
    is_alive = is_observer_alive(clock.ticked_at, now)
    judge = (lambda node: judge_pulse(node.pulse)) if is_alive else _as_recorded
    return HealthReport(clock, is_alive, tuple((node, judge(node)) for node in health.node_health(connection)))


def _as_recorded(node: NodeHealth) -> HealthVerdict:
    fault = judge_pulse(node.pulse).fault if node.health is Health.UNHEALTHY else None
    return HealthVerdict(node.health, node.health_reason or "", fault)

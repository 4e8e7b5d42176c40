"""The fleet's health as the recovery policy sees it: who is ill, how often, and who is being recovered."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.policies.recover_unhealthy import (
    FALLS_COUNTED_OVER,
    RECOVERABLE_STATUSES,
    FleetHealth,
    HealthLimits,
    IllNode,
)
from penguin_infra.operations.judge_health import read_health
from penguin_infra.store import health, recoveries, resizes


def read_fleet_health(connection: Connection, *, limits: HealthLimits, now: datetime) -> FleetHealth:
    """What the policy judges by. Ill is who was recorded as unhealthy, and is so by its newest heartbeat too.

    The record is up to a minute old: a node that has come back since needs nothing.
    """
    report = read_health(connection, now=now)
    falls = health.falls_since(connection, now - FALLS_COUNTED_OVER)
    recovered = recoveries.recovered_at(connection, now - timedelta(minutes=limits.rest_minutes))
    ill = tuple(
        IllNode(
            node_id=node.node_id,
            label=node.label,
            fault=verdict.fault,
            reason=verdict.reason,
            since=node.health_since,
            falls_last_hour=falls.get(node.node_id, 0),
            recovered_at=recovered.get(node.node_id),
        )
        for node, verdict in report.nodes
        if verdict.fault and node.health is Health.UNHEALTHY and node.status in RECOVERABLE_STATUSES
    )
    return FleetHealth(
        is_observer_alive=report.is_observer_alive,
        speaking_count=report.speaking_count,
        silent_count=report.silent_count,
        ill=ill,
        recovering=recoveries.recovering_nodes(connection),
        worked_on=resizes.working_on(connection),
    )

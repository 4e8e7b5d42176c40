"""Fleets for tests: nodes, listings and actions put into a database through the store's own functions."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from uuid import UUID

from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra.store import actions, listings, node_places, nodes, warmups

# More than any test sends: warm-up holds up only those tests that are about it.
AMPLE_DAILY = 1_000_000

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

_WAY = {
    NodeStatus.PROVISIONING: [],
    NodeStatus.WARMING: [NodeEvent.ADMITTED],
    NodeStatus.ACTIVE: [NodeEvent.ADMITTED, NodeEvent.WARMED_UP],
    NodeStatus.PAUSED: [NodeEvent.ADMITTED, NodeEvent.PAUSED],
    NodeStatus.MAINTENANCE: [NodeEvent.ADMITTED, NodeEvent.MAINTENANCE_BEGUN],
    NodeStatus.DECOMMISSIONED: [NodeEvent.ADMITTED, NodeEvent.DECOMMISSIONED],
}


def address(number: int) -> IPv4Address:
    """The address of the node of that number."""
    return IPv4Address("127.77.0.0") + number


def add_node(engine: Engine, number: int = 1, status: NodeStatus = NodeStatus.WARMING) -> UUID:
    """A node that came to its status by the lifecycle's own way; a warming one may send as much as it likes."""
    with engine.begin() as connection:
        node_id = nodes.insert_request(
            connection,
            label=f"node-{number:03}",
            region="dallas",
            plan="ssd-1",
            requested_by="person:test",
            now=NOW - timedelta(days=1),
        )
        if _WAY[status]:
            node_places.record_instance(connection, node_id, f"hw-{number}", NOW - timedelta(days=1))
            node_places.record_address(connection, node_id, address(number), NOW - timedelta(days=1))
        for event in _WAY[status]:
            nodes.apply_event(
                connection, node_id, event, reason="test", requested_by="person:test", now=NOW - timedelta(days=1)
            )
        if status is NodeStatus.WARMING:
            warmups.save_state(connection, node_id, WarmupState("cautious", AMPLE_DAILY, NOW), NOW)
        return node_id


def add_nodes(engine: Engine, count: int, status: NodeStatus = NodeStatus.WARMING) -> list[UUID]:
    """Several nodes, numbered from 1."""
    return [add_node(engine, number, status) for number in range(1, count + 1)]


def list_address(
    engine: Engine,
    node_id: UUID,
    number: int = 1,
    *,
    zone: str = "zen.spamhaus.org",
    severity: Severity = Severity.CRITICAL,
    at: datetime = NOW,
) -> None:
    """A confirmed listing of the address of that number."""
    with engine.begin() as connection:
        listings.save_event(
            connection,
            listings.ListingEvent(
                node_id=node_id,
                ip_address=address(number),
                zone=zone,
                list_name=zone,
                codes=("127.0.0.2",),
                severity=severity,
                suspected_at=at - timedelta(minutes=1),
                listed_at=at,
                details="test",
                reason=None,
            ),
        )


def rotation(engine: Engine) -> set[UUID]:
    """Who may send."""
    with engine.connect() as connection:
        return {row.node_id for row in nodes.rotation(connection)}


def status_of(engine: Engine, node_id: UUID) -> NodeStatus:
    """The node's status now."""
    with engine.connect() as connection:
        return nodes.get_node(connection, node_id).status


def plan(
    engine: Engine,
    node_ids: Iterable[UUID],
    kind: ActionKind = ActionKind.PAUSE,
    *,
    by: str = "person:test",
    at: datetime = NOW,
) -> list[UUID]:
    """Actions planned without asking the guardrails."""
    wanted = [PlannedAction(node_id, kind, "test", by) for node_id in node_ids]
    with engine.begin() as connection:
        return actions.insert_planned(connection, wanted, at)

"""The facts of which the alert rules judge, each read for the whole fleet in one statement."""

from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.listing_alerts import FrozenList, IllList, ListedAddress, RefusedList, RestingList
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.node_alerts import FailedRequest, HeldNode, OpenDrift, OpenRequest
from penguin_infra.store import inventory, list_health, list_paces, listings
from penguin_infra.store.tables import node_actions, node_transitions, provisioning_steps, sending_nodes

n = sending_nodes.c


def listed_addresses(connection: Connection) -> list[ListedAddress]:
    """Open listings of addresses that living nodes hold."""
    return [
        ListedAddress(
            row.node_id,
            row.label,
            str(row.ip_address),
            row.zone,
            Severity(row.severity),
            tuple(row.codes),
            row.listed_at,
            row.reason,
            row.delist_url,
            row.family,
        )
        for row in listings.open_events(connection)
        if row.status != NodeStatus.DECOMMISSIONED
    ]


def frozen_lists(connection: Connection) -> list[FrozenList]:
    """Lists that are frozen."""
    return [FrozenList(row.zone, row.reason, row.frozen_at) for row in listings.open_freezes(connection)]


def ill_lists(connection: Connection) -> list[IllList]:
    """Lists that fail their test points, by resolver, among those that are still asked."""
    return [
        IllList(row.zone, row.resolver, list_health.fault_kind(row), row.reason, row.since)
        for row in list_health.ill_lists(connection)
    ]


def refused_lists(connection: Connection) -> list[RefusedList]:
    """Lists that are not asked because their terms would be broken."""
    return [RefusedList(row.zone, row.refused_because) for row in list_paces.refused_lists(connection)]


def resting_lists(connection: Connection) -> list[RestingList]:
    """Lists that rest after a quota error."""
    return [RestingList(row.zone, row.rests_until, row.rest_count) for row in list_paces.resting_lists(connection)]


def held_nodes(connection: Connection) -> list[HeldNode]:
    """Nodes that are paused or in maintenance, with the transition that made them so."""
    t = node_transitions.c
    rows = connection.execute(
        select(n.id, n.label, n.status, n.hold_reason, t.requested_by, t.happened_at)
        .join(node_transitions, (t.node_id == n.id) & (t.to_status == n.status))
        .where(n.status.in_([NodeStatus.PAUSED, NodeStatus.MAINTENANCE]))
        .ext(distinct_on(n.id))
        .order_by(n.id, t.id.desc())
    )
    return [
        HeldNode(row.id, row.label, NodeStatus(row.status), row.hold_reason or "", row.requested_by, row.happened_at)
        for row in rows
    ]


def failed_requests(connection: Connection, since: datetime) -> list[FailedRequest]:
    """Provisions that failed for good since then, the newest a node."""
    a = node_actions.c
    rows = connection.execute(
        select(n.id, n.label, a.outcome, a.finished_at)
        .join(node_actions, a.node_id == n.id)
        .where(a.kind == ActionKind.PROVISION, a.status == ActionStatus.FAILED, a.finished_at > since)
        .ext(distinct_on(n.id))
        .order_by(n.id, a.finished_at.desc())
    )
    return [FailedRequest(row.id, row.label, row.outcome or "unknown", row.finished_at) for row in rows]


def open_requests(connection: Connection) -> list[OpenRequest]:
    """Requests that are not in service yet, with the step that was begun last."""
    s = provisioning_steps.c
    rows = connection.execute(
        select(n.id, n.label, n.created_at, s.step, func.coalesce(s.error, s.progress).label("progress"))
        .join(provisioning_steps, s.node_id == n.id, isouter=True)
        .where(n.status == NodeStatus.PROVISIONING)
        .ext(distinct_on(n.id))
        .order_by(n.id, s.started_at.desc())
    )
    return [OpenRequest(row.id, row.label, row.created_at, row.step, row.progress) for row in rows]


def open_drifts(connection: Connection) -> list[OpenDrift]:
    """Differences between registry and provider that stand."""
    return [
        OpenDrift(row.kind, row.provider_id, row.detail, row.node_id, row.first_seen_at)
        for row in inventory.open_drift(connection)
    ]

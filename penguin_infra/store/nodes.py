"""The registry of nodes: requests, instances, addresses and every change of status with its reason.

Which change is legal is `domain/lifecycle.py`'s; what stands here applies it and writes it down in one transaction.

    NodeError                an operation on a node that cannot be done; the message says why and what to do
    ├── NodeNotFound         no node of that label or id
    ├── LabelTaken           a request for a label that a node has or had
    └── AddressHeld          an address that another living node holds
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from difflib import get_close_matches
from uuid import UUID, uuid4

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from penguin_infra.domain.lifecycle import NodeEvent, next_status
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.store.tables import AnyRow, ip_tenures, node_transitions, sending_nodes, sending_rotation

n = sending_nodes.c

# The transition by which a node begins.
REQUESTED = "requested"

_COLUMNS = (
    n.id,
    n.label,
    n.region,
    n.plan,
    n.status,
    n.provider_id,
    n.ip_address,
    n.hostname,
    n.hold_reason,
    n.requested_by,
    n.created_at,
    n.updated_at,
    n.instance_try,
    n.host_key,
)


class NodeError(Exception):
    """An operation on a node cannot be done."""


class NodeNotFound(NodeError):
    """No node has that label or id."""


class LabelTaken(NodeError):
    """A label belongs to one node for ever."""


class AddressHeld(NodeError):
    """Another living node holds the address."""


def insert_request(
    connection: Connection,
    *,
    label: str,
    region: str,
    plan: str,
    requested_by: str,
    now: datetime,
    node_id: UUID | None = None,
    reason: str | None = None,
) -> UUID:
    """Register a request for a node, under an id of its own unless one is given; raises `LabelTaken`.

    The reason stands in the node's history, and in that of its provision.
    """
    node_id = node_id or uuid4()
    try:
        with connection.begin_nested():
            connection.execute(
                insert(sending_nodes).values(
                    id=node_id,
                    label=label,
                    region=region,
                    plan=plan,
                    requested_by=requested_by,
                    status=NodeStatus.PROVISIONING,
                    created_at=now,
                    updated_at=now,
                )
            )
    except IntegrityError:
        raise LabelTaken(f"label {label!r} is taken; labels are never used twice") from None
    _record_transition(
        connection,
        node_id=node_id,
        from_status=None,
        to_status=NodeStatus.PROVISIONING,
        event=REQUESTED,
        reason=reason or f"a {plan} in {region} was asked for",
        requested_by=requested_by,
        happened_at=now,
    )
    return node_id


def taken_labels(connection: Connection, prefix: str) -> set[str]:
    """All labels ever used that begin with the prefix."""
    return set(connection.scalars(select(n.label).where(n.label.startswith(prefix, autoescape=True))))


def list_nodes(connection: Connection, statuses: Collection[NodeStatus] | None = None) -> list[Node]:
    """The nodes by label, those of the given statuses only if any are given."""
    query = select(*_COLUMNS).order_by(n.label)
    if statuses is not None:
        query = query.where(n.status.in_(statuses))
    return [_node(row) for row in connection.execute(query)]


def read_labels(connection: Connection, node_ids: Collection[UUID]) -> dict[UUID, str]:
    """The labels of the given nodes."""
    return {row.id: row.label for row in connection.execute(select(n.id, n.label).where(n.id.in_(node_ids)))}


def get_node(connection: Connection, node_id: UUID) -> Node:
    """One node by its id; raises `NodeNotFound`."""
    row = connection.execute(select(*_COLUMNS).where(n.id == node_id)).one_or_none()
    if row is None:
        raise NodeNotFound(f"no node has the id {node_id}")
    return _node(row)


def find_node(connection: Connection, name: str) -> Node:
    """One node by label, address or id, as a person names it; raises `NodeNotFound` with near matches."""
    matches = (n.label == name) | (func.host(n.ip_address) == name) | (func.text(n.id) == name.lower())
    rows = connection.execute(
        # An address can have served a node that is gone: the living one is meant.
        select(*_COLUMNS).where(matches).order_by(n.status == NodeStatus.DECOMMISSIONED, n.created_at.desc())
    ).all()
    if not rows:
        near = get_close_matches(name, connection.scalars(select(n.label)).all())
        hint = f"; near: {', '.join(near)}" if near else "; `penguin-infra nodes list` shows all"
        raise NodeNotFound(f"no node has the label, address or id {name!r}{hint}")
    return _node(rows[0])


def apply_event(
    connection: Connection,
    node_id: UUID,
    event: NodeEvent,
    *,
    reason: str,
    requested_by: str,
    now: datetime,
    action_id: UUID | None = None,
    run_id: str | None = None,
) -> NodeStatus:
    """Change a node's status by an event and record it; raises `IllegalTransition` and changes nothing then.

    The row is locked until the transaction ends, so the status that the event is judged by is the one it changes.
    """
    status = connection.scalar(select(n.status).where(n.id == node_id).with_for_update())
    if status is None:
        raise NodeNotFound(f"no node has the id {node_id}")
    target = next_status(NodeStatus(status), event)
    connection.execute(
        update(sending_nodes)
        .where(n.id == node_id)
        .values(
            status=target,
            hold_reason=reason if target in {NodeStatus.PAUSED, NodeStatus.MAINTENANCE} else None,
            updated_at=now,
            version=n.version + 1,
        )
    )
    if target is NodeStatus.DECOMMISSIONED:
        connection.execute(
            update(ip_tenures)
            .where(ip_tenures.c.node_id == node_id, ip_tenures.c.ended_at.is_(None))
            .values(ended_at=now)
        )
    _record_transition(
        connection,
        node_id=node_id,
        from_status=status,
        to_status=target,
        event=event,
        reason=reason,
        requested_by=requested_by,
        action_id=action_id,
        run_id=run_id,
        happened_at=now,
    )
    return target


def status_left(connection: Connection, node: Node) -> NodeStatus:
    """The status that a paused or maintained node had before it was.

    A node can be paused, then maintained, then paused again by its return: the pause counts, not the return.
    """
    columns = node_transitions.c
    status = connection.scalar(
        select(columns.from_status)
        .where(
            columns.node_id == node.node_id,
            columns.to_status == node.status,
            columns.event.in_({NodeEvent.PAUSED, NodeEvent.MAINTENANCE_BEGUN}),
        )
        .order_by(columns.id.desc())
        .limit(1)
    )
    return NodeStatus(str(status))


def transitions(connection: Connection, node_id: UUID) -> Sequence[AnyRow]:
    """A node's whole history, oldest first."""
    columns = node_transitions.c
    return connection.execute(
        select(
            columns.happened_at,
            columns.from_status,
            columns.to_status,
            columns.event,
            columns.reason,
            columns.requested_by,
            columns.run_id,
        )
        .where(columns.node_id == node_id)
        .order_by(columns.id)
    ).all()


def rotation(connection: Connection) -> Sequence[AnyRow]:
    """Who may send, now."""
    return connection.execute(select(sending_rotation).order_by(sending_rotation.c.label)).all()


def _record_transition(connection: Connection, **values: object) -> None:
    connection.execute(insert(node_transitions).values(**values))


def _node(row: AnyRow) -> Node:
    return Node(
        node_id=row.id,
        label=row.label,
        region=row.region,
        plan=row.plan,
        status=NodeStatus(row.status),
        provider_id=row.provider_id,
        ip_address=row.ip_address,
        hostname=row.hostname,
        hold_reason=row.hold_reason,
        requested_by=row.requested_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        instance_try=row.instance_try,
        host_key=row.host_key,
    )

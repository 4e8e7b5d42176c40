"""Install a node again: at the address that the provider gives now, with its names, its verification, and no drain.

While it runs the node is out of the rotation (the view sees to that) and goes on delivering what is queued. A node
whose address changed is a new one to every receiver: it comes back through warm-up. The steps between are those of a
provisioning.
"""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.lifecycle import NodeEvent, next_status
from penguin_infra.domain.node import SENDING_STATUSES, Node, NodeStatus
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.node_steps import Done, StepImpossible, do_step
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, steps

BEGIN_REINSTALL = "begin_reinstall"
END_REINSTALL = "end_reinstall"

_REINSTALLABLE = frozenset({NodeStatus.WARMING, NodeStatus.ACTIVE, NodeStatus.PAUSED, NodeStatus.MAINTENANCE})


def check_reinstallable(node: Node) -> None:
    """Raise `CannotAct` for a node that was never installed, or is gone."""
    if node.status not in _REINSTALLABLE:
        raise CannotAct(f"{node.label} is {node.status}; only a node in service or held is installed again")


def begin_reinstall(work: NodeWork) -> None:
    """Note the address that the node has; one that the provider changed takes a sending node into maintenance."""

    def act(node: Node, _since: datetime) -> Done:
        try:
            check_reinstallable(node)
        except CannotAct as error:
            raise StepImpossible(str(error)) from None
        if node.provider_id is None:
            raise StepImpossible(f"{node.label} has no instance on record")
        instance = work.provider.get_instance(node.provider_id)
        is_moved = instance.ip_address != node.ip_address

        def record(connection: Connection) -> None:
            if is_moved and node.status in SENDING_STATUSES:
                reason = f"its address changed from {node.ip_address} to {instance.ip_address}"
                _apply(connection, work, NodeEvent.MAINTENANCE_BEGUN, reason)

        return Done({"former_address": str(node.ip_address), "is_moved": is_moved, "status": node.status}, record)

    do_step(work, BEGIN_REINSTALL, act)


def end_reinstall(work: NodeWork) -> None:
    """Close the action; a node that had sent, and was moved, goes back through warm-up."""

    def act(node: Node, _since: datetime) -> Done:
        with work.engine.connect() as connection:
            begun = steps.list_steps(connection, node.node_id, [BEGIN_REINSTALL])[0].result
        was_sending = begun["status"] in SENDING_STATUSES
        returns = begun["is_moved"] and was_sending and node.status is NodeStatus.MAINTENANCE
        status = next_status(node.status, NodeEvent.RETURNED_TO_WARMING) if returns else node.status
        outcome = f"{node.label} is installed anew at {node.ip_address} and {status}"

        def record(connection: Connection) -> None:
            if returns:
                _apply(connection, work, NodeEvent.RETURNED_TO_WARMING, "verified at its new address")
            ledger.finish(connection, work.action.action_id, outcome=outcome, now=work.clock.now())

        return Done({"status": status}, record)

    do_step(work, END_REINSTALL, act)


def _apply(connection: Connection, work: NodeWork, event: NodeEvent, reason: str) -> None:
    nodes.apply_event(
        connection,
        work.node_id,
        event,
        reason=reason,
        requested_by=work.action.requested_by,
        now=work.clock.now(),
        action_id=work.action.action_id,
        run_id=work.action.run_id,
    )

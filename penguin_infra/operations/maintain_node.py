"""Bring one drained node to maintenance: its agent lets no mail out, and nobody mends or reboots it by itself.

A maintenance ends here; a decommission goes on from here, so that whatever fails later leaves a node that is held. How
a maintained node comes back is `resume_node.py`'s.
"""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.operations.drain_node import DRAIN, check_wanted
from penguin_infra.operations.node_steps import Done, do_step
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains, nodes, steps

BEGIN_MAINTENANCE = "begin_maintenance"

STEPS = (DRAIN, BEGIN_MAINTENANCE)


def begin_maintenance(work: NodeWork) -> None:
    """Change the status and end the drain, unless the action was called off meanwhile (`CalledOff`)."""

    def act(_node: Node, _since: datetime) -> Done:
        return Done({"status": "maintenance"}, lambda connection: _begin(connection, work))

    do_step(work, BEGIN_MAINTENANCE, act)
    work.say("the node is in maintenance: its mail is held")


def _begin(connection: Connection, work: NodeWork) -> None:
    action, now = work.action, work.clock.now()
    is_for_good = action.kind is ActionKind.DECOMMISSION
    status = drains.lock_node(connection, work.node_id)
    check_wanted(connection, work)
    if status is not NodeStatus.MAINTENANCE:
        nodes.apply_event(
            connection,
            work.node_id,
            NodeEvent.MAINTENANCE_BEGUN,
            reason=f"it is being decommissioned: {action.reason}" if is_for_good else action.reason,
            requested_by=action.requested_by,
            now=now,
            action_id=action.action_id,
            run_id=action.run_id,
        )
    drains.end_drain(connection, work.node_id)
    if not is_for_good:
        keep_queue(connection, work)
        outcome = f"{action.label} is in maintenance; {_drained(connection, work)}"
        ledger.finish(connection, action.action_id, outcome=outcome, now=now)


def keep_queue(connection: Connection, work: NodeWork) -> None:
    """Keep what the node last told of its queue as the action's evidence."""
    queue = drains.read_queue(connection, work.node_id)
    ledger.add_evidence(connection, work.action.action_id, {"queue_left": queue and queue.as_evidence()})


def _drained(connection: Connection, work: NodeWork) -> str:
    rows = steps.list_steps(connection, work.node_id, STEPS)
    return next(str(row.result["text"]) for row in rows if row.step == DRAIN and row.action_id == work.action.action_id)

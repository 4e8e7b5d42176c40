"""Close a node for good, once its instance is gone: its status, its tenure of the address, and what was lost with it.

What comes before (drain, records, instance, token) is `drain_node.py`'s, `maintain_node.py`'s and `leave_node.py`'s.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from penguin_infra.domain.drain import Queue, told_of
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import Node
from penguin_infra.operations.drain_node import DRAIN
from penguin_infra.operations.leave_node import DESTROY_INSTANCE, REMOVE_RECORDS, REVOKE_ACCESS
from penguin_infra.operations.maintain_node import BEGIN_MAINTENANCE, keep_queue
from penguin_infra.operations.node_steps import Done, do_step
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import drains, nodes
from penguin_infra.store.decisions import IS_HALF_GONE

CLOSE_NODE = "close_node"

STEPS = (DRAIN, BEGIN_MAINTENANCE, REMOVE_RECORDS, DESTROY_INSTANCE, REVOKE_ACCESS, CLOSE_NODE)


def begin_removal(work: NodeWork) -> None:
    """Note that what makes the node known goes from here on: a failure leaves one that cannot simply be resumed."""
    work.lock.check()
    with work.engine.begin() as connection:
        ledger.add_evidence(connection, work.action.action_id, {IS_HALF_GONE: True})


def close_node(work: NodeWork) -> None:
    """Write down that the node is no more, and what its queue still held when it last spoke."""
    action = work.action

    def act(node: Node, _since: datetime) -> Done:
        def record(connection: Connection) -> None:
            now = work.clock.now()
            keep_queue(connection, work)
            left = _left(drains.read_queue(connection, node.node_id))
            nodes.apply_event(
                connection,
                node.node_id,
                NodeEvent.DECOMMISSIONED,
                reason=f"{action.reason}; {left}",
                requested_by=action.requested_by,
                now=now,
                action_id=action.action_id,
                run_id=action.run_id,
            )
            outcome = f"{node.label} is decommissioned, {_age(now - node.created_at)} after it was asked for; {left}"
            ledger.finish(connection, action.action_id, outcome=outcome, now=now)

        return Done({"status": "decommissioned"}, record)

    do_step(work, CLOSE_NODE, act)
    work.say("the node is decommissioned")


def _left(queue: Queue | None) -> str:
    if queue is not None and queue.waiting == 0 and not queue.is_truncated:
        return "no mail was left"
    return f"not delivered: {told_of(queue)}"


def _age(age: timedelta) -> str:
    return f"{age.days} days" if age.days >= 2 else f"{age.total_seconds() / 3600:.0f} h"

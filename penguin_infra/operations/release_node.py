"""Give up a request that failed for good, or clear away what an earlier node left: the last step of a release.

The steps before it are `leave_node.py`'s. A node in service keeps what is its own: only surplus goes.
"""

from datetime import datetime

from sqlalchemy import Connection

from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.operations.leave_node import LEAVING_STEPS
from penguin_infra.operations.node_steps import Done, do_step
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, steps

CLOSE_REQUEST = "close_request"


def close_request(work: NodeWork) -> None:
    """Close the request, if it is still open, and the action, with what was taken away."""

    def act(node: Node, _since: datetime) -> Done:
        action = work.action
        with work.engine.connect() as connection:
            done = {row.step: row.result for row in steps.list_steps(connection, node.node_id, LEAVING_STEPS)}
        destroyed = done.get("destroy_instance", {}).get("destroyed", [])
        removed = done.get("remove_records", {}).get("removed", [])
        gone = [f"instance {one}" for one in destroyed] + [f"record {one}" for one in removed]
        outcome = f"took away {', '.join(gone)}" if gone else "nothing was left to take away"

        def record(connection: Connection) -> None:
            if node.status is NodeStatus.PROVISIONING:
                nodes.apply_event(
                    connection,
                    node.node_id,
                    NodeEvent.PROVISIONING_FAILED,
                    reason=f"{action.reason}; {outcome}",
                    requested_by=action.requested_by,
                    now=work.clock.now(),
                    action_id=action.action_id,
                    run_id=action.run_id,
                )
            ledger.finish(connection, action.action_id, outcome=outcome, now=work.clock.now())

        return Done({}, record)

    do_step(work, CLOSE_REQUEST, act)

"""Maintenance: the job that drains one node and holds it for a person's work on it. Only persons ask for it.

How it comes back is `resume.py`'s.
"""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.policies.leave_on_request import MOST_DRAIN_MINUTES
from penguin_infra.operations import drain_node, maintain_node
from penguin_infra.store.drains import end_abandoned_drains
from penguin_infra.wiring import Wiring


@dg.op
def drain(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Take the node out of the rotation, and wait until it has delivered what it has, or its time is up."""
    with node_run.working(context, fleet) as work:
        drain_node.drain(work, fleet.policy.guardrails)


@dg.op(ins={"drained": dg.In(dg.Nothing)})
def hold_node(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Hold the node's mail, and leave it to persons."""
    with node_run.working(context, fleet) as work:
        maintain_node.begin_maintenance(work)


@dg.job(
    tags=run_tags(Lane.SLOW, longest=timedelta(minutes=MOST_DRAIN_MINUTES + 30)),
)
def maintenance() -> None:
    """Drain one node and bring it to maintenance. Asked for by `penguin-infra nodes maintain`, one run a node."""
    hold_node(drain())


@dg.sensor(
    job=maintenance,
    # Dagster shows no sensor's docstring.
    description="Asks for one run for each maintenance that a person asked for, and lets nodes send again whose drain "
    "nobody carries on.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def maintenance_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Asks for the runs that are due, and ends abandoned drains."""
    answer = Tick(context, fleet, ActionKind.MAINTENANCE).run(None, is_batch=False)
    with fleet.engine.begin() as connection:
        for label in end_abandoned_drains(connection):
            context.log.info(f"{label} may send again: what drained it is closed")
    return answer

"""Decommissioning: the job that takes one node out of service for good, a step an op, once a person approved it.

From `hold_node` on the node is held, so that a run that fails for good leaves one that sends nothing.
"""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.maintenance import drain, hold_node
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.policies.leave_on_request import MOST_DRAIN_MINUTES
from penguin_infra.operations import decommission_node, leave_node
from penguin_infra.wiring import Wiring


@dg.op(ins={"held": dg.In(dg.Nothing)})
def remove_names(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Take the node's records out of DNS, exactly those that we made."""
    with node_run.working(context, fleet) as work:
        decommission_node.begin_removal(work)
        leave_node.remove_records(work, fleet.dns_publisher, is_leaving=True)


@dg.op(ins={"unnamed": dg.In(dg.Nothing)})
def end_instance(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Destroy the node's instance, and see at the provider that it is gone."""
    with node_run.working(context, fleet) as work:
        leave_node.destroy_instance(work, is_leaving=True)


@dg.op(ins={"ended": dg.In(dg.Nothing)})
def close_node(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """End the node's tokens, its tenure and its record, and say what was left in its queue."""
    with node_run.working(context, fleet) as work:
        leave_node.revoke_access(work, is_leaving=True)
        decommission_node.close_node(work)


@dg.job(
    tags=run_tags(Lane.SLOW, longest=timedelta(minutes=MOST_DRAIN_MINUTES + 60)),
)
def decommission() -> None:
    """Take one node out of service for good. Asked for by `penguin-infra nodes decommission`, one run a node."""
    close_node(end_instance(remove_names(hold_node(drain()))))


@dg.sensor(
    job=decommission,
    # Dagster shows no sensor's docstring.
    description="Proposes the end of each node whose instance is gone, or that the fleet could do without for months, "
    "and asks for one run for each that is approved.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def decommission_sensor(
    context: SensorEvaluationContext, fleet: ResourceParam[Wiring]
) -> list[RunRequest] | SkipReason:
    """Proposes the end of nodes without an instance and of spare ones, and asks for the runs that are due."""
    return Tick(context, fleet, ActionKind.DECOMMISSION).run(fleet.wanted(ActionKind.DECOMMISSION), is_batch=False)

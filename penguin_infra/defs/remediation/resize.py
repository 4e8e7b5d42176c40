"""Resizing: the sensor that finds nodes held up by their own plan, and the job that gives one another, a step an op.

A smaller plan is asked for by persons alone (`penguin-infra nodes resize`).
"""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.policies.leave_on_request import MOST_DRAIN_MINUTES
from penguin_infra.operations import drain_node, resize_node
from penguin_infra.operations.verify_services import verify_services
from penguin_infra.wiring import Wiring


@dg.op
def begin_resize(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """See that the node is in service, and its instance as recorded."""
    with node_run.working(context, fleet) as work:
        resize_node.begin_resize(work)


@dg.op(ins={"begun": dg.In(dg.Nothing)})
def drain_for_resize(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Wait until the node has delivered what it has, or its time is up; what is left waits through the restart."""
    with node_run.working(context, fleet) as work:
        drain_node.drain(work, fleet.policy.guardrails)


@dg.op(ins={"drained": dg.In(dg.Nothing)})
def change_plan(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Let the provider change the plan, and wait until the instance runs with it."""
    with node_run.working(context, fleet) as work:
        resize_node.change_plan(work, fleet.policy.resize)


@dg.op(ins={"changed": dg.In(dg.Nothing)})
def verify_resized(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """See the instance at its address, and hear the node with its mail server up."""
    with node_run.working(context, fleet) as work:
        verify_services(work, fleet.policy.health, fleet.installer)


@dg.op(ins={"verified": dg.In(dg.Nothing)})
def end_resize(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Let the node send again, and close the action."""
    with node_run.working(context, fleet) as work:
        resize_node.end_resize(work)


@dg.job(
    # Each step has a time-out of its own; this only ends a run whose process is gone.
    tags=run_tags(Lane.SLOW, longest=timedelta(minutes=MOST_DRAIN_MINUTES + 120)),
)
def resize() -> None:
    """Give one node another plan. Asked for by `resize_sensor`, one run a node."""
    end_resize(verify_resized(change_plan(drain_for_resize(begin_resize()))))


@dg.sensor(
    job=resize,
    # Dagster shows no sensor's docstring.
    description="Plans a larger plan for each node whose own resources hold its queue up, one a region, and carries "
    "out what persons ask for.",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def resize_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Plans a larger plan for each node whose own resources hold its queue up, one a region."""
    return Tick(context, fleet, ActionKind.RESIZE).run(fleet.wanted(ActionKind.RESIZE), is_batch=False)

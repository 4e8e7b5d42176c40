"""Releasing: what a request that failed for good made, or a node left behind, is taken away, in reverse order."""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations import leave_node, release_node
from penguin_infra.wiring import Wiring


@dg.op
def revoke_access(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """End the tokens by which the node's agent speaks."""
    with node_run.working(context, fleet) as work:
        leave_node.revoke_access(work)


@dg.op(ins={"revoked": dg.In(dg.Nothing)})
def remove_records(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Take the node's records out of DNS, exactly those that we made."""
    with node_run.working(context, fleet) as work:
        leave_node.remove_records(work, fleet.dns_publisher)


@dg.op(ins={"removed": dg.In(dg.Nothing)})
def destroy_instance(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Destroy what the provider holds under the node's name, and see that it is gone."""
    with node_run.working(context, fleet) as work:
        leave_node.destroy_instance(work)


@dg.op(ins={"destroyed": dg.In(dg.Nothing)})
def close_request(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Close the request with what was taken away."""
    with node_run.working(context, fleet) as work:
        release_node.close_request(work)


@dg.job(
    tags=run_tags(Lane.SLOW, longest=timedelta(minutes=30)),
)
def release() -> None:
    """Take away what a failed request made, or a node left. Asked for by `release_sensor`, one run a node."""
    close_request(destroy_instance(remove_records(revoke_access())))


@dg.sensor(
    job=release,
    # Dagster shows no sensor's docstring.
    description="Plans a release for each request that failed for good and each leftover; one run a node.",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def release_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Plans a release for each request that failed for good and each leftover; one run a node."""
    return Tick(context, fleet, ActionKind.RELEASE).run(fleet.wanted(ActionKind.RELEASE), is_batch=False)

"""Releasing: what a request that failed for good left at the provider is destroyed, so that nobody pays for it."""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.policies.provision_requested import plan_releases
from penguin_infra.operations import release_node
from penguin_infra.store.requests import late_instances, requested_nodes
from penguin_infra.wiring import Wiring


@dg.op
def release_instance(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """Destroy the instance of a failed request and close its node."""
    with node_run.working(context, fleet) as work:
        context.log.info(release_node.release_node(work))


@dg.job(
    tags=run_tags(Lane.SLOW, longest=timedelta(minutes=15)),
)
def release() -> None:
    """Give up a request that failed for good. Asked for by `release_sensor`, one run a node."""
    release_instance()


@dg.sensor(
    job=release,
    # Dagster shows no sensor's docstring.
    description="Plans a release for each request that failed for good, and asks for one run a node.",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def release_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Plans a release for each request that failed for good, and asks for one run a node."""
    return Tick(context, fleet, ActionKind.RELEASE).run(
        lambda connection: plan_releases([*requested_nodes(connection), *late_instances(connection)]), is_batch=False
    )

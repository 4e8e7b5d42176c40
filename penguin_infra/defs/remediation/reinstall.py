"""Installing again: what a person asks for a node, and what a changed address asks for by itself."""

from datetime import timedelta

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.node_runs import NodeRun
from penguin_infra.defs.remediation.provision import await_address, install_node, publish_dns, verify_delivery
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations import reinstall_node
from penguin_infra.wiring import Wiring


@dg.op
def begin_reinstall(
    context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]
) -> None:
    """See where the instance is now; a node whose address changed goes into maintenance."""
    with node_run.working(context, fleet) as work:
        reinstall_node.begin_reinstall(work)


@dg.op(ins={"verified": dg.In(dg.Nothing)})
def end_reinstall(context: OpExecutionContext, fleet: ResourceParam[Wiring], node_run: ResourceParam[NodeRun]) -> None:
    """Close the action; a node whose address changed goes back through warm-up."""
    with node_run.working(context, fleet) as work:
        reinstall_node.end_reinstall(work)


@dg.job(
    # Each step has a time-out of its own; this only ends a run whose process is gone.
    tags=run_tags(Lane.SLOW, longest=timedelta(hours=6)),
)
def reinstall() -> None:
    """Install one node again, and verify it. Asked for by `reinstall_sensor`, one run a node."""
    end_reinstall(verify_delivery(install_node(publish_dns(await_address(begin_reinstall())))))


@dg.sensor(
    job=reinstall,
    # Dagster shows no sensor's docstring.
    description="Plans a new installation for each node whose address changed, and carries out what persons ask for.",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def reinstall_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Plans a new installation for each node whose address changed, and carries out what persons ask for."""
    return Tick(context, fleet, ActionKind.REINSTALL).run(fleet.wanted(ActionKind.REINSTALL), is_batch=False)

"""Resuming: what persons ask for, and nodes whose pause for their rates has lasted long enough."""

from datetime import timedelta
from functools import partial

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.batches import run_batch
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations.resume_node import resume_node
from penguin_infra.wiring import Wiring


@dg.op
def resume_due_nodes(context: OpExecutionContext, fleet: ResourceParam[Wiring]) -> None:
    """Bring every node whose resumption is due back to the status it had left."""
    run_batch(context, fleet, ActionKind.RESUME, partial(resume_node, delivery_limits=fleet.policy.delivery))


@dg.job(
    tags=run_tags(Lane.URGENT, longest=timedelta(minutes=10)),
)
def resume() -> None:
    """Bring paused nodes back into service. Asked for by `resume_sensor` and `penguin-infra nodes resume`."""
    resume_due_nodes()


@dg.sensor(
    job=resume,
    # Dagster shows no sensor's docstring.
    description="Plans the return of each node that was paused for its rates long enough ago and is not listed, and "
    "runs what is due, persons' resumptions too.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def resume_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Plans the return of nodes that were paused for their rates, and runs all resumptions that are due."""
    return Tick(context, fleet, ActionKind.RESUME).run(fleet.wanted(ActionKind.RESUME), is_batch=True)

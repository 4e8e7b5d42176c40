"""Resuming: only persons ask for it; the sensor runs what they asked for."""

from datetime import timedelta

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
    run_batch(context, fleet, ActionKind.RESUME, resume_node)


@dg.job(
    tags=run_tags(Lane.URGENT, longest=timedelta(minutes=10)),
)
def resume() -> None:
    """Bring paused nodes back into service. Asked for by `penguin-infra nodes resume`."""
    resume_due_nodes()


@dg.sensor(
    job=resume,
    # Dagster shows no sensor's docstring.
    description="Runs the resumptions that persons asked for.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def resume_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Runs the resumptions that persons asked for."""
    return Tick(context, fleet, ActionKind.RESUME).run(None, is_batch=True)

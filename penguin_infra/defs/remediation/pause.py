"""Pausing: the sensor that finds listed and bouncing nodes, and the job that pauses all that is due in one run."""

from datetime import timedelta
from functools import partial

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.batches import run_batch
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations.pause_node import pause_node
from penguin_infra.wiring import Wiring


@dg.op
def pause_due_nodes(context: OpExecutionContext, fleet: ResourceParam[Wiring]) -> None:
    """Pause every node whose pause is due, each in a transaction of its own."""
    run_batch(context, fleet, ActionKind.PAUSE, partial(pause_node, delivery_limits=fleet.policy.delivery))


@dg.job(
    tags=run_tags(Lane.URGENT, longest=timedelta(minutes=10)),
)
def pause() -> None:
    """Take nodes out of service until somebody resumes them. Asked for by `pause_sensor`."""
    pause_due_nodes()


@dg.sensor(
    job=pause,
    # Dagster shows no sensor's docstring.
    description="Plans a pause for each sending node with a confirmed critical or high listing, or whose bounces or "
    "complaints are proven too many, and runs what is due.",
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def pause_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """Plans a pause for each sending node that is listed or whose rates are proven too high, and runs what is due."""
    return Tick(context, fleet, ActionKind.PAUSE).run(fleet.wanted(ActionKind.PAUSE), is_batch=True)
